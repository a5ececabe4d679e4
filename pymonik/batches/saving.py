"""`Saving`: the files of calls, saved as each of them ends.

::

    a call ends ──► thread "pymonik-callbacks" ──┐
    somebody gets its value ─────────────────────┴──► saved once, then told in the ledger

Whoever gets the value of a call finds its files saved; so does whoever leaves the block.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pymonik.batches.target import Target
from pymonik.errors import CommandError
from pymonik.files.client_reader import ClientReader, complete
from pymonik.runs.logs import logs_of
from pymonik.session.callbacks import Callback, Callbacks
from pymonik.session.result import Status

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pymonik.batches.ledger import Ledger
    from pymonik.code.opened_result import OpenedResult
    from pymonik.files.file import File
    from pymonik.session.result import ResultState

    class Handle(Protocol):
        """A handle, of which nothing else is known here."""

        _state: ResultState

        @property
        def files(self) -> dict[str, File]:
            """The files of its call."""


_log = logging.getLogger(__name__)

# Bytes that the ledger keeps of a value: it is a text file that is read as a whole. A call with a
# larger value is run again.
_MOST_OF_VALUE: Final = 4 * 1024 * 1024


class _Waiting:
    """A call whose files are not saved yet."""

    __slots__ = ("index", "is_told", "key", "lock", "state")

    def __init__(self, state: ResultState, index: int, key: str) -> None:
        self.state = state
        self.index = index
        self.key = key
        self.lock = threading.RLock()  # held while they are saved
        self.is_told = False  # why they cannot be: to whoever got the value


class Saving:
    """Saves the files of the calls of one `map_invoke`. Thread-safe.

    Args:
        target: Where.
        ledger: What is told of it.

    Attributes:
        skipped: Calls that were not run again.
    """

    def __init__(self, target: Target, ledger: Ledger) -> None:
        self.target = target
        self._ledger = ledger
        self._callbacks = Callbacks()
        self._waiting: dict[int, _Waiting] = {}  # by id of the state, which it holds
        self.skipped = 0

    def follow(self, state: ResultState, index: int, key: str) -> None:
        """Save the files of a call once it has ended."""
        self._waiting[id(state)] = _Waiting(state, index, key)
        callback = Callback(self._callbacks, lambda: self._save_quietly(state))
        state.session.observe([state], callback)

    def ensure(self, state: ResultState) -> None:
        """Save the files of a call that has ended, unless they are.

        Raises:
            OSError: They cannot be written.
            UsageError: Two of them have the same place.
        """
        if state.status is Status.PENDING:
            return
        waiting = self._waiting.get(id(state))
        if waiting is not None:
            waiting.is_told = True
            self._save_once(waiting)

    def finish(self) -> None:
        """Save what is left of the calls that have ended; raises as `ensure` does.

        Whoever got the value of a call was told why its files cannot be saved.
        """
        for waiting in list(self._waiting.values()):
            if not waiting.is_told:
                self.ensure(waiting.state)

    def _save_once(self, waiting: _Waiting) -> None:
        with waiting.lock:
            # Asked with the lock held: the thread of callbacks and whoever gets the value come here
            # at once.
            if id(waiting.state) in self._waiting:
                self._save(waiting)
                # After it was saved: an error leaves it among those that wait, and the next one
                # tries again.
                self._waiting.pop(id(waiting.state), None)

    def _save_quietly(self, state: ResultState) -> None:
        try:
            if (waiting := self._waiting.get(id(state))) is not None:
                self._save_once(waiting)
        except Exception as error:  # noqa: BLE001 - whoever gets the value is told, too
            _log.warning("files of a call of %s were not saved: %s", state.name, error)

    def _save(self, waiting: _Waiting) -> None:
        state = waiting.state
        if state.error is not None:
            self._save_of_failure(waiting, state.error)
            return
        opened: OpenedResult = state.session.fetch([state])[0]
        meta = opened.item(state.item)
        files: Mapping[str, Any] = opened.files(state.item, ClientReader(state.session))
        paths = self._saved(waiting.index, files)
        blobs = opened.blobs_of(state.item)
        if waiting.key and sum(len(blob) for blob in blobs) <= _MOST_OF_VALUE:
            slots = opened.file_names(state.item)
            self._ledger.add(
                waiting.index, waiting.key, paths, meta.form, [bytes(b) for b in blobs], slots
            )

    def _save_of_failure(self, waiting: _Waiting, error: BaseException) -> None:
        """What a command kept that failed: it is done again, whatever it left."""
        if issubclass(type(error), CommandError):
            complete(error, waiting.state)
            self._saved(waiting.index, cast("CommandError", error).files)

    def _saved(self, index: int, files: Mapping[str, File]) -> dict[str, Path]:
        paths = self.target.paths(index, files)
        for name, path in paths.items():
            files[name].save(path)
        return paths


def save_logs(handles: Sequence[Handle], pattern: str | os.PathLike[str]) -> list[Path]:
    """Write what calls have printed, each into a file of its own; their paths, in order.

    Raises:
        UsageError: The pattern has no field for the number of the call.
        OSError: They cannot be written.
    """
    target = Target(pattern)
    saved: list[Path] = []
    for index, handle in _numbered(handles):
        path = target.path(index, f"{handle._state.name}.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(logs_of(handle._state), encoding="utf-8")
        saved.append(path)
    return saved


def save_all(handles: Sequence[Handle], pattern: str | os.PathLike[str]) -> list[Path]:
    """Save the files of calls, waiting for them; their paths, in order.

    Raises:
        UsageError: The pattern has no field for the number of the call.
        OSError: They cannot be written.
    """
    target = Target(pattern)
    saved: list[Path] = []
    for index, handle in _numbered(handles):
        files = handle.files
        paths = target.paths(index, files).items()
        saved += [files[name].save(path) for name, path in paths]
    return saved


def _numbered(handles: Sequence[Handle]) -> Iterator[tuple[int, Handle]]:
    """Calls with their numbers in their run, or else in the sequence."""
    for number, handle in enumerate(handles):
        yield (handle._state.index if handle._state.index >= 0 else number), handle
