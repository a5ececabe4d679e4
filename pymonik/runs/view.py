"""A `Snapshot` as a fragment of HTML: it stands alone, without scripts and without links.

Up to `MOST_TILES` items have a tile each; of more, each tile stands for as many that follow each
other, so that a view of a million items is no larger than one of two thousand.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from pymonik.runs.snapshot_lines import group, line
from pymonik.runs.tally import Mark
from pymonik.wording import count, size, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymonik.runs.tally import Snapshot

MOST_TILES: Final = 2_000
_BINS: Final = 500  # tiles of a view with more items than that
_ERRORS: Final = 5  # groups of errors that are shown

_CLASSES: Final = {
    Mark.PENDING: "p",
    Mark.RUNNING: "r",
    Mark.OK: "o",
    Mark.FAILED: "f",
    Mark.CANCELLED: "c",
}
_WORDS: Final = {
    Mark.PENDING: "pending",
    Mark.RUNNING: "running",
    Mark.OK: "ok",
    Mark.FAILED: "failed",
    Mark.CANCELLED: "cancelled",
}
# The mark that a tile of several items shows: a failure must not be hidden by its neighbours.
_WORST_FIRST: Final = (Mark.FAILED, Mark.CANCELLED, Mark.RUNNING, Mark.OK, Mark.PENDING)
# Colours as on the page, told apart on light and dark, and by shape as well.
_STYLE: Final = """<style>
.pymonik{font:13px/1.5 system-ui,sans-serif;max-width:62em}
.pymonik b{font-weight:600}
.pymonik .n{font-variant-numeric:tabular-nums;opacity:.85;margin-left:.8em}
.pymonik .t{display:flex;flex-wrap:wrap;gap:2px;margin:.4em 0}
.pymonik .t i{width:9px;height:9px;border-radius:2px;background:#8883;display:block}
.pymonik .t .o{background:#4fa583}.pymonik .t .f{background:#c43e22;border-radius:0}
.pymonik .t .c{background:#c09a3e;border-radius:50%}
.pymonik .t .r{background:repeating-linear-gradient(45deg,#3b6fd1 0 2px,#8884 2px 4px)}
.pymonik .e{color:#cf4a2e}.pymonik .s{opacity:.75}
.pymonik pre{margin:.2em 0;white-space:pre-wrap;font-size:12px;opacity:.85}
</style>"""


def fragment(snapshot: Snapshot, hover: Callable[[int], str] | None = None) -> str:
    """What a notebook shows.

    Args:
        snapshot: What is shown.
        hover: What there is to say of the item at a place, besides its number and how far it is.
    """
    title, _, numbers = line(snapshot).partition("   ")
    parts = [
        _STYLE,
        f'<div class="pymonik"><div><b>▸ {escape(title)}</b>',
        f'<span class="n">{escape(numbers)}</span></div>',
        f'<div class="t" role="img" aria-label="{escape(line(snapshot))}">',
        "".join(_tiles(snapshot, hover)),
        "</div>",
    ]
    parts += _notes(snapshot)
    if snapshot.why:
        parts.append(f"<pre>{escape(snapshot.why)}</pre>")
    return "".join([*parts, "</div>"])


def _notes(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.slowest is not None:
        index, seconds = snapshot.slowest
        median = span(snapshot.median_s)
        memory = f" · memory at most {size(snapshot.peak_bytes)}" if snapshot.peak_bytes else ""
        yield f'<div class="s">slowest {index}: {span(seconds)} (median {median}){memory}</div>'
    for errors in snapshot.errors[:_ERRORS]:
        yield f'<div class="e">{escape(group(errors))}</div>'
    more = len(snapshot.errors) - _ERRORS
    if more > 0:
        yield f'<div class="e">and {count(more, "other kind")} of errors</div>'


def _tiles(snapshot: Snapshot, hover: Callable[[int], str] | None) -> Iterator[str]:
    if snapshot.total > MOST_TILES:
        yield from _bins(snapshot)
        return
    for place, number in enumerate(snapshot.marks):
        mark = Mark(number)
        text = f"{snapshot.indexes[place]} {_WORDS[mark]}"
        if hover is not None and (more := hover(place)):
            text = f"{text} · {more}"
        yield f'<i class="{_CLASSES[mark]}" title="{escape(text)}"></i>'


def _bins(snapshot: Snapshot) -> Iterator[str]:
    size = -(-snapshot.total // _BINS)
    for first in range(0, snapshot.total, size):
        marks = snapshot.marks[first : first + size]
        counts = {mark: marks.count(mark) for mark in _WORST_FIRST}
        there = [mark for mark in _WORST_FIRST if counts[mark]]
        # A part of which some items are done is as strong in colour as many of them are.
        ended = 1 - (counts[Mark.PENDING] + counts[Mark.RUNNING]) / len(marks)
        strength = 1.0 if there[0] is Mark.FAILED else 0.35 + 0.65 * ended
        words = ", ".join(f"{counts[mark]} {_WORDS[mark]}" for mark in there)
        indexes = snapshot.indexes
        title = f"{indexes[first]} to {indexes[first + len(marks) - 1]}: {words}"
        yield f'<i class="{_CLASSES[there[0]]}" style="opacity:{strength:.2f}" title="{title}"></i>'
