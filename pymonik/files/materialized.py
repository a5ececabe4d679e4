"""Files and folders that travel to where a task runs, as PymoniK 0.2 had them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik.code.references import Referable
from pymonik.errors import UsageError

if TYPE_CHECKING:
    import os

_BLOCK = 1 << 20  # bytes that are read at once


@dataclass
class Materialize:
    """A file or folder of the client, and where it is to be where a task runs.

    Made by `materialize`, uploaded by `Pymonik.upload_materialize`. As an argument of a call it is
    written to ``worker_path`` before the function runs, unless the same content is there.

    Attributes:
        source_path: In the client.
        worker_path: Where the task runs.
        content_hash: SHA-256 of the content; of a folder: of the paths and contents in it.
        is_directory: Whether it is a folder.
        result_id: Of the uploaded content; ``None`` before.
    """

    source_path: str
    worker_path: str
    content_hash: str
    is_directory: bool
    result_id: str | None = None
    handle: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.source_path = str(Path(self.source_path).resolve())
        self.worker_path = str(Path(self.worker_path))

    def __reduce__(self) -> tuple[object, ...]:
        if self.result_id is None:
            raise UsageError(
                f"{self.source_path} was not uploaded: call upload_materialize() of the client"
            )
        fields = (self.source_path, self.worker_path, self.content_hash, self.is_directory)
        return _arrived, (*fields, str(self.result_id), self.handle)

    def content(self) -> bytes:
        """The bytes of the file, or of a ZIP archive of the folder."""
        source = Path(self.source_path)
        if not self.is_directory:
            return source.read_bytes()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in _files(source):
                packed.write(path, path.relative_to(source))
        return archive.getvalue()

    def is_there(self) -> bool:
        """Whether the content stands at ``worker_path``."""
        target = Path(self.worker_path)
        if not (target.is_dir() if self.is_directory else target.is_file()):
            return False
        return _hash_of(target) == self.content_hash

    def write(self, content: bytes) -> None:
        """Write the content to ``worker_path``, if it is not there."""
        if self.is_there():
            return
        target = Path(self.worker_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self.is_directory:
            target.write_bytes(content)
            return
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            packed.extractall(target)


def materialize(
    source_path: str | os.PathLike[str], worker_path: str | os.PathLike[str]
) -> Materialize:
    """A file or folder that is to be at ``worker_path`` where a task runs.

    Raises:
        FileNotFoundError: There is nothing at ``source_path``.
        ValueError: It is neither a file nor a folder.
    """
    source = Path(source_path)
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    if not source.is_file() and not source.is_dir():
        raise ValueError(f"{source} is neither a file nor a folder")
    return Materialize(str(source), str(worker_path), _hash_of(source), source.is_dir())


def _arrived(
    source: str,
    worker: str,
    content_hash: str,
    is_directory: bool,  # noqa: FBT001 - `__reduce__` has no keywords
    result_id: str,
    content: Any,
) -> Materialize:
    """Where the task runs, ``content`` has arrived and is written."""
    made = Materialize(source, worker, content_hash, is_directory, result_id)
    if isinstance(content, Referable):  # unpickled in the client
        made.handle = content
    elif content is not None:
        made.write(content)
    return made


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
        return digest.hexdigest()
    for file in _files(path):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        _add(digest, file)
    return digest.hexdigest()


def _add(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
