"""A command on this machine, without a cluster: what calling its task does."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from typing import IO, TYPE_CHECKING, Any

import msgspec

from pymonik.code.exceptions import exception_of
from pymonik.code.opened_result import OpenedResult
from pymonik.errors import CommandError, UsageError
from pymonik.executor.command_call import CommandCall
from pymonik.executor.frames import Run
from pymonik.executor.measures import origin_of
from pymonik.executor.outgoing import Outgoing
from pymonik.executor.workplace import Workplace
from pymonik.files.client_reader import ClientReader
from pymonik.files.completed import Completed
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, Command, ResultMeta

if TYPE_CHECKING:
    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.code.references import Sealed
    from pymonik.wire.call import FileRef


class _Files:
    """Where files lie in the temporary folder of one call, in place of results.

    Args:
        folder: It is removed with this: the files of the value hold it.
    """

    def __init__(self, folder: str) -> None:
        # A finalizer, not a `with`: the caller reads files of the value long after the command has
        # ended.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.paths: dict[str, str] = {}
        self.data: dict[str, bytes] = {}

    def placed(self, file: Sealed) -> FileRef:
        """A file as an input: always a copy, since to link it is to make it read-only."""
        if not file.ref.size:
            return file.ref
        place = f"file {len(self.paths) + len(self.data)}"
        if file.data is not None:
            self.data[place] = file.data
        elif file.path:
            self.paths[place] = file.path
        else:
            raise UsageError(f"the file {file.ref.name!r} is in a cluster: save it first")
        return msgspec.structs.replace(file.ref, result_id=place, offset=0, is_linked=False)

    def file_id(self, digest: str) -> str | None:
        """No two outputs share a place here."""
        del digest
        return None

    def add_file(self, name: str, path: str, digest: str) -> str:
        """An output, which lies at its path from now on."""
        del name, digest
        place = f"file {len(self.paths) + len(self.data)}"
        self.paths[place] = path
        return place

    def open_file(self, result_id: str) -> IO[bytes]:
        """The bytes of an output, as a session gives them."""
        return open(self.paths[result_id], "rb")  # noqa: PTH123


def run_here(function: PackedFunction, call: Packed) -> Completed:
    """Run one call of a command in a temporary folder.

    Raises:
        CommandError: It ended with an exit code that is not ok.
        UsageError: An argument is in a cluster.
    """
    if call.refs:
        raise UsageError("a handle as an argument needs a cluster: use invoke")
    folder = tempfile.mkdtemp(prefix="pymonik-command-")
    files = _Files(folder)
    # Files of the command itself, as its scripts, are inputs too.
    for sealed in function.files:
        sealed.ref = files.placed(sealed)
    meta = CallMeta(1, files=tuple(map(files.placed, call.files)))
    run = Run(
        task_id="",
        session_id="",
        files=files.paths,
        data=files.data,
        payload_id="",
        output_id="",
        folder=folder,
    )
    place = Workplace(run)
    try:
        command = function.placed()
        assert isinstance(command, Command)
        one = CommandCall(command, meta, call.blobs, None, place)
        outgoing = Outgoing(run, files, place)
        item, blobs = one.outcome(outgoing, lambda: origin_of(run, 0, time.time()))
    finally:
        place.leave()
    segments = containers.join(ResultMeta(items=(item,), chunked=True), blobs)
    return _value(OpenedResult(b"".join(segments)), ClientReader(files))


def _value(opened: OpenedResult, reader: ClientReader) -> Completed:
    value: Any = opened.value(0, reader=reader)
    if isinstance(value, Completed):
        return value
    error = exception_of(value)
    if isinstance(error, CommandError):
        error.files.update(opened.files(0, reader))
    raise error
