"""What a running task keeps until its end, where it is not to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code import codec
from pymonik.executor.files import INLINE_LIMIT
from pymonik.executor.frames import Run
from pymonik.executor.subtasks import SubtaskSession
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


def test_files_of_a_call_that_failed_are_removed_and_those_before_stay(tmp_path: Path) -> None:
    run = Run(
        task_id="t", session_id="s", files={}, payload_id="p", output_id="o", folder=str(tmp_path)
    )
    function = FunctionRef("content", "result", "f")
    meta = PayloadMeta(function=function, calls=(CallMeta(1, ()),), environment=Environment())
    session = SubtaskSession(run, meta)
    large = codec.pack(bytes(2 * INLINE_LIMIT))
    session.put([large], ["kept"])
    kept = list(tmp_path.iterdir())
    mark = session.begin_call()
    session.put([large, large], ["dropped", "dropped"])
    session.undo(mark)
    assert list(tmp_path.iterdir()) == kept
    assert [one.name for one in session.created()] == ["kept"]
