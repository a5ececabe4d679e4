"""The picture of the code report: bars of the largest packages, files by size and complexity."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 1280, 720
INK, FAINT, GRID, BLUE, RED = "#1f2933", "#6b7785", "#e3e8ee", "#2f6fb2", "#c8442f"
TOP, BOTTOM = 130, 650
BARS, BARS_LEFT, BARS_RIGHT = 16, 175, 540
DOTS_LEFT, DOTS_RIGHT = 660, 1240
LABELS = 8

Point = tuple[int, int, str]  # lines of code, highest complexity, path


def picture(
    title: str, subtitle: str, packages: Sequence[tuple[str, int]], points: Sequence[Point]
) -> str:
    """An SVG; ``packages`` are (name, lines of code), the largest first."""
    parts = [
        (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">'),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(40, 48, title, size=24, weight="bold"),
        text(40, 74, subtitle, fill=FAINT, size=14),
        *bars(packages[:BARS]),
        *dots(points),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def text(
    x: float,
    y: float,
    words: str,
    *,
    fill: str = INK,
    size: int = 13,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line of the grid."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{GRID}"/>'


def bars(packages: Sequence[tuple[str, int]]) -> list[str]:
    """Lines of code by package."""
    parts = [text(40, 104, "Largest packages, lines of code", size=16, weight="bold")]
    most = max((count for _, count in packages), default=1) or 1
    step = (BOTTOM - TOP) / BARS
    for number, (name, count) in enumerate(packages):
        y = TOP + number * step
        width = max((BARS_RIGHT - BARS_LEFT) * count / most, 1)
        label = name if len(name) <= 20 else name[:19] + "…"
        middle = y + step / 2 + 5
        parts += [
            text(BARS_LEFT - 10, middle, label, anchor="end"),
            (f'<rect x="{BARS_LEFT}" y="{y + step * 0.17:.1f}" width="{width:.1f}" '
            f'height="{step * 0.66:.1f}" rx="2" fill="{BLUE}"/>'),
            text(BARS_LEFT + width + 7, middle, f"{count:,}", fill=FAINT),
        ]
    return parts


def dots(points: Sequence[Point]) -> list[str]:
    """Files on logarithmic axes; the outstanding ones have their names."""
    heading = "Files by size and by their most complex function"
    parts = [text(DOTS_LEFT - 34, 104, heading, size=16, weight="bold")]
    x_end = ceiling(max((size for size, _, _ in points), default=10))
    y_end = ceiling(max((complexity for _, complexity, _ in points), default=10))

    def place(size: float, complexity: float) -> tuple[float, float]:
        across = math.log10(max(size, 1)) / math.log10(x_end)
        up = math.log10(max(complexity, 1)) / math.log10(y_end)
        return DOTS_LEFT + across * (DOTS_RIGHT - DOTS_LEFT), BOTTOM - up * (BOTTOM - TOP)

    for mark in marks(x_end):
        x, _ = place(mark, 1)
        parts += [line(x, TOP, x, BOTTOM), text(x, BOTTOM + 19, f"{mark:,}", anchor="middle")]
    for mark in marks(y_end):
        _, y = place(1, mark)
        parts += [line(DOTS_LEFT, y, DOTS_RIGHT, y)]
        parts += [text(DOTS_LEFT - 8, y + 4, f"{mark:,}", anchor="end")]
    middle = (DOTS_LEFT + DOTS_RIGHT) / 2
    parts += [text(middle, BOTTOM + 42, "lines of code in the file", fill=FAINT, anchor="middle")]
    parts += [text(DOTS_LEFT - 34, TOP - 2, "complexity", fill=FAINT, size=12)]

    named = outstanding(points, place)
    for point in sorted(points, key=named.__contains__):
        x, y = place(point[0], point[1])
        colour, opacity, radius = (RED, 0.9, 4.5) if point in named else (BLUE, 0.28, 3.2)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" '
            f'fill-opacity="{opacity}"><title>{escape(point[2])}</title></circle>'
        )
    for halo in (True, False):
        for size, complexity, path in named:
            x, y = place(size, complexity)
            words = path if len(path) <= 34 else "…" + path[-33:]
            parts.append(name_tag(x - 10, y + 4, words, halo=halo))
    return parts


def outstanding(
    points: Sequence[Point], place: Callable[[float, float], tuple[float, float]]
) -> list[Point]:
    """The most complex and largest ones, as far as their names do not touch each other."""
    chosen: list[Point] = []
    taken: list[float] = []
    for point in sorted(points, key=lambda point: -point[1] * point[0] ** 0.4):
        _, y = place(point[0], point[1])
        if len(chosen) < LABELS and all(abs(y - other) >= 15 for other in taken):
            chosen.append(point)
            taken.append(y)
    return chosen


def name_tag(x: float, y: float, words: str, *, halo: bool) -> str:
    """A name, or the white edge below it that keeps it readable among the dots."""
    words = text(x, y, words, anchor="end", weight="bold", size=12)
    if not halo:
        return words
    return f'<g stroke="white" stroke-width="4" stroke-linejoin="round">{words}</g>'


def ceiling(value: int) -> int:
    """The next of 10, 20, 50, 100, 200... above ``value``."""
    power = 10 ** int(math.log10(max(value, 10)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def marks(end: int) -> list[int]:
    """1, 10, 100... and 3, 30, 300... up to ``end``."""
    powers = [10**power for power in range(int(math.log10(end)) + 1)]
    return sorted(mark for power in powers for mark in (power, 3 * power) if mark <= end)
