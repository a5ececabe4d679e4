"""How a task is to run: `TaskOptions`, and the order call > task > client.

One frozen value from the decorator to the executor: it is merged where a call is submitted,
compared by value, and turned into ArmoniK's message only where it leaves through gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from pymonik.environments.asked import environment_of
from pymonik.errors import ArgumentsError, UsageError
from pymonik.launch.sizes import size
from pymonik.quantities import duration, whole_number
from pymonik.wire.environment import Environment

DEFAULT_MAX_DURATION = timedelta(hours=1)
DEFAULT_MAX_RETRIES = 3  # attempts after the first
DEFAULT_PRIORITY = 1
MAX_PRIORITY: Final = 10  # a session may have up to 99, but ArmoniK's queues refuse more than this
_MOST_RETRIES = 1_000_000  # ArmoniK has 32 bits for them


class TaskOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of tasks; what is left out (``None``, or an absent key) is inherited.

    Args:
        max_duration: Time limit of one attempt: a `timedelta`, or seconds as a number; ``inf``
            and anything above ten years mean ten years.
        priority: 1 to 10, higher runs first.
        max_retries: Attempts after the first one, for a lost worker or a ``retry_on`` exception.
        partition_id: The partition whose workers run the task.
        options: Labels, merged key by key; ArmoniK's tools show them.
        application_name: Shown by ArmoniK's tools, like the four that follow.
        environment: What the call gets around it, as `Pymonik` takes it. Its packages replace
            those of the task or the client; variables are merged.
        label: Name of the run that the call belongs to.
        memory: What a task may use with all that it starts: ``"2G"``, or a number of bytes.
    """

    max_duration: timedelta | None = None
    priority: int | None = None
    max_retries: int | None = None
    partition_id: str | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)
    application_name: str | None = None
    application_version: str | None = None
    application_namespace: str | None = None
    application_service: str | None = None
    engine_type: str | None = None
    environment: Environment | None = None
    label: str | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        given = self.max_duration
        if given is not None:
            _set(self, "max_duration", duration(given, "max_duration"))
        if self.priority is not None:
            _set(self, "priority", whole_number("priority", self.priority, 1, MAX_PRIORITY))
        if self.max_retries is not None:
            retries = whole_number("max_retries", self.max_retries, 0, _MOST_RETRIES)
            _set(self, "max_retries", retries)
        if self.memory is not None:
            _set(self, "memory", size(self.memory, "memory"))
        for name in _TEXTS:
            check_text(name, getattr(self, name))
        if self.options or type(self.options) is not dict:
            _set(self, "options", _labels(self.options))
        if self.environment is not None and type(self.environment) is not Environment:
            _set(self, "environment", environment_of(self.environment))

    def __hash__(self) -> int:
        # `msgspec` cannot hash the dict of labels: equal options have the same pairs in any order.
        plain = tuple(getattr(self, name) for name in FIELD_NAMES if name != "environment")
        return hash((*plain, frozenset(self.options.items()), self.environment))

    def over(self, base: TaskOptions) -> TaskOptions:
        """These options where they say something, and ``base`` elsewhere."""
        # Most calls say nothing of their own: they share the value of the task, and nothing is
        # made.
        if self == _NOTHING:
            return base
        if base == _NOTHING:
            return self
        changes = {name: v for name in FIELD_NAMES if (v := getattr(self, name)) is not None}
        changes["options"] = {**base.options, **self.options}
        if self.environment is not None and base.environment is not None:
            changes["environment"] = self.environment.over(base.environment)
        return msgspec.structs.replace(base, **changes)

    @classmethod
    def of(cls, value: object) -> TaskOptions:
        """``value`` as options: ours, ``None``, or anything with the same attributes.

        The `armonik` package has a class of the same name, which older programs use.
        """
        if isinstance(value, cls):
            return value
        if value is None:
            return _NOTHING
        if not hasattr(value, "max_duration") or not hasattr(value, "partition_id"):
            raise UsageError(f"task_options must be a TaskOptions, not {type(value).__name__}")
        attributes: dict[str, Any] = {name: getattr(value, name, None) for name in FIELD_NAMES}
        # An empty string or a zero means "not set" there, but for the number of retries.
        given = {n: v if n == "max_retries" else v or None for n, v in attributes.items()}
        labels: Any = getattr(value, "options", None)
        return cls(options=labels or {}, **given)

    @classmethod
    def shortcuts(
        cls,
        task_options: object = None,
        *,
        partition: str | None = None,
        max_duration: timedelta | float | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        environment: object = None,
        label: str | None = None,
        memory: int | str | None = None,
    ) -> TaskOptions:
        """``task_options`` overlaid by the shortcuts that decorator and client offer."""
        short = cls(
            max_duration=max_duration,  # type: ignore[arg-type] # it becomes a timedelta
            priority=priority,
            max_retries=max_retries,
            partition_id=partition,
            environment=environment,  # type: ignore[arg-type] # it is parsed
            label=label,
            memory=memory,  # type: ignore[arg-type] # it becomes a number of bytes
        )
        return short.over(cls.of(task_options))


