"""Calls of a `map_invoke` whose files are there already, made by this very call.

A call is known by the digests of its code, its arguments (files by their content), what it gets
around it and what it gives: see `pymonik.cache.keys`. Its files must look as they did when they
were saved.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.batches.ledger import Ledger
from pymonik.batches.saving import Saving
from pymonik.batches.target import Target
from pymonik.cache.keys import arguments_key, environment_key, keys
from pymonik.cache.walk import CannotDigestError
from pymonik.code import codec
from pymonik.code.references import Known
from pymonik.errors import UsageError
from pymonik.files.completed import Completed
from pymonik.files.file import File
from pymonik.handles.result_handle import ResultHandle
from pymonik.session.remote import RemoteSession
from pymonik.session.result import ResultState
from pymonik.wire.call import COMPLETED, JSON
from pymonik.wire.command_lines import ran_decoder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from pymonik.batches.ledger import Entry
    from pymonik.code.codec import Packed
    from pymonik.code.references import Named
    from pymonik.session.protocol import Session, Submission

_log = logging.getLogger(__name__)


class SavedHandle(Known, ResultHandle[Any]):
    """The handle of a call that was not run again: its value is known, its files are on a disk.

    As an argument it is its value.
    """

    __slots__ = ("_files",)

    def __init__(self, state: ResultState, value: object, files: dict[str, File]) -> None:
        super().__init__(state)
        self._value = value
        self._files = files

    def known_value(self) -> object:
        """The value, for whoever gets the handle as an argument."""
        return self._value

    @property
    def files(self) -> dict[str, File]:
        """The files of the call by name, where they were saved."""
        return dict(self._files)


class Batch:
    """The calls of one `map_invoke` whose files are saved.

    Args:
        task: What is called.
        save_to: See `Target`.
        resumes: Whether calls are left out whose files are there.
        session: Where the others are submitted.

    Raises:
        UsageError: In a task, or of a task that gives no files.
    """

    def __init__(
        self,
        task: Named,
        save_to: str | os.PathLike[str],
        session: Session,
        *,
        resumes: bool,
    ) -> None:
        if not isinstance(session, RemoteSession):
            raise UsageError("save_to= is for programs: a task has no folder to save to")
        self._task = task
        self._session = session
        target = Target(save_to)
        # A target in the current folder has its files among those that the code may well read.
        self._made_in = "" if str(target.folder) == "." else str(target.folder)
        self._ledger = Ledger(target)
        self.saving = Saving(target, self._ledger)
        self._entries = self._ledger.entries() if resumes else {}
        self._index = 0  # of the next call; calls that are not run again count too
        session.before_close(self.saving.finish)

    # -- keys ------------------------------------------------------------------------------------

    def packed(
        self, call: Packed, args: tuple[Any, ...], kwargs: Mapping[str, Any], seed: object
    ) -> Packed:
        """The call with the digest of its arguments; the same where they have none."""
        try:
            return msgspec.structs.replace(
                call, digest=arguments_key(args, kwargs, seed, takes_files=True)
            )
        except CannotDigestError as error:
            _log.debug("a call cannot be resumed: of its arguments %s", error)
            return msgspec.structs.replace(call, digest=b"")

    def _keys(self, submission: Submission, calls: Sequence[Packed]) -> list[str]:
        function = submission.function
        around = environment_key(submission.options, self._session.environment)
        outputs = getattr(self._task, "outputs", ())
        found: list[str] = []
        code = self._session.code_of(function, calls)
        for call in calls:
            if not call.digest:
                found.append("")
                continue
            try:
                own = (
                    function.content_id
                    if function.built_in is not None
                    else keys.code(self._task, function, call, code, self._made_in).digest
                )
            except CannotDigestError as error:
                _log.warning("calls of %s cannot be resumed: %s", function.name, error)
                return [""] * len(calls)
            text = repr((own, around, call.digest, outputs))
            found.append(hashlib.sha256(text.encode()).hexdigest()[:32])
        return found

    # -- calls -----------------------------------------------------------------------------------

    def submit(
        self,
        submission: Submission,
        calls: Sequence[Packed],
        submit: Callable[[Sequence[Packed]], list[ResultState]],
    ) -> list[ResultHandle[Any]]:
        """The handles of these calls; those are submitted that have to run."""
        first, self._index = self._index, self._index + len(calls)
        known = self._keys(submission, calls)
        handles: list[ResultHandle[Any] | None] = [
            self._resumed(first + number, key, submission) for number, key in enumerate(known)
        ]
        due = [number for number, handle in enumerate(handles) if handle is None]
        self.saving.skipped += len(calls) - len(due)
        run = submission.run
        states = submit([calls[number] for number in due]) if due else []
        if run is not None:
            run.total = self._index
            run.saving = self.saving
        for number, state in zip(due, states, strict=True):
            state.index = first + number
            self.saving.follow(state, first + number, known[number])
            handles[number] = ResultHandle(state)
        return [handle for handle in handles if handle is not None]

    def _resumed(self, index: int, key: str, submission: Submission) -> SavedHandle | None:
        """The handle of a call that need not run again."""
        entry = self._entries.get(index)
        if entry is None or not key or entry.key != key:
            return None
        paths = self._ledger.paths(entry)
        if paths is None or paths != self.saving.target.paths(index, paths):
            return None
        files = {name: File(path, name) for name, path in paths.items()}
        try:
            value = _value(entry, files)
        except Exception as error:  # noqa: BLE001 - code of the user's has changed, perhaps
            _log.debug("the value of call %d cannot be read again: %s", index, error)
            return None
        state = ResultState(self._session, submission.function.name)
        state.run, state.index = submission.run, index
        state.complete()
        return SavedHandle(state, value, files)


def _value(entry: Entry, files: dict[str, File]) -> object:
    """The value of a call that has ended before, with its files where they were saved."""
    if entry.form == COMPLETED:
        return Completed.of(ran_decoder.decode(entry.blobs[0]), files)
    if entry.form == JSON:
        return msgspec.json.decode(entry.blobs[0])
    return codec.unpack(entry.blobs, file=lambda slot: files[entry.slots[slot]])
