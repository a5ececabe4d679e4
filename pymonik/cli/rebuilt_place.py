"""The folder of a call of the past: its files lie there as they did, read from the cluster."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError, UsageError
from pymonik.executor.frames import Run
from pymonik.executor.packed_options import packed
from pymonik.executor.workplace import Workplace
from pymonik.options import TaskOptions

if TYPE_CHECKING:
    from pymonik.runs.stored_calls import Reading, StoredTask
    from pymonik.wire.call import FileRef


class RebuiltPlace(Workplace):
    """A folder that stays when the call has ended: somebody wants to see what it has left.

    Args:
        task: Of the call.
        read: Gives the data of results.
    """

    def __init__(self, task: StoredTask, read: Reading) -> None:
        self._read = read
        row = task.row
        self.run = Run(
            task_id=row.first_id,
            session_id=row.session_id,
            files={},
            payload_id=row.payload,
            output_id=row.outputs[0] if row.outputs else "",
            packed_options=packed(row.limits or TaskOptions()),
            folder=tempfile.mkdtemp(prefix="pymonik-replay-"),
        )
        super().__init__(self.run)

    def is_forgotten(self) -> bool:
        """Whether nothing lies in the folder; it is removed then."""
        if os.listdir(self.folder):  # noqa: PTH208 - no `Path`, as in the base
            return False
        self.leave()
        shutil.rmtree(self.run.folder, ignore_errors=True)
        return True

    def source(self, ref: FileRef) -> bytes:
        """The bytes of the result in which a file lies.

        Raises:
            UsageError: It was deleted.
        """
        try:
            return bytes(self._read(ref.result_id))
        except ControlPlaneError as error:
            raise UsageError(
                f"the file {ref.name!r} (result {ref.result_id}) is not there any more: "
                f"{error.detail}"
            ) from error
