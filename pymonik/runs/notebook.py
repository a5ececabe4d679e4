"""A view of calls in a notebook: one display that changes in place, and stays as it was last.

Displays are told by an id of ours, which all front ends of Jupyter understand: the classic one,
JupyterLab, VS Code, nbclient and papermill. Nothing is installed in them.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
import weakref
from typing import TYPE_CHECKING, Any, Final

from pymonik.code.shown import shown_call
from pymonik.runs import displays
from pymonik.runs.error_lines import summary
from pymonik.runs.figures import seconds_of
from pymonik.runs.snapshot_lines import line
from pymonik.runs.view import fragment
from pymonik.runs.watch import Watch
from pymonik.wording import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.tally import Snapshot
    from pymonik.session.result import ResultState

_OFTEN_S: Final = 0.5  # seconds between two updates, as long as they are small
_BYTES_PER_S: Final = 100_000  # of updates: larger ones come less often
_open: weakref.WeakSet[NotebookView] = weakref.WeakSet()  # those that may still change


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    module: Any = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return hasattr(shell, "kernel")


class NotebookView:
    """Shows calls, and follows them until they have ended.

    Args:
        states: Of the calls.
        title: Function and label.
        started: When the first was submitted, in seconds since the epoch.
    """

    def __init__(self, states: Sequence[ResultState], title: str, started: float) -> None:
        self._states = states
        self._watch = Watch(states, title, started)
        self._hovers: dict[int, str] = {}  # of items that have ended, which stay as they are
        self._id = f"pymonik-{uuid.uuid4().hex}"
        self._lock = threading.RLock()  # so that an older view does not come after a newer one
        self._shown = ""
        self._next = 0.0

    def shows(self, states: Sequence[ResultState]) -> bool:
        """Whether it shows all of these."""
        return len(states) <= len(self._states) and set(map(id, states)) <= set(
            map(id, self._states)
        )

    def html(self, snapshot: Snapshot) -> str:
        """The view of a snapshot."""
        return fragment(snapshot, self._hover)

    def look(self) -> Snapshot:
        """What is so now."""
        return self._watch.look(time.time())

    def show(self) -> None:
        """Display it in the cell that runs now, and keep it up to date."""
        snapshot = self.look()
        with self._lock:
            self._publish(snapshot, is_new=True)
        if snapshot.left:
            _open.add(self)
            displays.add(self)

    def refresh(self, now: float) -> bool:
        """Update it, if it is time."""
        if now < self._next:
            return True
        self._watch.ask(now)
        return self.update(now)

    def update(self, now: float) -> bool:
        """Update it now, if something has changed; ``False`` at the end."""
        with self._lock:
            snapshot = self._watch.look(now)
            self._publish(snapshot, is_new=False)
        if not snapshot.left:
            _open.discard(self)
        return bool(snapshot.left)

    def _publish(self, snapshot: Snapshot, *, is_new: bool) -> None:
        import IPython.display

        show: Any = IPython.display.display if is_new else IPython.display.update_display
        html = self.html(snapshot)
        # Nothing has changed: the front end need not draw it again.
        if html == self._shown:
            return
        self._shown = html
        self._next = time.time() + max(_OFTEN_S, len(html) / _BYTES_PER_S)
        data = {"text/html": html, "text/plain": line(snapshot)}
        show(data, raw=True, display_id=self._id)

    def _hover(self, place: int) -> str:
        state = self._states[place]
        if (text := self._hovers.get(place)) is not None:
            return text
        text = hover(state)
        if state.is_final:
            self._hovers[place] = text
        return text


def hover(state: ResultState) -> str:
    """Arguments, seconds and error of a call, as far as they are known."""
    parts = []
    if state.call is not None and state.run is not None:
        stream = state.call if isinstance(state.call, bytes) else state.call.blobs[0]
        parts.append(shown_call(stream, state.run.parameters, longest=80))
    if (seconds := seconds_of(state)) is not None:
        parts.append(span(seconds))
    if state.error is not None:
        parts.append(str(summary(state.error)))
    return " · ".join(part for part in parts if part)


def update_open_views() -> None:
    """Bring all views up to date at once, from the cell that runs.

    What follows a notebook from outside, such as nbclient, only hears what comes while a cell runs.
    """
    for view in list(_open):
        view.update(time.time())


def is_shown(states: Sequence[ResultState]) -> bool:
    """Whether an open view shows all of these."""
    return any(view.shows(states) for view in list(_open))
