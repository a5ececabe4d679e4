"""A picture of a run: bars for each workload, and throughput against the number of calls."""

from __future__ import annotations

import math
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.peer import PEERS
from benchmarks.report import number
from benchmarks.workloads import WORKLOADS

WIDTH, LEFT, BAR, GAP = 860, 190, 16, 26
_PLOT = (WIDTH - 2 * LEFT + 120, 260)  # of the curves
_COLOURS = {
    "pymonik": "#d1495b",
    "process_pool": "#8d99ae",
    "loky": "#6d8a96",
    "ray": "#00798c",
    "dask": "#edae49",
    "parsl": "#5c4d7d",
    "executorlib": "#66a182",
}
_OTHER = "#444444"
_CURVE = "scaling"
_SHOWN = (
    "first result",
    "median",
    "loop",
    "map",
    "chunks",
    "chain",
    "tree",
    "put 200 MB",
    "get 200 MB",
    "result 200 MB",
    "100 readers",
    "10 ms tasks",
    "client",
    "cluster",
)


def draw(found: dict[str, Any]) -> str:
    """An SVG of what `report.as_json` gives."""
    parts: list[str] = []
    y = 30.0
    if found["scale"] == "quick":
        parts.append(_text(10, y, "quick: a hundredth of the calls, arrays up to 1 MB"))
        y += GAP
    for (workload, metric), values in _panels(found).items():
        parts += _bars(workload, metric, values, y)
        y += GAP + BAR * len(values) + 14
    if curves := _curves(found):
        parts += _plot(curves, y + 20)
        y += _PLOT[1] + 110
    style = "<style>text{font:12px sans-serif;fill:#222}.t{font-weight:bold}</style>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:.0f}">'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, style, ground, *parts, "</svg>"]) + "\n"


def _panels(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    panels: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for one in found["measures"]:
        if one["workload"] != _CURVE and one["metric"] in _SHOWN:
            key = (one["workload"], one["metric"])
            panels.setdefault(key, {})[one["peer"]] = one
    return panels


def _bars(workload: str, metric: str, values: dict[str, Any], y: float) -> list[str]:
    known = WORKLOADS[workload]
    better = "more is better" if known.more_is_better else "less is better"
    title = f"{known.title}: {metric} ({known.unit}, {better})"
    most = max((one["median"] for one in values.values()), default=1) or 1
    parts = [_text(10, y, title, 'class="t"')]
    for row, (peer, one) in enumerate(values.items()):
        top = y + 8 + row * BAR
        length = max(1.0, (WIDTH - LEFT - 120) * one["median"] / most)
        parts.append(_text(LEFT - 8, top + 11, PEERS[peer].label, 'text-anchor="end"'))
        parts.append(
            f'<rect x="{LEFT}" y="{top:.1f}" width="{length:.1f}" height="{BAR - 3}" '
            f'fill="{_COLOURS.get(peer, _OTHER)}"/>'
        )
        parts.append(_text(LEFT + length + 6, top + 11, number(one["median"])))
    return parts


def _curves(found: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for one in found["measures"]:
        if one["workload"] == _CURVE and one["median"] > 0:
            curves.setdefault(one["peer"], []).append((float(one["metric"]), one["median"]))
    return curves


def _plot(curves: dict[str, list[tuple[float, float]]], y: float) -> list[str]:
    """Both axes logarithmic."""
    points = [point for curve in curves.values() for point in curve]
    first, last = _decades([x for x, _ in points])
    low, high = _decades([v for _, v in points])
    width, height = _PLOT

    def place(x: float, value: float) -> tuple[float, float]:
        across = (math.log10(x) - first) / (last - first)
        up = (math.log10(value) - low) / (high - low)
        return 70 + width * across, y + 20 + height * (1 - up)

    parts = [_text(10, y, "Calls per second, against the number of calls in the loop", 'class="t"')]
    for power in range(low, high + 1):
        x, line = place(10**first, 10**power)
        parts.append(f'<path d="M{x:.0f} {line:.1f}h{width}" stroke="#ddd"/>')
        parts.append(_text(x - 6, line + 4, number(10**power), 'text-anchor="end"'))
    for power in range(first, last + 1):
        x, base = place(10**power, 10**low)
        parts.append(_text(x, base + 18, number(10**power), 'text-anchor="middle"'))
    for row, (peer, curve) in enumerate(curves.items()):
        colour = _COLOURS.get(peer, _OTHER)
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in sorted(curve))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label_y = y + 30 + row * 18
        parts.append(
            f'<rect x="{90 + width}" y="{label_y - 9:.0f}" width="12" height="10" fill="{colour}"/>'
        )
        parts.append(_text(108 + width, label_y, PEERS[peer].label))
    return parts


def _decades(values: list[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'
