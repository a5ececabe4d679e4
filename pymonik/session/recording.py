"""`Recording`: what a session that outlives its program knows of calls by their content.

::

    a call ──► its key ──► found in the session, not taken yet ──► its handle, nothing is sent
                      └──► new ──► a record names its item, its key and its output, before it leaves

A program that comes back makes the same calls in the same order. So the runs of one label are
compared in the order in which they were started, each once: a program that makes the same run
twice, on purpose, gets two.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from pymonik.session.again import RunAgain, past
from pymonik.session.run import SingleCalls
from pymonik.wire.call import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymonik.session.protocol import Submission
    from pymonik.session.recorded import RecordedItem, RecordedRun
    from pymonik.session.result import ResultState
    from pymonik.session.run import Run
    from pymonik.wire.containers import Buffer

    CallKeys = Callable[[Submission, Callable[[ResultState], bytes]], list[bytes]]


class Recording:
    """Keys of the calls of one session, and the runs that it had when the program came to it.

    Callers, and the threads that send tasks, use it.

    Args:
        call_keys: Gives the keys of the calls of a submission, from those of the results they need.
        found: Runs of the session, in the order in which they were started. Items that never left
            are left out of them: they are sent like new ones.
    """

    def __init__(self, call_keys: CallKeys, found: Sequence[RecordedRun] = ()) -> None:
        self._call_keys = call_keys
        self._found = [run for run in found if not run.single]
        self._single = [run for run in found if run.single]
        self._lock = threading.RLock()
        self._keys: WeakKeyDictionary[ResultState, bytes] = WeakKeyDictionary()
        self._runs: WeakKeyDictionary[Run, _Numbering] = WeakKeyDictionary()
        # Of items that were asked for: two handles of one item have one state, so that both stand
        # for the new call when it is run again.
        self._came: WeakValueDictionary[tuple[str, int], ResultState] = WeakValueDictionary()

    def stored(self, state: ResultState, segments: Sequence[Buffer]) -> None:
        """Remember what a stored value holds: calls that get it are known by that."""
        digest = blake2b(digest_size=KEY_BYTES)
        for segment in segments:
            digest.update(segment)
        self._keys[state] = digest.digest()

    def submitted(self, submission: Submission) -> tuple[list[bytes], list[RecordedItem | None]]:
        """The keys of calls, and those of them that were found and are now taken."""
        keys = self._call_keys(submission, self.key)
        run = submission.run
        if run is None or isinstance(run, RunAgain):
            return keys, [None] * len(keys)
        label = submission.options.label or submission.function.name
        with self._lock:
            numbering = self._numbering(run, label, submission.function.name, keys)
            return keys, [numbering.take(number, key) for number, key in enumerate(keys, run.total)]

    def add(self, states: Sequence[ResultState], keys: Sequence[bytes]) -> None:
        """Remember the keys of the calls of these states.

        A call that is run again, by another function perhaps, stands for the one that it was.
        """
        for state, key in zip(states, keys, strict=True):
            run = state.run
            if isinstance(run, RunAgain):
                key = self._key_before(state, run) or key
            elif run is not None and state.index >= 0:
                self._runs[run].keys[state.index] = key
            self._keys[state] = key

    def _key_before(self, state: ResultState, run: RunAgain) -> bytes:
        """The key of the call that is run again."""
        for one in past(state):
            if known := self._keys.get(one):
                return known
        numbering = self._runs.get(run.root)
        return b"" if numbering is None else numbering.keys.get(state.index, b"")

    def states(self) -> dict[tuple[str, int], ResultState]:
        """The states that the program holds, by where their values stand."""
        held = list(self._keys)
        found = {(one.result_id, one.item): one for one in held if one.result_id is not None}
        return dict(self._came) | found

    def came(self, run: Run, found: RecordedRun, states: Mapping[int, ResultState]) -> None:
        """Items of a run of the session were asked for: calls of it may be run again.

        Args:
            run: What they have in common in this program.
            found: The run as its records tell of it.
            states: Of the items by number.
        """
        with self._lock:
            self._runs[run] = (_Single if found.single else _Numbering)(found)
        for number, state in states.items():
            self._came[state.result_id or "", state.item] = state
            if (item := found.items.get(number)) is not None and item.key:
                self._keys[state] = item.key

    def key(self, state: ResultState) -> bytes:
        """The key of a call or of a stored value; of another result one made of its place."""
        # A handle that comes out of a file, and whose session is not recorded, is known by its
        # place only.
        if known := self._keys.get(state.whole):
            return _digest(known + state.output.encode()) if state.output else known
        place = state.place
        return _digest(f"{place.result_id}/{place.item}/{place.output}".encode())

    def numbers(self, run: Run, states: Sequence[ResultState]) -> tuple[str, list[int]]:
        """The id of a run of calls that are about to leave, and their numbers in it."""
        with self._lock:
            numbering = self._runs.get(run.root)
            if numbering is None:  # the run was made before this program came
                numbering = self._runs[run.root] = _Numbering(None)
            return numbering.run, [numbering.number(state) for state in states]

    def _numbering(self, run: Run, label: str, name: str, keys: Sequence[bytes]) -> _Numbering:
        known = self._runs.get(run)
        if known is None:
            is_single = isinstance(run, SingleCalls)
            found = self._take_single(label, name) if is_single else self._take(label, name, keys)
            kind = _Single if is_single else _Numbering
            known = self._runs[run] = kind(found)
        return known

    def _take(self, label: str, name: str, keys: Sequence[bytes]) -> RecordedRun | None:
        """The first of the runs with this label all of whose items are what is called now."""
        for run in self._found:
            if (run.label, run.function.name) != (label, name):
                continue
            known = [(run.items[i].key, key) for i, key in enumerate(keys) if i in run.items]
            if known and all(one == other for one, other in known):
                self._found.remove(run)
                return run
        return None

    def _take_single(self, label: str, name: str) -> RecordedRun | None:
        for run in self._single:
            if (run.label, run.function.name) == (label, name):
                self._single.remove(run)
                return run
        return None


class _Numbering:
    """Which items of a run are which, in its records.

    Attributes:
        run: The id of the run.
        keys: Of its items by number, where they have one.
    """

    def __init__(self, found: RecordedRun | None) -> None:
        self.run = found.run if found is not None else secrets.token_hex(8)
        self._items = dict(found.items) if found is not None else {}
        self.keys = {number: item.key for number, item in self._items.items()}

    def take(self, number: int, key: bytes) -> RecordedItem | None:
        """The item that was found, if it is the same call."""
        item = self._items.pop(number, None)
        return item if item is not None and item.key == key else None

    def number(self, state: ResultState) -> int:
        """The number of a call in its run: its index."""
        return state.index


class _Single(_Numbering):
    """The numbering of single calls, which have no index and come in any order: by their keys."""

    def __init__(self, found: RecordedRun | None) -> None:
        super().__init__(found)
        self._by_key: dict[bytes, deque[RecordedItem]] = {}
        for item in self._items.values():
            self._by_key.setdefault(item.key, deque()).append(item)
        self._next = 1 + max(self._items, default=-1)
        self._numbers: WeakKeyDictionary[ResultState, int] = WeakKeyDictionary()
        self._found = found.numbers() if found is not None else {}

    def take(self, number: int, key: bytes) -> RecordedItem | None:  # noqa: ARG002
        """The first item with the key that was not taken."""
        items = self._by_key.get(key)
        return items.popleft() if items else None

    def number(self, state: ResultState) -> int:
        """The number of a call; the same at each look, since a request may be repeated.

        A call that is run again has the number that it had.
        """
        for one in reversed(past(state)):
            if (number := self._known(one)) is not None:
                break
        else:
            number, self._next = self._next, self._next + 1
        self._numbers[state] = number
        return number

    def _known(self, state: ResultState) -> int | None:
        number = self._numbers.get(state)
        return self._found.get((state.result_id or "", state.item)) if number is None else number


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=KEY_BYTES).digest()
