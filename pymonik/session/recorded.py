"""Runs as their records tell of them: what a program finds that comes to a session of another.

A record tells of a part of a run (see `RunRecord`); `recorded_runs` puts them together. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pymonik.session.labels import title
from pymonik.wire.call import KEY_BYTES, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymonik.wire.call import BuiltIn, FunctionRef, RunRecord


class RecordedItem(NamedTuple):
    """Where the value of an item is, or will be.

    Attributes:
        output_id: The result.
        place: Where in the result the value stands; `WHOLE` where it is the value.
        key: What was called with what, by content; empty where that is not known.
        task_id: The task that produces the result, as submitted, once the lists have told it.
    """

    output_id: str
    place: int
    key: bytes
    task_id: str = ""

    @property
    def at(self) -> tuple[str, int]:
        """Where the value stands, as one thing to look for."""
        return self.output_id, self.place


class RecordedRun(msgspec.Struct):
    """A run of a session.

    Attributes:
        run: Its id.
        session_id: Of the session that it belongs to.
        items: By number, as the latest record has them; of those that never left the client there
            is no task.
        earlier: By number, what an item was before it was run again, the oldest first.
        nonces: Of the clients that submitted parts of it.
        written: When the last of its records was.

    The others are those of `RunRecord`, from the record that was written first.
    """

    run: str
    session_id: str
    label: str
    function: FunctionRef | BuiltIn
    parameters: tuple[str, ...] = ()
    total: int = 0
    single: bool = False
    started: float = 0.0
    written: float = 0.0
    items: dict[int, RecordedItem] = msgspec.field(default_factory=dict)
    earlier: dict[int, list[RecordedItem]] = msgspec.field(default_factory=dict)
    nonces: list[str] = msgspec.field(default_factory=list)

    @property
    def title(self) -> str:
        """Function and label."""
        return title(self.function.name, self.label)

    @property
    def outputs(self) -> list[str]:
        """The results in which values of items are, each once, in order."""
        items = [*self.items.values(), *(one for some in self.earlier.values() for one in some)]
        return list(dict.fromkeys(item.output_id for item in items))

    def numbers(self) -> dict[tuple[str, int], int]:
        """The numbers of items by where their values stand, or have stood before they ran again."""
        before = {one.at: number for number, some in self.earlier.items() for one in some}
        return before | {item.at: number for number, item in self.items.items()}

    def add(self, record: RunRecord) -> None:
        """Take in one more record of it, which was written later than those before.

        Calls that were run again may have another function: the run is still that which was
        started, and the program that started it looks for it under the name of that.
        """
        if not self.written:
            self.function, self.parameters = record.function, record.parameters
        self.total = max(self.total, record.total)
        self.started = min(self.started or record.started, record.started)
        self.written = record.written
        if record.nonce not in self.nonces:
            self.nonces.append(record.nonce)
        for number, item in _items(record):
            if (known := self.items.get(number)) is not None and known.at != item.at:
                self.earlier.setdefault(number, []).append(known)
            self.items[number] = item


def recorded_runs(records: Iterable[tuple[str, RunRecord]]) -> list[RecordedRun]:
    """The runs that records tell of, in the order in which they were started.

    Args:
        records: Each with the id of the session that it was found in.
    """
    runs: dict[str, RecordedRun] = {}
    for session_id, record in sorted(records, key=lambda pair: pair[1].written):
        run = runs.get(record.run)
        if run is None:
            run = runs[record.run] = RecordedRun(
                record.run, session_id, record.label, record.function, single=record.single
            )
        run.add(record)
    for run in runs.values():
        run.items = dict(sorted(run.items.items()))
        run.total = max(run.total, 1 + max(run.items, default=-1))
    return sorted(runs.values(), key=lambda run: run.started)


def _items(record: RunRecord) -> Iterator[tuple[int, RecordedItem]]:
    for task in record.tasks:
        for place, number in enumerate(task.items):
            if number < 0:
                continue
            key = task.keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]
            yield number, RecordedItem(task.output_id, place if task.chunked else WHOLE, key)
