"""The page as one file with its data in it: a report of a run, or of a cluster as it is now."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError
from pymonik.page import as_json, graph
from pymonik.page.columns import run_data
from pymonik.page.run_views import HeldRun
from pymonik.page.template import document
from pymonik.runs.figures import read_heads
from pymonik.runs.watch import Listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.page.board import Board
    from pymonik.runs.rows import TaskRow
    from pymonik.session.result import ResultState

_MOST_TASKS: Final = 20_000  # of which bars are drawn
_ASKED_TOGETHER: Final = 500  # tasks in one request


def report(states: Sequence[ResultState], title: str, started: float) -> str:
    """A page of these calls.

    Args:
        states: Of the calls.
        title: Function and label.
        started: When the first was submitted, in seconds since the epoch.
    """
    with contextlib.suppress(PymonikError):  # the cluster is gone: what is known is shown
        read_heads(states)
    view = HeldRun("report", states, title, started)
    now = time.time()
    rows = _tasks(view)
    view.found = {row.first_id: row for row in rows if row.status != "RETRIED"}
    snapshot = view.look(now)
    data = {
        "at": now,
        "endpoint": "",
        "runs": [as_json.run(view, snapshot)],
        "workers": [],
        "partitions": [],
        "sessions": [],
        "environments": [],
        "detail": {view.key: run_data(view, rows, now) | {"graph": graph.of_states(states)}},
    }
    return document(f"{title} · pymonik", data=data)


def cluster_page(board: Board, refresh_s: int = 0) -> str:
    """A page of all that a board shows."""
    return document("pymonik", data=board.everything(), refresh_s=refresh_s)


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Put a text where a file is; whoever reads it meanwhile has the old or the new one."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # `mkstemp` gives a file to its owner alone: this one is to be as readable as any other of
        # the user.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    # The umask can only be asked for by setting another one.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _tasks(view: HeldRun) -> list[TaskRow]:
    """The tasks of the calls, as far as the control plane still knows them."""
    ids = sorted(view.tasks())[:_MOST_TASKS]
    lists = next(
        (one.session.lists for one in view.states if isinstance(one.session, Listed)), None
    )
    if lists is None:
        return []
    found: list[TaskRow] = []
    with contextlib.suppress(PymonikError):
        for start in range(0, len(ids), _ASKED_TOGETHER):
            part = ids[start : start + _ASKED_TOGETHER]
            # With their retried attempts, which have bars of their own.
            found += lists.tasks(first_ids=part, limit=4 * len(part))
    return found
