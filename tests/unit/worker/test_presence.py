"""What a worker that reaches the control plane says of itself, again and again."""

from __future__ import annotations

import threading

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.wire.inventory import Inventory, decoded
from pymonik.worker.live import LiveWay
from pymonik.worker.presence import Presence

WAIT_S = 30


class Plane:
    """Takes what a worker says, and refuses as it is told."""

    def __init__(self) -> None:
        self.created: list[tuple[str, str]] = []
        self.said: list[Inventory | None] = []
        self.errors: list[Exception] = []
        self.is_said = threading.Semaphore(0)

    def create(self, session_id: str, name: str, data: bytes) -> str:
        self.created.append((session_id, name))
        return self._take(data)

    def replace(self, session_id: str, result_id: str, data: bytes) -> None:
        assert (session_id, result_id) == (self.created[-1][0], "result")
        self._take(data)

    def forget(self, result_ids: object) -> None:
        raise AssertionError(result_ids)

    def _take(self, data: bytes) -> str:
        self.said.append(decoded(data))
        self.is_said.release()
        if self.errors:
            raise self.errors.pop()
        return "result"

    def wait(self, times: int) -> None:
        for _ in range(times):
            assert self.is_said.acquire(timeout=WAIT_S)


def test_a_worker_says_again_that_it_is_there_with_one_result_for_a_session() -> None:
    plane = Plane()
    presence = Presence(LiveWay(plane), beat_s=0.01)
    presence.start()
    presence.begin("one", "pymonik")
    plane.wait(3)
    presence.begin("two", "pymonik")
    plane.wait(5)
    assert [session_id for session_id, _ in plane.created] == ["one", "two"]
    assert plane.created[0][1].startswith("pymonik.worker/pymonik/")
    seen = [one.seen for one in plane.said if one is not None]
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1]


def test_a_word_that_nobody_answers_is_said_again_and_one_that_is_refused_is_not() -> None:
    plane = Plane()
    plane.errors = [UnavailableError("CreateResults", "away")]
    presence = Presence(LiveWay(plane), beat_s=0.01)
    presence.start()
    presence.begin("one", "pymonik")
    plane.wait(2)
    assert len(plane.created) == 2
    plane.errors = [ControlPlaneError("UploadResultData", "the session is gone")]
    while plane.errors:
        plane.wait(1)
    count = len(plane.said)
    assert not plane.is_said.acquire(timeout=0.2)
    assert len(plane.said) == count
