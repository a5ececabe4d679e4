"""The context of a task, and its logger."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from pymonik import PymonikContext, TaskOptions, UsageError
from pymonik.context.task_log import CLEF, FORMAT_VARIABLE
from tests.fakes import FakeSession, active


def test_a_line_of_a_task_is_for_people(capsys, monkeypatch):
    monkeypatch.delenv(FORMAT_VARIABLE, raising=False)
    logger = PymonikContext(task_id="t", session_id="s").logger
    logger.info("step %d of %s", 3, "many", mesh=[1, 2], name="x")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("no step")
    first, second, *trace = capsys.readouterr().err.splitlines()
    assert first == "INFO step 3 of many mesh=[1, 2] name='x'"
    assert second == "ERROR no step"
    assert trace[-1] == "ZeroDivisionError: division by zero"


class Odd:
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


LOOP: dict[str, object] = {}
LOOP["loop"] = LOOP


@pytest.mark.parametrize("format_", ["", CLEF])
@pytest.mark.parametrize("task_id", ["t", ""])
@pytest.mark.parametrize(
    ("message", "args", "fields"),
    [
        ("data", (), {"data": LOOP}),
        ("100% of %d", ("many",), {}),
        ("%s and %s", ("one",), {}),
        ("100%", (), {}),
        ("data", (), {"data": {(1, 2): 3}}),
        (Odd(), (Odd(),), {"data": Odd()}),
        ("data \udcff", (), {"data": "\udcff", "nan": float("nan")}),
        ("%s", (Odd(),), {"exc_info": True}),
        (b"bytes", (), {"task_id": object()}),
    ],
)
def test_nothing_that_is_logged_fails_a_task(
    capsys, monkeypatch, format_, task_id, message, args, fields
):
    monkeypatch.setenv(FORMAT_VARIABLE, format_)
    logger = PymonikContext(task_id=task_id).logger
    logger.info(message, *args, **fields)
    logger.error(message, *args, **{"exc_info": True, **fields})
    if task_id:
        text = capsys.readouterr().err
        text.encode()
        if format_:
            assert all(json.loads(line)["@m"] for line in text.splitlines())


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_where_there_is_no_stderr_nothing_is_logged(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    PymonikContext(task_id="t").logger.error("unseen")


def test_a_line_of_a_task_in_a_pod_is_json_with_its_ids(capsys, monkeypatch):
    monkeypatch.setenv(FORMAT_VARIABLE, CLEF)
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
    assert PymonikContext(task_handler=lambda: 5).task_handler == 5


def test_put_needs_a_session():
    with pytest.raises(UsageError, match="session"):
        PymonikContext.from_local().put(1)
    with active(FakeSession()):
        assert PymonikContext.from_local().put([1]).get() == [1]
