"""What the worker writes: options of subtasks, refusals, log lines, requests of bounded size."""

from __future__ import annotations

import json
import logging
import random
import string
from datetime import timedelta

import pytest
from armonik.protogen.common.objects_pb2 import TaskOptions as TaskOptionsMessage

from pymonik.code.exceptions import exception_of
from pymonik.code.failure import describe
from pymonik.executor.frames import Run
from pymonik.executor.output import Part
from pymonik.options import TaskOptions
from pymonik.wire.error_text import failure_of
from pymonik.worker.agent_requests import REQUEST_BYTES, batches
from pymonik.worker.clef import ClefFormatter, OutputLog, output_logger
from pymonik.worker.option_messages import from_message, to_message
from pymonik.worker.refusal import LIMIT, refusal, shortened, wire_size


def test_options_come_back_from_their_message() -> None:
    options = TaskOptions(timedelta(seconds=90), 3, 2, "here", {"a": "b"}, application_name="mine")
    assert from_message(to_message(options)) == options


def test_no_retries_survive_the_message() -> None:
    message = to_message(TaskOptions(max_retries=0))
    assert message.max_retries == -1  # zero would mean "as the session says"
    assert from_message(message).max_retries == 0


def test_a_message_always_has_a_duration() -> None:
    assert to_message(TaskOptions()).HasField("max_duration")


def test_options_of_other_clients_are_understood() -> None:
    message = TaskOptionsMessage(priority=1_000, max_retries=-3)
    message.max_duration.seconds = 315_576_000_000
    options = from_message(message)
    assert options.priority == 10
    assert options.max_retries == 0
    assert options.max_duration is not None


def test_a_short_refusal_is_left_alone() -> None:
    assert shortened("no") == "no"


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    else:
        raise ValueError("odd")


def test_a_long_refusal_keeps_its_exception() -> None:
    with pytest.raises(ValueError, match="odd") as caught:
        deep(300)
    text = refusal(describe(caught.value), "nonce")
    failure = failure_of(text, "nonce")
    assert wire_size(text) <= LIMIT
    assert failure is not None
    error = exception_of(failure)
    assert isinstance(error, ValueError)
    assert error.args == ("odd",)
    assert text.count("in deep") >= 3  # for people


@pytest.mark.parametrize("alphabet", [string.printable, "\n%é\u2603"])
def test_a_refusal_that_cannot_keep_its_text_keeps_its_class(alphabet: str) -> None:
    noise = "".join(random.Random(0).choices(alphabet, k=20_000))
    text = refusal(describe(ValueError(noise)), "nonce")
    failure = failure_of(text, "nonce")
    assert wire_size(text) <= LIMIT
    assert failure is not None
    assert isinstance(exception_of(failure), ValueError)


def test_long_foreign_text_is_cut() -> None:
    assert wire_size(shortened("\n" * 50_000)) <= LIMIT


def test_a_log_line_is_a_json_object_with_the_task() -> None:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("you",), "task_id": "t"})
    record.levelname = "WARNING"
    line = json.loads(ClefFormatter().format(record))
    assert (line["@m"], line["@l"], line["task_id"]) == ("hello you", "Warning", "t")
    assert line["@t"]


def test_a_line_of_the_logger_of_a_task_is_logged_as_it_is() -> None:
    line = '{"@t":"2026-01-01T00:00:00Z","@l":"Error","@m":"hello","task_id":"t"}'
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    output_logger.addHandler(handler)
    output_logger.setLevel(logging.INFO)
    try:
        log, run = (
            OutputLog(),
            Run(task_id="t", session_id="", files={}, payload_id="", output_id="", folder=""),
        )
        for text in (f"{line}\npl", "ain\n"):
            log(run, [Part(0, "stderr", text)])
    finally:
        output_logger.removeHandler(handler)
    first, second = (ClefFormatter().format(record) for record in records)
    assert first == line
    assert json.loads(second)["@m"] == "plain"


def test_requests_stay_below_the_limit_of_the_agent() -> None:
    sizes = [REQUEST_BYTES // 2 - 64] * 5
    assert [len(batch) for batch in batches(sizes, lambda size: size)] == [2, 2, 1]


def test_one_item_too_large_is_sent_alone() -> None:
    assert list(batches([1, 10 * REQUEST_BYTES, 2], lambda size: size)) == [
        [1],
        [10 * REQUEST_BYTES],
        [2],
    ]


def test_no_items_make_no_request() -> None:
    assert list(batches([], len)) == []
