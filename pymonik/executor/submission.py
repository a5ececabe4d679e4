"""Replaces the stand-ins of a report by the ids that the results got."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pymonik.executor import files
from pymonik.executor.frames import Created, Report, Subtask
from pymonik.wire import containers
from pymonik.wire.call import NEW, ItemMeta, PayloadMeta, ResultMeta, ResultRef, rebound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymonik.wire.containers import Buffer

BoundReport = Report  # a report with real ids: only the name tells the two apart


def bind(report: Report, new_id: Callable[[str], str] | Mapping[str, str]) -> BoundReport:
    """``report`` with real ids everywhere, in the heads of its payloads too.

    Args:
        report: What an executor answered.
        new_id: The real id for each `Created.stand_in`; as a function, it is called once for each.
    """
    if not report.created:
        return report
    stand_ins = [created.stand_in for created in report.created]
    get = new_id if callable(new_id) else new_id.__getitem__
    ids = {stand_in: get(stand_in) for stand_in in stand_ins}
    payloads = {subtask.payload for subtask in report.subtasks}
    return Report(
        output=_bound_output(report.output, ids),
        output_path=report.output_path,
        created=[_bound_created(one, ids, payloads) for one in report.created],
        subtasks=[_bound_subtask(one, ids) for one in report.subtasks],
        forgotten=report.forgotten,
    )


def _bound_subtask(subtask: Subtask, ids: dict[str, str]) -> Subtask:
    return msgspec.structs.replace(
        subtask,
        payload=ids[subtask.payload],
        output=ids.get(subtask.output, subtask.output),
        dependencies=[ids.get(one, one) for one in subtask.dependencies],
    )


def _bound_created(created: Created, ids: dict[str, str], payloads: set[str]) -> Created:
    real = ids[created.stand_in]
    # Only payloads of subtasks name other results in their heads; data of values and functions do
    # not.
    if created.stand_in not in payloads:
        return msgspec.structs.replace(created, stand_in=real)
    if created.path is not None:
        path = _rewritten(created.path, ids)
        return msgspec.structs.replace(created, stand_in=real, path=path)
    data = b"".join(_bound_payload(created.data or b"", ids))
    return msgspec.structs.replace(created, stand_in=real, data=data)


def _bound_payload(container: Buffer, ids: dict[str, str]) -> list[Buffer]:
    meta, blobs = containers.split(container)
    if not isinstance(meta, PayloadMeta):
        raise TypeError("a subtask's payload is no payload")
    return containers.join(rebound(meta, ids), blobs)


def _rewritten(path: str, ids: dict[str, str]) -> str:
    """The head changes its length, so the file is written again."""
    bound = files.save(str(Path(path).parent), _bound_payload(files.load(path), ids))
    Path(path).unlink()
    return bound


def _bound_output(output: bytes | None, ids: dict[str, str]) -> bytes | None:
    """Items of a chunk may stand in results that the task created."""
    if output is None:
        return None
    meta, blobs = containers.split(output)
    if not isinstance(meta, ResultMeta) or not any(is_new(item) for item in meta.items):
        return output
    items = tuple(_bound_item(item, ids) for item in meta.items)
    return b"".join(containers.join(msgspec.structs.replace(meta, items=items), blobs))


def is_new(item: ItemMeta) -> bool:
    """Whether an item refers to results that the task has created: they have stand-ins."""
    if item.ref is not None:
        return item.ref.result_id.startswith(NEW)
    return any(file.result_id.startswith(NEW) for file in item.files) or any(
        is_new(one) for _, one in item.outputs
    )


def _bound_item(item: ItemMeta, ids: dict[str, str]) -> ItemMeta:
    if item.files:
        files = (
            msgspec.structs.replace(file, result_id=ids.get(file.result_id, file.result_id))
            for file in item.files
        )
        item = msgspec.structs.replace(item, files=tuple(files))
    if item.outputs:
        outputs = tuple((name, _bound_item(one, ids)) for name, one in item.outputs)
        item = msgspec.structs.replace(item, outputs=outputs)
    if item.ref is None:
        return item
    ref = ResultRef(ids.get(item.ref.result_id, item.ref.result_id), item.ref.item)
    return msgspec.structs.replace(item, ref=ref)
