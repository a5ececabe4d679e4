"""The view of calls as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

from pymonik.code import codec
from pymonik.options import TaskOptions
from pymonik.runs.notebook import hover
from pymonik.runs.tally import Tally
from pymonik.runs.view import MOST_TILES, fragment
from pymonik.session.result import ResultState
from pymonik.session.run import Run


class Tiles(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tiles: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "i":
            self.tiles.append(dict(attrs))


def calls(number: int) -> list[ResultState]:
    states = [ResultState(None, "f") for _ in range(number)]  # type: ignore[arg-type]
    run = Run(print, "f", "study", ("mesh", "dt"))
    run.add(states, [codec.pack_call((n,), {"dt": 0.5}) for n in range(number)], TaskOptions())
    return states


def html(states: list[ResultState], **given: object) -> str:
    return fragment(Tally(states, "f <study>", 0.0).look(1.0), **given)  # type: ignore[arg-type]


def test_each_item_has_a_tile_that_says_what_it_is() -> None:
    states = calls(3)
    states[1].fail(ValueError("<b>no</b>"))
    text = html(states, hover=lambda place: hover(states[place]))
    tiles = Tiles(text).tiles
    assert [tile["class"] for tile in tiles] == ["p", "f", "p"]
    assert tiles[1]["title"] == "1 failed · mesh=1, dt=0.5 · ValueError: <b>no</b>"
    assert "<b>no</b>" not in text
    assert "f &lt;study&gt;" in text


def test_many_items_share_tiles_and_a_failure_is_not_hidden() -> None:
    states = calls(100_000)
    states[51_234].fail(ValueError("no"))
    text = html(states)
    tiles = Tiles(text).tiles
    assert len(tiles) <= 500
    (failed,) = [tile for tile in tiles if tile["class"] == "f"]
    assert failed["title"] == "51200 to 51399: 1 failed, 199 pending"
    assert len(text) < 100_000


def test_a_view_stands_alone() -> None:
    tags = set(Tiles(html(calls(MOST_TILES))).tags)
    assert tags == {"style", "div", "b", "span", "i"}
    assert "http" not in html(calls(3))
