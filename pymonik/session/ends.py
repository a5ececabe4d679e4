"""How a session and its calls have ended. States fail here and nowhere else."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from pymonik.errors import DependencyFailedError, TaskCancelledError
from pymonik.session.result import Status
from pymonik.session.run import KeptCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pymonik.code.opened_result import OpenedResult
    from pymonik.session.result import ResultState

    TellPrinted = Callable[[ResultState, OpenedResult | None], object]

# Failed states that are remembered until the session ends, for `on_unseen` and for what must not be
# purged.
_MOST_FAILURES = 10_000
# Failed calls whose inputs and outputs stay: as many as `transport.purges` leaves of a session.
_MOST_KEPT = 1_000


class Failures:
    """Calls that failed, and what they need; in the hands of the session.

    The thread of a session must not keep them: each state refers to the session, which is closed
    when its client is dropped and nothing else refers to it any more.

    Attributes:
        states: Neither cancelled nor failed for want of an input, until somebody has looked.
        kept: Inputs and holds, of one call each.
    """

    __slots__ = ("__weakref__", "kept", "states")

    def __init__(self) -> None:
        self.states: list[ResultState] = []
        self.kept: list[tuple[object, ...]] = []

    def take(self) -> list[ResultState]:
        """The states, each of which is given once."""
        states, self.states = self.states, []
        return states


class Ends:
    """What all parts of a session's machine ask before they begin anything.

    Args:
        tell_printed: Called with calls that have ended, and the results that hold their values, for
            what they have printed; ``None`` where that is heard while they run.
        keeps_failed: Whether what calls need that failed is to outlive their handles: others may
            look at them and run them again.

    Attributes:
        closed: Why nothing new is submitted, once that is so.
        is_over: Whether the session has ended, for the control plane too or since that is gone.
        failed_results: Results of calls that failed, neither cancelled nor for want of an input; as
            many as a purge leaves.
    """

    def __init__(
        self, tell_printed: TellPrinted | None = None, *, keeps_failed: bool = False
    ) -> None:
        self._tell_printed = tell_printed
        self._keeps_failed = keeps_failed
        self.closed: BaseException | None = None
        self.is_over = False
        self.failed_results: dict[str, None] = {}
        self._failures: weakref.ref[Failures] | None = None

    def tell(self, failures: Failures) -> None:
        """Have calls that fail remembered there, as long as somebody else refers to it."""
        self._failures = weakref.ref(failures)

    def fail_all(self, states: Iterable[ResultState], error: BaseException) -> None:
        """End those that are pending."""
        for state in states:
            self.fail(state, error)

    def fail(self, state: ResultState, error: BaseException) -> None:
        """End it, if it is pending."""
        if state.status is not Status.PENDING:
            return
        # Not `isinstance`: it asks an object for its `__class__`, which an exception of the user's
        # may have as a property that raises, and this runs in the session's own thread.
        kind = type(error)
        if issubclass(kind, DependencyFailedError) and isinstance(state.call, KeptCall):
            state.call = state.call.holding()
        is_own = not issubclass(kind, TaskCancelledError | DependencyFailedError)
        if is_own:
            self._remember(state)
        state.fail(error)
        if self._tell_printed is not None:
            self._tell_printed(state, None)

    def _remember(self, state: ResultState) -> None:
        """Before the state fails: it then lets go of its task, which has the inputs."""
        if state.result_id and len(self.failed_results) < _MOST_KEPT:
            self.failed_results[state.result_id] = None
        failures = self._failures() if self._failures is not None else None
        if failures is None:
            return
        if self._keeps_failed and len(failures.kept) < _MOST_KEPT:
            failures.kept.append((state.awaited and state.awaited.inputs, state.holds))
        if len(failures.states) < _MOST_FAILURES:
            failures.states.append(state)

    def tell_printed(self, state: ResultState, opened: OpenedResult) -> None:
        """A call has ended well, and its value is in this result."""
        if self._tell_printed is not None and opened.meta.output:
            self._tell_printed(state, opened)
