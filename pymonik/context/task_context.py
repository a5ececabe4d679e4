"""`PymonikContext`: what a task can ask about itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from pymonik.code import codec
from pymonik.errors import UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.handles.stored_ids import ObjectFiles
from pymonik.options import TaskOptions
from pymonik.runs.inline import InlineSession
from pymonik.seeds import RandomNumbers
from pymonik.session.current import active_session
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.random import Generator

    from pymonik.context.task_log import ContextLogger
    from pymonik.files.materialized import Materialize
    from pymonik.session.protocol import Session

T = TypeVar("T")
# The mark of a missing argument: ``None`` is a default that a task may give.
_NOT_GIVEN: Any = object()


class LiveSide(Protocol):
    """How a running task is heard, and hears."""

    def report(self, fields: dict[str, object], keep: int, output_id: str) -> None:
        """Tell the program something."""

    def progress(self, done: float, total: float | None) -> None:
        """Tell how far the call is, as often as somebody can follow."""

    def board(self) -> dict[str, Any]:
        """What the program has set, as it is now."""


class TaskHandler(msgspec.Struct, frozen=True):
    """A read-only view of a local call, where no handler of ArmoniK is at hand."""

    task_id: str
    session_id: str
    task_options: TaskOptions
    expected_results: Sequence[str] = ()


class PymonikContext:
    """The running task: first argument with ``require_context=True``, else `get_context`.

    Attributes:
        session: Where its subtasks go; ``None`` in a local call outside any session.
        task_id: Empty in a local call, like ``session_id`` and ``partition``.
        attempt: 1 for the first.
        options: Those that the task runs with.
        environment: What it has around it.
        partition: Whose worker runs it.
        expected_results: The id of the task's output, as ArmoniK has it; empty in a local call.
        setup: What the function of ``@task(setup=...)`` returned in this executor.
    """

    def __init__(
        self,
        session: Session | None = None,
        *,
        task_id: str = "",
        session_id: str = "",
        attempt: int = 1,
        options: TaskOptions | None = None,
        environment: Environment | None = None,
        partition: str = "",
        task_handler: Callable[[], Any] | None = None,
        expected_results: Sequence[str] = (),
        is_stopping: Callable[[], bool] = bool,
        rng: Callable[[], Generator] | None = None,
        live: LiveSide | None = None,
    ) -> None:
        self.session = session
        self.task_id = task_id
        self.session_id = session_id
        self.attempt = attempt
        self.options = options or TaskOptions()
        self.environment = environment or Environment()
        self.partition = partition or self.options.partition_id or ""
        self.setup: Any = None
        # ArmoniK's handler and the random numbers are made when they are asked for: both need
        # packages whose import takes longer than a small call.
        self._make_handler = task_handler
        self._handler: Any = None
        self._objects = ObjectFiles()
        self._is_stopping = is_stopping
        self._live = live
        self._rng = rng or RandomNumbers().generator
        self.expected_results = tuple(expected_results)

    @classmethod
    def from_local(cls, logger: logging.Logger | None = None) -> PymonikContext:
        """The context of a local call: no task; the current session, if there is one.

        Args:
            logger: Gets the lines of ``context.logger``; without it, ``"pymonik.task"`` does.
        """
        session = active_session()
        context = cls()
        if session is not None:
            session_id = session.session_id
            # A replay repeats a task in the user's own process: it has the numbers and the setup
            # that the task had.
            again = session if isinstance(session, InlineSession) else None
            context = cls(
                session,
                session_id=session_id,
                environment=session.environment,
                rng=again.numbers.generator if again is not None else None,
            )
            context.setup = again.setup if again is not None else None
        if logger is not None:
            from pymonik.context.task_log import ContextLogger

            context.logger = ContextLogger(local=logger)
        return context

    @cached_property
    def logger(self) -> ContextLogger:
        """Lines of the task; see `ContextLogger`."""
        from pymonik.context.task_log import ContextLogger  # programs do not log here, tasks do

        return ContextLogger(self.task_id, self.session_id)

    @property
    def is_local(self) -> bool:
        """Whether the function was called locally, not run as a task."""
        return not self.task_id

    @property
    def stopping(self) -> bool:
        """Whether the task is to come to its end: cancelled, out of time, or its worker drains.

        At a cancel, or when the time is over, the main thread gets a `KeyboardInterrupt` too; what
        has not ended after the grace is killed.
        """
        return self._is_stopping()

    @property
    def rng(self) -> Generator:
        """Random numbers of this call: a `numpy.random.Generator`, the same at each look.

        With ``invoke(..., seed=42)`` or ``map_invoke(..., seed=42)`` the numbers depend on the
        seed and the index of the item alone: not on chunks, workers, retries or re-runs. Item
        ``i`` has the stream of ``numpy.random.SeedSequence(42).spawn(n)[i]``.

        Raises:
            UsageError: numpy is not installed where the task runs.
        """
        return self._rng()

    @property
    def task_handler(self) -> Any:
        """ArmoniK's own `armonik.worker.TaskHandler` of the task, on every cluster.

        What is created, sent and submitted with it exists when the task has ended well. Of a task
        that sends its own output, or has another task promise it, the function returns nothing.
        In a local call a `TaskHandler` shows what is known.

        Raises:
            UsageError: The package ``armonik`` is not in the task's environment.
        """
        if self._handler is None:
            self._handler = self._make_handler() if self._make_handler else self._known()
        return self._handler

    def _known(self) -> TaskHandler:
        return TaskHandler(self.task_id, self.session_id, self.options, self.expected_results)

    # -- while it runs -------------------------------------------------------------------------

    def report(self, /, *, keep: int = 0, **fields: object) -> None:
        """Tell the program something now: `ResultHandle.reports`, `follow`, `next_report`.

        It neither fails nor waits: values that JSON does not know go as their texts, and what is
        larger than 64 KiB is shortened. In a local call nobody is told.

        Args:
            keep: Older reports of the call than the last so many may be forgotten.
            fields: What to tell.
        """
        if self._live is not None:
            self._live.report(dict(fields), keep, "")

    def progress(self, done: float, total: float | None = None) -> None:
        """Report how far the call is: ``done`` of ``total``; told 20 times a second at most."""
        if self._live is not None:
            self._live.progress(done, total)

    def config(self, name: str, default: Any = _NOT_GIVEN) -> Any:
        """What ``Pymonik.set_config`` has set under this name, as it is now.

        Args:
            name: Of the setting.
            default: Where nothing is set; without it that is an error.

        Raises:
            UsageError: Nothing is set, and there is no default.
        """
        settings = self._board().get("config", {})
        if name in settings:
            return settings[name]
        if default is _NOT_GIVEN:
            known = ", ".join(sorted(settings)) or "none"
            raise UsageError(
                f"no setting {name!r} reaches this task (there are: {known}): call "
                "pk.set_config(...) before the call, or give a default"
            )
        return default

    def _board(self) -> dict[str, Any]:
        return self._live.board() if self._live is not None else {}

    # -- as PymoniK 0.2 had it -----------------------------------------------------------------

    def retrieve_object(
        self,
        result_id: str,
        auto_unpickle: bool = True,  # noqa: FBT001, FBT002
        check_exists: bool = True,  # noqa: ARG002, FBT001, FBT002
        force_retrieve: bool = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        """The value that `Pymonik.put` stored; a handle among the arguments gives it more simply.

        Args:
            result_id: ``handle.result_id``, as an argument of the task.
            auto_unpickle: ``False`` gives the bytes of the file instead, which is a pickle.
            check_exists: Accepted: the value is at hand in any case.
            force_retrieve: Likewise.

        Raises:
            UsageError: In a local call, or the id did not come as an argument.
        """
        if self.is_local:
            raise UsageError("retrieve_object is for tasks; use handle.get() here")
        value = self._objects.retrieve(result_id)
        return value if auto_unpickle else self.get_object_path(result_id).read_bytes()

    def get_object_path(self, result_id: str) -> Path:
        """Where `retrieve_object` puts the file of an object; it goes with the task."""
        return self._objects.path(result_id)

    def object_exists_locally(self, result_id: str) -> bool:
        """Whether `retrieve_object` has put it there."""
        return self.get_object_path(result_id).exists()

    def materialize_file(self, mat: Materialize) -> bool:
        """Whether a file or folder is in its place, where arguments are put by themselves."""
        return self.is_local or mat.is_there()

    # -- values --------------------------------------------------------------------------------

    def put(self, value: T, name: str = "") -> ResultHandle[T]:
        """Store ``value`` as a result, to hand it to several subtasks.

        Raises:
            UsageError: In a local call outside any session.
        """
        return self.put_many([value], [name])[0]

    def put_many(
        self, values: Iterable[T], names: Sequence[str] | None = None
    ) -> MultiResultHandle[T]:
        """Store several values, together; see `put`."""
        session = self.session or active_session()
        if session is None:
            raise UsageError("put needs a session: call the task inside `with Pymonik():`")
        packed = [codec.pack(value) for value in values]
        called = [""] * len(packed) if names is None else list(names)
        if len(called) != len(packed):
            raise UsageError(f"put_many: {len(packed)} values, but {len(called)} names")
        return MultiResultHandle([ResultHandle(state) for state in session.put(packed, called)])

    def __repr__(self) -> str:
        return f"<PymonikContext {self.task_id or 'local'} attempt {self.attempt}>"


# A function that makes the context, not the context: most tasks never ask for it.
_current: ContextVar[Callable[[], PymonikContext] | None]
_current = ContextVar("pymonik context", default=None)


def get_context() -> PymonikContext:
    """The context of the running task.

    Raises:
        UsageError: Outside a task. A new thread does not inherit it: hand it over there.
    """
    provider = _current.get()
    # In a replay the function runs as a local call, but `get_context` must work as it did in the
    # task.
    if provider is None and isinstance(active_session(), InlineSession):
        return PymonikContext.from_local()
    if provider is None:
        raise UsageError(
            "no task is running here; in a local call use `PymonikContext.from_local()` "
            "(new threads do not inherit the context)"
        )
    return provider()


def in_task() -> bool:
    """Whether a task is running here, which can wait for no other task."""
    provider = _current.get()
    return provider is not None and not provider().is_local


def enter(provider: Callable[[], PymonikContext]) -> None:
    """Have the current context be what this gives, in this context of variables."""
    _current.set(provider)
