"""The context of a task, and its logger."""

from __future__ import annotations

import json
import logging

import pytest

from pymonik import PymonikContext, TaskOptions, UsageError
from tests.fakes import FakeSession, active


def test_a_line_of_a_task_is_json_with_its_ids(capsys):
    logger = PymonikContext(task_id="t", session_id="s").logger
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("step %d", 3, task_id="mine", n=object)
    line = json.loads(capsys.readouterr().err)
    assert line["@l"] == "Error"
    assert line["@m"] == "step 3"
    assert (line["task_id"], line["session_id"], line["task_id_"]) == ("t", "s", "mine")
    assert "ZeroDivisionError" in line["@x"]


def test_a_local_line_goes_to_the_logging_of_the_program(caplog):
    with caplog.at_level(logging.INFO):
        PymonikContext.from_local().logger.info("hello", n=1)
    assert caplog.messages == ["hello n=1"]
    assert caplog.records[0].filename == "test_context.py"


def test_the_task_handler_of_older_programs_shows_the_options():
    context = PymonikContext(task_id="t", options=TaskOptions(partition_id="gpu"))
    assert context.task_handler.task_options.partition_id == "gpu"
    assert context.partition == "gpu"
    assert PymonikContext(task_handler=5).task_handler == 5


def test_put_needs_a_session():
    with pytest.raises(UsageError, match="session"):
        PymonikContext.from_local().put(1)
    with active(FakeSession()):
        assert PymonikContext.from_local().put([1]).get() == [1]