# The struct is frozen: this is how ``__post_init__`` puts checked values in.
_set = msgspec.structs.force_setattr
FIELD_NAMES = tuple(name for name in TaskOptions.__struct_fields__ if name != "options")
_TEXTS = (
    "partition_id",
    "application_name",
    "application_version",
    "application_namespace",
    "application_service",
    "engine_type",
    "label",
)


def call_options(task_options: object, keywords: dict[str, Any]) -> TaskOptions:
    """Options of one call; takes keywords such as ``pmk_priority=2`` out of ``keywords``.

    Raises:
        UsageError: A ``pmk_*`` keyword that is not an option, or of the wrong type.
    """
    __tracebackhide__ = True
    named = {key: keywords.pop(key) for key in list(keywords) if key.startswith("pmk_")}
    fields = {key.removeprefix("pmk_"): value for key, value in named.items()}
    if "partition" in fields:
        fields["partition_id"] = fields.pop("partition")
    for name in fields:
        if name not in FIELD_NAMES and name != "options":
            known = ", ".join(f"pmk_{known}" for known in (*FIELD_NAMES, "options"))
            raise UsageError(f"pmk_{name} is not an option; there are {known}")
    given = TaskOptions.of(task_options)
    return TaskOptions(**fields).over(given) if fields else given


def refuse_unknown(
    where: str, unknown: Iterable[str], known: Iterable[str], hints: Mapping[str, str] | None = None
) -> None:
    """Say what can be given instead of a keyword that does not exist.

    Args:
        where: What was called, such as ``"@task"``.
        unknown: The keywords that were given.
        known: Those that there are.
        hints: What to write instead of some that others use.

    Raises:
        ArgumentsError: There is one.
    """
    __tracebackhide__ = True
    known = list(known)
    for name in unknown:
        import difflib  # only for a mistake

        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        meant = (hints or {}).get(name) or (f"did you mean {close[0]}?" if close else "")
        raise ArgumentsError(
            f"{where} takes no {name!r}{f': {meant}' if meant else ''} "
            f"(there are {', '.join(known)})"
        )


def check_text(name: str, value: object) -> None:
    """Refuse what no request could say, while whoever gave it is there to hear of it.

    Args:
        name: Of an option.
        value: A text, or ``None``.

    Raises:
        UsageError: It is something else, or holds half of a character (a lone surrogate).
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a string, not {value!r}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            text = f"{name} holds half of a character, which no request can say: {value!a}"
            raise UsageError(text) from None


def _labels(options: object) -> dict[str, str]:
    if not isinstance(options, Mapping):
        raise UsageError(f"options must be a mapping of strings, not {type(options).__name__}")
    for key, value in options.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"options must map strings to strings; look at {key!r}")
        check_text("a name in options", key)
        check_text(f"options[{key!r}]", value)
    return dict(options)


_NOTHING = TaskOptions()
