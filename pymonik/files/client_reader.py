"""Values that came to a client and are no pickles: files, what commands gave, why they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pymonik.errors import CommandError

if TYPE_CHECKING:
    from pymonik.code.opened_result import OpenedResult
    from pymonik.code.references import Sealed
    from pymonik.files.completed import Completed
    from pymonik.files.file import File
    from pymonik.files.stored import Contents, Stored
    from pymonik.session.result import ResultState
    from pymonik.wire.call import FileRef
    from pymonik.wire.command_lines import Ran


class ClientReader:
    """Makes files of what gives their bytes, such as a session.

    See `pymonik.code.references.Reader`.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._packs: dict[str, Stored] = {}  # files of one pack share it

    def file(self, ref: FileRef, data: Any) -> File:
        """A file in the cluster, or one whose bytes came with the value."""
        from pymonik.files.file import File  # every value has a reader, and few hold a file
        from pymonik.files.stored import Stored

        if data is not None:
            return File.of(ref, stored=Stored(data=bytes(data)))
        if ref.result_id not in self._packs:
            self._packs[ref.result_id] = Stored(self._contents, ref.result_id)
        return File.of(ref, stored=self._packs[ref.result_id])

    def completed(self, ran: Ran, files: dict[str, Any]) -> Completed:
        """What a command gave."""
        from pymonik.files.completed import Completed  # most programs run no commands

        return Completed.of(ran, files)


def as_argument(sealed: Sealed, contents: Contents) -> File:
    """A file that was an argument of a call, as the program passes it again."""
    from pymonik.files.file import File  # most calls that are made again have no files
    from pymonik.files.stored import Stored

    # It came with a value or as bytes: there is no file of it on this machine.
    if not sealed.path:
        stored = Stored(contents, sealed.ref.result_id, sealed.data)
        return File.of(sealed.ref, stored=stored)
    return File(sealed.path, sealed.ref.name, link=sealed.ref.is_linked)


def files_of(state: ResultState, opened: OpenedResult) -> dict[str, File]:
    """The files of a call: those in its value, and its outputs."""
    found: dict[str, Any] = opened.files(state.item, ClientReader(state.session))
    return found


def complete(error: BaseException, state: ResultState) -> None:
    """Give the error of a command the outputs that it kept, once."""
    # Not `isinstance`, which asks an exception of the user's for its `__class__`.
    if not issubclass(type(error), CommandError):
        return
    error = cast("CommandError", error)
    if error.keeps_files:
        error.keeps_files = False
        error.files.update(files_of(state, state.session.fetch([state])[0]))
