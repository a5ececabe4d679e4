"""A task that is written inside a test fails as any code of the test does."""

from __future__ import annotations

from pymonik import Pymonik, task


def test_an_assert_of_a_local_task_says_what_failed(client: Pymonik) -> None:
    del client

    @task
    def checked(x: int) -> int:
        assert x > 0, "positive"
        assert [x, 2] == [x, 3] or x < 5
        return x

    assert checked.invoke(1).get() == 1
    error = checked.invoke(-1).exception()
    assert isinstance(error, AssertionError)
    assert "positive" in str(error)
    told = checked.invoke(7).exception()
    assert isinstance(told, AssertionError)
    assert "[7, 2] == [7, 3]" in str(told)
