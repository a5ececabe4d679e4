"""Who owns a run that was sent ahead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pymonik.executor.ahead import DEPTH, Ahead, Behind
from pymonik.executor.frames import Run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    one = Ahead()
    yield one
    one.close()


def run(name: str, payload: bytes = b"") -> Run:
    return Run(
        task_id=name,
        session_id="s",
        files={},
        data={"p": payload},
        payload_id="p",
        output_id="",
        folder="",
    )


def claimed(behind: Behind) -> str | None:
    one = behind.claim()
    return one.task_id if one else None


def test_runs_are_claimed_in_their_order(ahead: Ahead) -> None:
    behind = Behind(ahead.fds)
    ahead.send([run("a"), run("b")])
    ahead.send([run("c")])
    assert ahead.count == 3
    assert [claimed(behind) for _ in range(4)] == ["a", "b", "c", None]


def test_what_was_taken_back_cannot_be_claimed(ahead: Ahead) -> None:
    behind = Behind(ahead.fds)
    ahead.send([run(name) for name in "abc"])
    assert claimed(behind) == "a"
    assert ahead.take_back() == 2
    assert claimed(behind) is None
    ahead.send([run("d")])  # it would stand behind what was taken back
    assert ahead.count == 1  # "a", which runs
    ahead.clear()
    ahead.send([run("d")])
    assert claimed(behind) == "d"


def test_a_large_run_is_not_sent_nor_what_comes_after_it(ahead: Ahead) -> None:
    ahead.send([run("a"), run("b", bytes(1 << 16)), run("c")])
    assert ahead.count == 1
    assert ahead.take_back() == 1
    assert ahead.count == 0


def test_the_first_runs_are_the_executors_however_both_race(ahead: Ahead) -> None:
    behind = Behind(ahead.fds)
    found: list[str] = []
    begin, done = threading.Barrier(2), threading.Barrier(2)

    def claim() -> None:
        for _ in range(300):
            begin.wait(30)
            while (name := claimed(behind)) is not None:
                found.append(name)
            done.wait(30)

    thread = threading.Thread(target=claim)
    thread.start()
    for number in range(300):
        found.clear()
        names = [f"{number}.{one}" for one in range(DEPTH)]
        ahead.send([run(name) for name in names])
        assert ahead.count == DEPTH
        begin.wait(30)
        taken = ahead.take_back()
        done.wait(30)
        assert found == names[: DEPTH - taken]
        ahead.count = 0
        ahead.clear()
    thread.join(30)
