"""Waiting for calls as a person sees it: a line meanwhile, and reasons when time is over."""

from __future__ import annotations

import contextlib
import queue
import sys
from typing import TYPE_CHECKING, Final, TypeVar

from pymonik.errors import PymonikError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.session.result import ResultState

_T = TypeVar("_T")

QUIET_S: Final = 0.5  # seconds; nobody needs to be told why a shorter wait takes so long
# Seconds; shorter waits ask whether something is there, perhaps thousands of times, and reasons
# cost a few requests.
_POLL_S: Final = 0.1


def wait(
    block: Callable[[float | None], object], states: Sequence[ResultState], timeout: float | None
) -> None:
    """Block; show how things come along where somebody sees it.

    Args:
        block: Blocks for at most as many seconds, and then raises `WaitTimeoutError`.
        states: What is waited for.
        timeout: Seconds; ``None`` waits without limit.

    Raises:
        WaitTimeoutError: Some are pending after ``timeout``; the message says why.
    """
    quiet_s = QUIET_S if timeout is None else min(QUIET_S, timeout)
    try:
        try:
            block(quiet_s)
        except WaitTimeoutError:
            if quiet_s == timeout:
                raise
            with _shown(states):
                block(None if timeout is None else timeout - quiet_s)
    except WaitTimeoutError:
        raise over(states, timeout) from None
    finally:
        update_views()


def take(
    get: Callable[[float | None], _T],
    pending: Callable[[], Sequence[ResultState]],
    left: float | None,
) -> _T:
    """Take the next of many that end; show how things come along while that takes long.

    Args:
        get: Blocks for at most as many seconds, and then raises `queue.Empty`.
        pending: Gives what is waited for.
        left: Seconds; ``None`` waits without limit.

    Raises:
        queue.Empty: Nothing came.
    """
    quiet_s = QUIET_S if left is None else min(QUIET_S, left)
    try:
        return get(quiet_s)
    except queue.Empty:
        if quiet_s == left:
            raise
        with _shown(pending()):
            return get(None if left is None else left - quiet_s)
    finally:
        update_views()


def over(
    states: Sequence[ResultState], timeout: float | None, total: int | None = None
) -> WaitTimeoutError:
    """The error that says how many are pending, and why.

    Args:
        states: What was waited for.
        timeout: Seconds that have passed.
        total: How many there were, if there are more than ``states``.
    """
    left = sum(not state.is_final for state in states)
    text = f"{left} of {total or len(states)} results are pending after {timeout} s"
    if timeout is not None and timeout >= _POLL_S and (reasons := _reasons(states)):
        text = f"{text}\n{reasons}"
    return WaitTimeoutError(text)


def _reasons(states: Sequence[ResultState]) -> str:
    from pymonik.runs.looks import title
    from pymonik.runs.watch import why_states

    try:
        return why_states(states, title(states)).brief
    except PymonikError:  # the control plane is away, which is a reason that it tells by itself
        return ""


def _is_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from pymonik.runs.notebook import is_notebook

    return is_notebook()


@contextlib.contextmanager
def _shown(states: Sequence[ResultState]) -> Iterator[None]:
    """Show how the calls come along until the block is left."""
    from pymonik.runs.looks import started, title

    if _is_notebook():
        from pymonik.runs.notebook import NotebookView, is_shown

        if not is_shown(states):
            NotebookView(states, title(states), started(states)).show()
        yield
        return
    from pymonik.runs import displays, terminal
    from pymonik.runs.watch import Watch

    out = terminal.stream()
    if out is None:
        yield
        return
    line = terminal.TerminalLine(Watch(states, title(states), started(states)), out)
    displays.add(line)
    try:
        yield
    finally:
        line.hide()


def update_views() -> None:
    """Bring what is shown up to date: somebody has waited for it, perhaps in a cell that ends."""
    # A module that nobody has imported shows nothing: it is not imported for that.
    if (live := sys.modules.get("pymonik.runs.live")) is not None:
        live.catch_up()
    if (notebook := sys.modules.get("pymonik.runs.notebook")) is not None:
        notebook.update_open_views()
