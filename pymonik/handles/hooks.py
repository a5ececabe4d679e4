"""What a program is told of its calls as they go: ``client.on(TaskFailed, notify)``.

::

    submit ──► TaskSubmitted
    end    ──► TaskCompleted | TaskFailed | TaskCancelled     in the thread of hooks, one by one
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pymonik.errors import UsageError
from pymonik.handles.result_handle import ResultHandle
from pymonik.session.callbacks import Callbacks, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.session.result import ResultState

_SETTLE_S = 10.0  # seconds that the end of a session waits for hooks that are being called


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something has happened to a call; base of the others.

    Attributes:
        handle: Of the call.
    """

    handle: ResultHandle[Any]

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.handle.name

    @property
    def index(self) -> int | None:
        """The number of the call in its map; ``None`` for a single one."""
        return self.handle.index

    @property
    def label(self) -> str:
        """What the program calls the run; ``""`` without a name."""
        run = self.handle._state.run
        return "" if run is None else run.label


@dataclass(frozen=True, slots=True)
class TaskSubmitted(TaskEvent):
    """A call was submitted."""


@dataclass(frozen=True, slots=True)
class TaskCompleted(TaskEvent):
    """A call has ended well; ``event.handle.get()`` is its value."""


@dataclass(frozen=True, slots=True)
class TaskFailed(TaskEvent):
    """A call has failed.

    Attributes:
        error: What `ResultHandle.get` raises.
    """

    error: BaseException


@dataclass(frozen=True, slots=True)
class TaskCancelled(TaskFailed):
    """A call was cancelled."""


E = TypeVar("E", bound=TaskEvent)
Hook = tuple[type[TaskEvent], "Callable[[Any], object]"]


class Hooks:
    """The hooks of one session: an observer of all of its calls."""

    def __init__(self) -> None:
        self._hooks: tuple[Hook, ...] = ()  # replaced, never changed: threads go over it
        self._callbacks = Callbacks()
        self._thread = 0  # id of the thread that calls them, which must not wait for itself

    def add(self, kind: type[E], function: Callable[[E], object]) -> Callable[[], None]:
        """Have ``function`` called for each event of this kind; gives what ends that.

        Raises:
            UsageError: That is no kind of event, or cannot be called.
        """
        given: Any = kind
        if not isinstance(given, type) or not issubclass(given, TaskEvent):
            raise UsageError(f"on() takes TaskFailed or another kind of TaskEvent, not {given!r}")
        if not callable(function):
            raise UsageError(f"a hook is a function, not a {type(function).__name__}")
        hook: Hook = (kind, function)
        self._hooks = (*self._hooks, hook)

        def remove() -> None:
            self._hooks = tuple(one for one in self._hooks if one is not hook)

        return remove

    def submitted(self, states: Sequence[ResultState]) -> None:
        """Calls are about to leave; no thread but the caller's knows of them."""
        wants = any(issubclass(TaskSubmitted, kind) for kind, _ in self._hooks)
        for state in states:
            state.observers = (*state.observers, self)
            if wants:
                self._callbacks.put(partial(self._tell, TaskSubmitted(ResultHandle(state))))

    def ended(self, state: ResultState) -> None:
        """A call has ended; see `pymonik.session.result.Observer`."""
        if self._hooks:
            self._callbacks.put(partial(self._tell_end, state))

    def unanswered(self, error: BaseException) -> None:
        """Nothing to do: a hook waits for nothing."""

    def settle(self) -> None:
        """Wait until hooks were told of what has happened until now, for some seconds at most."""
        if threading.get_ident() == self._thread:
            return
        told = threading.Event()
        self._callbacks.put(told.set)
        told.wait(_SETTLE_S)

    def _tell_end(self, state: ResultState) -> None:
        handle: ResultHandle[Any] = ResultHandle(state)
        if state.error is None:
            self._tell(TaskCompleted(handle))
        elif handle.status == "cancelled":
            self._tell(TaskCancelled(handle, state.error))
        else:
            self._tell(TaskFailed(handle, state.error))

    def _tell(self, event: TaskEvent) -> None:
        self._thread = threading.get_ident()
        for kind, hook in self._hooks:
            if isinstance(event, kind):
                call(partial(hook, event))  # logs what it raises, and goes on
