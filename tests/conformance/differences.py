"""Where a run differs from those of a real ArmoniK, and what `docs/differences.md` says of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.report import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

OBSERVED = Path(__file__).with_name("observed")
PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
WHOLE = "the whole scenario"  # it failed there, so that its observations are not comparable
STORAGES = ("files", "database")
_LINE = re.compile(r" *(\d+) (.*)")


class Difference(NamedTuple):
    """An observation that is not the same on an ArmoniK with this object storage."""

    number: int
    what: str
    storage: str


def found(run: Path) -> set[Difference]:
    """How a run, as JSON, differs from those observed."""
    return {one for storage in STORAGES for one in _against(storage, run)}


def documented() -> set[Difference]:
    """The rows of the table of the page."""
    rows = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines()]
    return {
        Difference(int(row[0]), row[1].strip("`"), storage)
        for row in rows
        if row[0].isdigit()
        for storage in (STORAGES if row[2] == "both" else (row[2],))
    }


def _against(storage: str, run: Path) -> Iterator[Difference]:
    path = OBSERVED / f"armonik-core-f437e239-{storage}.json"
    scenarios = json.loads(path.read_text())["scenarios"]
    failed = {one["number"] for one in scenarios if one["status"] == "FAIL"}
    for text in differences(path, run):
        match = _LINE.match(text)
        assert match, text
        number = int(match[1])
        yield Difference(number, WHOLE if number in failed else match[2], storage)
