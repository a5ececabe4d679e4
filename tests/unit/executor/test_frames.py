from __future__ import annotations

import socket
from datetime import timedelta

import msgspec

from pymonik.executor.channel import order_decoder
from pymonik.executor.frames import Run
from pymonik.options import TaskOptions
from pymonik.wire.framing import Inbox, framed

RUN = Run(task_id="t", session_id="s", files={}, payload_id="p", output_id="o", folder="/")


def test_frames_are_cut_wherever_the_reads_fall() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inbox = Inbox(ours)
        data = framed(RUN) * 2
        runs = []
        for i in range(0, len(data), 7):
            theirs.sendall(data[i : i + 7])
            assert inbox.pump()
            while (run := inbox.take(order_decoder)) is not None:
                runs.append(run)
        theirs.close()
        assert not inbox.pump()
    assert runs == [RUN, RUN]


def test_options_survive_the_way_through_msgpack() -> None:
    options = TaskOptions(timedelta(seconds=90), 3, None, "p", {"a": "b"})
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(options), type=TaskOptions)
    assert sent == options
