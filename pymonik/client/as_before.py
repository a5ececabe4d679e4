"""What clients of PymoniK 0.2 call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.context.task_context import in_task
from pymonik.tasks.arguments import NO_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.files.materialized import Materialize
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.tasks.task import Task


class AsBefore:
    """Names that programs for PymoniK 0.2 use, beside those that have stayed."""

    NoInput = NO_INPUT
    _uploads: dict[str, ResultHandle[bytes]]  # by the hash of the content

    if TYPE_CHECKING:

        def put(self, value: Any, name: str | None = None) -> ResultHandle[Any]:
            """See `Pymonik`."""

    def is_worker(self) -> bool:
        """Whether this runs in a task."""
        return in_task()

    def register_tasks(self, tasks: Iterable[Task[..., Any]]) -> None:
        """Pickle the functions now rather than with their first calls, which send them.

        Raises:
            SerializationError: A function cannot be pickled.
        """
        for one in tasks:
            one.packed()

    def upload_materialize(self, mat: Materialize, force_upload: bool = False) -> Materialize:  # noqa: FBT001, FBT002
        """Store the content of a file or folder, once for each content; gives ``mat`` itself.

        Args:
            mat: What `materialize` gave.
            force_upload: Store it even if the same content was stored.
        """
        if force_upload or mat.content_hash not in self._uploads:
            self._uploads[mat.content_hash] = self.put(mat.content(), f"file {mat.source_path}")
        mat.handle = self._uploads[mat.content_hash]
        mat.result_id = mat.handle.result_id
        return mat
