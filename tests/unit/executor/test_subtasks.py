"""What a running task keeps until its end, where it is not to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code import codec
from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction
from pymonik.executor.files import INLINE_LIMIT
from pymonik.executor.frames import Run
from pymonik.executor.subtasks import SubtaskSession
from pymonik.options import TaskOptions
from pymonik.session.protocol import Submission
from pymonik.wire import containers
from pymonik.wire.call import BundleRef, CallMeta, FunctionRef, PayloadMeta
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


def test_subtasks_need_the_files_and_settings_of_their_task(tmp_path: Path) -> None:
    bundle = BundleRef("ab12", ("manifest", "pack"))
    run = Run(
        task_id="task",
        session_id="session",
        files={},
        payload_id="payload",
        output_id="output",
        folder=str(tmp_path),
    )
    function = FunctionRef("f1", "function", "work")
    meta = PayloadMeta(
        function=function,
        calls=(CallMeta(1, ()),),
        bundle=bundle,
        settings=b"settings",
        locals=False,
    )
    session = SubtaskSession(run, meta)
    session.submit(
        Submission(
            function=PackedFunction("f1", "work", b""),
            calls=[Packed((b"",), 0)],
            options=TaskOptions(),
        )
    )
    (subtask,) = session.subtasks()
    assert {"function", "manifest", "pack"} <= set(subtask.dependencies)
    payload = next(one for one in session.created() if one.stand_in == subtask.payload)
    sent, _ = containers.split(payload.data or b"")
    assert isinstance(sent, PayloadMeta)
    assert (sent.bundle, sent.settings, sent.locals) == (bundle, b"settings", False)
