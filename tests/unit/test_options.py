"""Options: call over task over client."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from pymonik import TaskOptions, UsageError
from pymonik.options import call_options


def test_what_is_left_out_is_inherited_and_labels_are_merged():
    base = TaskOptions(priority=2, partition_id="a", options={"x": "1", "y": "1"})
    over = TaskOptions(priority=3, options={"y": "2"}).over(base)
    assert (over.priority, over.partition_id) == (3, "a")
    assert over.options == {"x": "1", "y": "2"}


def test_zero_retries_is_something_said():
    assert TaskOptions(max_retries=0).over(TaskOptions(max_retries=5)).max_retries == 0


@pytest.mark.parametrize(
    "wrong",
    [{"priority": 0}, {"priority": True}, {"max_retries": -1}, {"max_duration": "10"},
     {"max_duration": 0}, {"partition_id": 3}, {"options": {"a": 1}}],
)  # fmt: skip
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(UsageError):
        TaskOptions(**wrong)


def test_keywords_of_a_call_are_taken_out():
    keywords = {"pmk_partition": "p", "pmk_max_duration": 3, "x": 1}
    options = call_options(None, keywords)
    assert keywords == {"x": 1}
    assert (options.partition_id, options.max_duration) == ("p", timedelta(seconds=3))


def test_options_of_the_armonik_package_are_understood():
    theirs = SimpleNamespace(
        max_duration=timedelta(seconds=5), priority=2, max_retries=0, partition_id="", options=None
    )
    assert TaskOptions.of(theirs) == TaskOptions(timedelta(seconds=5), 2, 0)
