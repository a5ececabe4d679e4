"""Objects that a task asks for by the id of their result, as PymoniK 0.2 had it.

::

    handle.result_id ──► `StoredId`, a text ──► argument of a call: the value travels with it
                                            ──► in the task: `ObjectFiles.retrieve` gives the value
"""

from __future__ import annotations

import pickle  # for files that the function of the user reads with it
import weakref
from pathlib import Path
from typing import Any, Final

from pymonik.code.references import Referable
from pymonik.errors import UsageError

_NOT_HERE: Final = object()  # the value of an id that came alone, as a text


class StoredId(str):
    """The id of a stored value. As an argument of a call it brings the value along.

    It is a text in every other way.

    Attributes:
        stored: Refers to the value: a handle in the client, the value itself in a task.
    """

    stored: Any = _NOT_HERE

    def __new__(cls, text: str, stored: Any) -> StoredId:
        """The id ``text`` of what ``stored`` refers to."""
        made = super().__new__(cls, text)
        made.stored = stored
        return made

    def __reduce__(self) -> tuple[object, ...]:
        # What stands for the value in a call is replaced by the value.
        if isinstance(self.stored, Referable):
            return StoredId, (str(self), self.stored)
        return str, (str(self),)


class ObjectFiles:
    """The objects that a task asked for, each in a file of a folder that goes with this object."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def path(self, result_id: str) -> Path:
        """Where the object is, or would be."""
        name = str(result_id)
        if not name or Path(name).name != name:
            raise UsageError(f"{name!r} is not the id of a result")
        if self._folder is None:
            import shutil  # most tasks ask for no object by its id
            import tempfile

            self._folder = Path(tempfile.mkdtemp(prefix="pymonik-objects-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / name

    def retrieve(self, result_id: str) -> Any:
        """The value, which is written to its file.

        Raises:
            UsageError: It did not come with the arguments of the call.
        """
        if not isinstance(result_id, StoredId) or isinstance(result_id.stored, Referable):
            raise UsageError(
                "only an object of put() whose handle.result_id is an argument of this call can "
                "be retrieved; better pass the handle itself: the task gets the value"
            )
        self.path(result_id).write_bytes(pickle.dumps(result_id.stored))
        return result_id.stored
