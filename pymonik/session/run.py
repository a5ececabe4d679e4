"""What calls have in common that one `map_invoke` submitted, or single ones of one function."""

from __future__ import annotations

import inspect
import time
import weakref
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol

from pymonik.code.codec import NO_MODULES
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.references import Sealed
    from pymonik.options import TaskOptions
    from pymonik.session.result import ResultState
    from pymonik.wire.containers import Buffer

# Bytes of arguments that are kept for `rerun`, tables and views: of a single call, of an item of a
# map, and of all items of one map. Larger ones would be in the memory of the program once more,
# which it has not asked for. Single calls have the smallest bound, since there is no sum for them:
# nobody counts those whose handles live.
_MOST_OF_SINGLE: Final = 2 * 1024
_MOST_OF_ITEM: Final = 64 * 1024
_MOST_OF_RUN: Final = 64 * 1024 * 1024


class Saver(Protocol):
    """What saves the files of calls."""

    skipped: int

    def ensure(self, state: ResultState) -> None:
        """Save the files of a call that has ended, unless they are."""


class Run:
    """The calls of one `map_invoke`.

    Attributes:
        function: What is called: a `Task`, or another callable.
        name: Of the function.
        label: What the program calls the run, ``""`` without a name.
        parameters: Names of the function's parameters by position.
        started: When it began, in seconds since the epoch.
        has_pickles: Whether the arguments are pickles: those of commands and handlers are JSON.
        saving: Saves the files of the calls, where they are to be saved.
        total: Calls that were submitted so far, and have numbers.
        options: Of the calls, where they all have the same; ``None`` for single ones.
        content_id: Of the function as it was submitted last.
    """

    __slots__ = (
        "__weakref__", "_kept", "content_id", "function", "has_pickles", "label", "name", "options",
        "parameters", "saving", "started", "total",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., object],
        name: str,
        label: str = "",
        parameters: Sequence[str] = (),
    ) -> None:
        self.function = function
        self.name = name
        self.label = label
        self.parameters = tuple(parameters)
        self.started = time.time()
        self.total = 0
        self.has_pickles = True
        self.options: TaskOptions | None = None
        self.content_id = ""
        self.saving: Saver | None = None
        self._kept = 0  # bytes

    @property
    def root(self) -> Run:
        """The run as it was started: another one where calls of it are run again."""
        return self

    @property
    def source(self) -> tuple[str, int]:
        """File and first line of the function; ``""`` and 0 where it has none."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)

    @property
    def title(self) -> str:
        """Function and label."""
        return f"{self.name} · {self.label}" if self.label else self.name

    def options_of(self, state: ResultState) -> TaskOptions | None:  # noqa: ARG002
        """The options of a call, as far as the run knows them."""
        return self.options

    def add(
        self,
        states: Sequence[ResultState],
        calls: Sequence[Packed],
        options: TaskOptions,  # noqa: ARG002 - a map has one for all, which it was made with
    ) -> None:
        """Remember of each call that it belongs here, and what it was called with."""
        first = self.total
        self.total += len(states)
        for index, (state, call) in enumerate(zip(states, calls, strict=True), first):
            state.run = self
            state.index = index
            if call.nbytes <= _MOST_OF_ITEM and self._kept <= _MOST_OF_RUN:
                self._kept += call.nbytes
                state.call = _kept(call)

    def keep(self, state: ResultState, call: Packed) -> None:
        """Keep the arguments of a call, as long as they are small and there is room."""
        if call.nbytes <= _MOST_OF_ITEM and self._kept <= _MOST_OF_RUN:
            self._kept += call.nbytes
            state.call = _kept(call)


class RunOfOthers(Run):
    """A run that another program has made, or this one before it was started again.

    Its calls have no arguments here: these are read from the cluster when they are asked for.

    Attributes:
        was_heard: Whether the program has waited once for news of what had ended before it came.
    """

    __slots__ = ("was_heard",)

    def __init__(
        self,
        function: Callable[..., object],
        name: str,
        label: str = "",
        parameters: Sequence[str] = (),
    ) -> None:
        super().__init__(function, name, label, parameters)
        self.was_heard = False


def unknown_function(*_: object, **_kwargs: object) -> NoReturn:
    """Stands for the function of a run that another program has started.

    Raises:
        UsageError: Always.
    """
    raise UsageError("the function of a run of another program is not known here: pass with_=")


class SingleCalls(Run):
    """The single calls of a task: they are not numbered."""

    __slots__ = ("_own_options",)

    def __init__(
        self,
        function: Callable[..., object],
        name: str,
        label: str = "",
        parameters: Sequence[str] = (),
    ) -> None:
        super().__init__(function, name, label, parameters)
        # Of calls that were given some: most have those of their task.
        self._own_options: weakref.WeakKeyDictionary[ResultState, TaskOptions]
        self._own_options = weakref.WeakKeyDictionary()

    def options_of(self, state: ResultState) -> TaskOptions | None:
        """The options that this call was given, over those of the task; ``None`` without any."""
        return self._own_options.get(state)

    def add(
        self, states: Sequence[ResultState], calls: Sequence[Packed], options: TaskOptions
    ) -> None:
        """Remember of each call that it belongs here, and what it was called with."""
        if options is not getattr(self.function, "options", None):
            self._own_options.update((state, options) for state in states)
        for state, call in zip(states, calls, strict=True):
            state.run = self
            # A call with handles mostly consists of references: these are followed when calls are
            # run again.
            most = _MOST_OF_ITEM if call.refs else _MOST_OF_SINGLE
            if call.nbytes <= most:
                state.call = _kept(call)


class Kept:
    """A state in the place of a weak reference to one; see `Referable.is_kept_by_calls`."""

    __slots__ = ("state",)

    def __init__(self, state: ResultState) -> None:
        self.state = state

    def __call__(self) -> ResultState:
        """The state, which is there as long as the call is."""
        return self.state


class KeptCall(NamedTuple):
    """The arguments of a call as they travel, with arrays or handles in them.

    Attributes:
        blobs: The pickle, then its buffers.
        refs: What stands in the slots of the pickle. Handles of the program are kept weakly: a
            chain of calls must not keep all of its values.
        files: Files among them.
        modules: See `Packed`.
        held: The same states, once the call has failed for want of one: it may be run again.
    """

    blobs: Sequence[Buffer]
    refs: tuple[weakref.ref[ResultState] | Kept, ...]
    files: Sequence[Sealed] = ()
    modules: frozenset[str] = NO_MODULES
    held: tuple[ResultState | None, ...] = ()

    def holding(self) -> KeptCall:
        """The call with strong references to the states that it needs."""
        return self._replace(held=tuple(ref() for ref in self.refs))


def _kept(call: Packed) -> KeptCall | bytes:
    """The arguments of a call, for as long as its handle lives."""
    if len(call.blobs) == 1 and not (call.refs or call.files or call.modules):
        stream = call.blobs[0]
        return stream if isinstance(stream, bytes) else bytes(stream)
    refs = tuple(
        Kept(ref._state) if ref.is_kept_by_calls else weakref.ref(ref._state) for ref in call.refs
    )
    return KeptCall(call.blobs, refs, call.files, call.modules)
