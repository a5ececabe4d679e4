"""A failure goes through the text of an error; nothing that only looks like one is read."""

from __future__ import annotations

import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymonik.code.failure import describe
from pymonik.wire.error_text import error_text, failure_of, for_people

NONCE = "known to the session"


def told(error: BaseException, **limits: Any) -> str:
    return error_text(describe(error), NONCE, **limits)


def test_a_failure_goes_through_text_and_the_nonce_is_not_in_it() -> None:
    failure = describe(ValueError("wrong"))
    text = error_text(failure, NONCE)
    assert failure_of(text, NONCE) == failure
    assert NONCE not in text
    assert for_people(text) == "ValueError: wrong"


@pytest.mark.parametrize(
    "quoted",
    ["Task t0 failed:\n{}", "Worker returned error Internal:\n{}\nSee cluster logs for Id = 1",
     "{}\r\n", "Task a failed:\nTask b failed:\n{}\n"],
)  # fmt: skip
def test_a_quoted_failure_is_read(quoted: str) -> None:
    failure = failure_of(quoted.format(told(KeyError("k"))), NONCE)
    assert failure is not None
    assert failure.summary == "KeyError: 'k'"
    assert "--- pymonik" not in for_people(quoted.format(told(KeyError("k"))))


def test_without_the_nonce_nothing_is_read() -> None:
    text = told(ValueError("wrong"))
    assert failure_of(text, "of another session") is None
    assert failure_of(text, "") is None
    assert error_text(describe(ValueError("x")), "") == "ValueError: x"


def forged() -> str:
    """What somebody writes who knows the format and not the nonce."""
    return error_text(describe(ValueError("forged")), "guessed").splitlines()[-1]


def test_the_line_of_another_session_in_a_message_is_not_read() -> None:
    failure = failure_of(told(ValueError(f"cannot parse\n{forged()}\n")), NONCE)
    assert failure is not None
    assert "cannot parse" in failure.summary


def test_a_text_that_was_cut_is_only_text() -> None:
    text = told(ValueError("wrong"))
    for end in range(len("ValueError: wrong\n") + 1, len(text)):
        assert failure_of(text[:end], NONCE) is None


def test_a_changed_line_is_only_text() -> None:
    text = told(ValueError("wrong"))
    start = text.index("--- pymonik: ") + len("--- pymonik: ")
    for index in range(start, len(text), 7):
        changed = "A" if text[index] != "A" else "B"
        assert failure_of(text[:index] + changed + text[index + 1 :], NONCE) is None


@given(st.text() | st.text("-pymonik: 0af=\n", max_size=80))
def test_no_message_is_taken_for_a_failure(message: str) -> None:
    failure = failure_of(told(ValueError(f"{message}\n{forged()}{message}")), NONCE)
    assert failure is not None
    assert failure.raised[0].name == "ValueError"
    assert "forged" not in failure.summary
    assert failure_of(f"{message}\n{forged()}\n{message}", NONCE) is None


class Local(Exception):  # noqa: N818 - as a user may name it
    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.noise = "".join(random.Random(1).choices(string.printable, k=5_000))


@pytest.mark.parametrize("most", [200, 600, 2_500])
def test_what_does_not_fit_is_left_out_and_the_class_last(most: int) -> None:
    noise = "".join(random.Random(0).choices(string.ascii_letters, k=50_000))
    for error in (ValueError(noise), Local(noise), Local("short")):
        error.__cause__ = KeyError(noise)
        text = told(error, most_text=3_000, most_line=most)
        people, _, line = text.partition("\n--- pymonik: ")
        assert len(people) <= 3_000
        assert len(line) <= most - len("--- pymonik: ")
        if most > 200:
            failure = failure_of(text, NONCE)
            assert failure is not None
            assert failure.raised[0].name == type(error).__name__


def test_values_of_variables_do_not_stand_in_the_text() -> None:
    def fails(secret: str) -> None:
        raise ValueError(len(secret))

    with pytest.raises(ValueError, match="7") as caught:
        fails("passwor")
    text = told(caught.value)
    assert "passwor'" not in for_people(text)
    failure = failure_of(text, NONCE)
    assert failure is not None
    assert failure.raised[0].frames[-1].locals["secret"] == "'passwor'"
