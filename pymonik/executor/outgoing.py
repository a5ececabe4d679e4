"""Files of a call on their way out: small ones with its value, large ones as raw results."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.content import copies, objects, raw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from pymonik.code.references import Sealed
    from pymonik.executor.frames import Run
    from pymonik.executor.workplace import Workplace
    from pymonik.wire.call import FileRef
    from pymonik.wire.containers import Buffer

    class Creator(Protocol):
        """What makes raw results of files: the session of a task."""

        def file_id(self, digest: str) -> str | None:
            """The id of one of this content, if there is one."""

        def add_file(self, name: str, path: str, digest: str) -> str:
            """Have a file become one, and not be ours any more; its id."""


SMALL: Final = 64 * 1024  # bytes of a file up to which it travels inside the value of its call
# Bytes of all such files of one call: who needs only the value fetches these as well.
_MOST_WITH_VALUE: Final = 1024 * 1024
# Files of one call that become results of their own. Of more, one result is made, a tar: each
# result is a row of the control plane, which it may have to keep for days.
MOST_RESULTS: Final = 256

_numbers = itertools.count()


class Outgoing:
    """The files of one call on their way out.

    Args:
        run: The task.
        session: Creates results.
        place: The folder of the call, whose files may be taken away; ``None`` if it has none.
    """

    def __init__(self, run: Run, session: Creator, place: Workplace | None) -> None:
        self._folder = objects.large_folder(Path(run.folder))
        self._session = session
        self._place = place

    def send(
        self, files: Sequence[Sealed], first_blob: int
    ) -> tuple[tuple[FileRef, ...], list[Buffer]]:
        """Where each of the files will be, and the bytes of those that go with the value.

        Args:
            files: Of the call.
            first_blob: The number that the first blob of a file has.
        """
        blobs: list[Buffer] = []
        refs: dict[int, FileRef] = {}
        large: list[int] = []
        room = _MOST_WITH_VALUE
        for number, file in enumerate(files):
            if file.is_uploaded:
                refs[number] = file.ref
            elif file.ref.size <= min(SMALL, room):
                room -= file.ref.size
                refs[number] = msgspec.structs.replace(file.ref, blob=first_blob + len(blobs))
                blobs.append(raw.content(file))
            else:
                large.append(number)
        sent = self._sent([files[number] for number in large])
        refs.update(zip(large, sent, strict=True))
        return tuple(refs[number] for number in range(len(files))), blobs

    def _sent(self, files: Sequence[Sealed]) -> Sequence[FileRef]:
        return self._packed(files) if len(files) > MOST_RESULTS else list(map(self.alone, files))

    def alone(self, file: Sealed) -> FileRef:
        """A file as a raw result; equal ones of the task are one result."""
        known = self._session.file_id(file.ref.digest)
        if known is None:
            path = self._free_path()
            self._take(file, path)
            known = self._session.add_file(file.ref.name, path, file.ref.digest)
        return msgspec.structs.replace(file.ref, result_id=known, blob=-1, offset=0)

    def _take(self, file: Sealed, path: str) -> None:
        """Have the file lie at ``path``: moved if it is the call's own, else copied."""
        if file.data is not None:
            Path(path).write_bytes(file.data)
        elif self._is_ours(file.path):
            os.rename(file.path, path)  # noqa: PTH104 - on the same file system
        else:
            copies.copy_file(file.path, path, size=file.ref.size)
        os.chmod(path, 0o644)  # noqa: PTH101 - an agent that has another user has to read it

    def _is_ours(self, path: str) -> bool:
        place = self._place
        if place is None or not place.contains(path) or place.is_linked(path):
            return False
        return not os.path.islink(path) and os.stat(path).st_nlink == 1  # noqa: PTH114, PTH116

    def _packed(self, files: Sequence[Sealed]) -> list[FileRef]:
        """Many files as one raw result, in which each has its place."""
        import tarfile  # most executors never need it

        path = self._free_path()
        refs: list[FileRef] = []
        with tarfile.open(path, "x", format=tarfile.PAX_FORMAT) as tar:
            for file in files:
                info = tarfile.TarInfo(file.ref.name)
                info.size = file.ref.size
                info.mode = 0o755 if file.ref.is_executable else 0o644
                head = len(
                    info.tobuf(tarfile.PAX_FORMAT, tar.encoding or "utf-8", tar.errors or "")
                )
                refs.append(msgspec.structs.replace(file.ref, offset=tar.offset + head))
                self._append(tar, info, file)
        os.chmod(path, 0o644)  # noqa: PTH101
        result_id = self._session.add_file("files.tar", path, "")
        return [msgspec.structs.replace(ref, result_id=result_id) for ref in refs]

    def _append(self, tar: object, info: object, file: Sealed) -> None:
        import io

        writer, head = tar, info
        if file.data is not None:
            writer.addfile(head, io.BytesIO(file.data))  # type: ignore[attr-defined]
            return
        with open(file.path, "rb") as source:  # noqa: PTH123
            writer.addfile(head, source)  # type: ignore[attr-defined]

    def _free_path(self) -> str:
        return objects.path_in(self._folder, f"{os.getpid()}-{next(_numbers)}.file")
