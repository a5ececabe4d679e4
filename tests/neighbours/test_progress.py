"""Progress bars over handles."""

from __future__ import annotations

import io

import pytest

from pymonik import Pymonik, as_completed, task


@task
def inc(n: int) -> int:
    return n + 1


def test_tqdm_counts_handles_as_they_end(client: Pymonik):
    tqdm = pytest.importorskip("tqdm").tqdm
    handles = inc.map_invoke(range(50))
    shown = io.StringIO()
    bar = tqdm(as_completed(handles), total=len(handles), file=shown, mininterval=0)
    assert sum(handle.get() for handle in bar) == sum(range(1, 51))
    assert "50/50" in shown.getvalue()


def test_rich_tracks_handles_as_they_end(client: Pymonik):
    track = pytest.importorskip("rich.progress").track
    from rich.console import Console

    handles = inc.map_invoke(range(20))
    console = Console(file=io.StringIO())
    tracked = track(as_completed(handles), total=len(handles), console=console)
    assert sum(handle.get() for handle in tracked) == sum(range(1, 21))
