"""Batches are submitted in their order, though a later one may be ready first."""

from __future__ import annotations

import math
import threading

from pymonik.transport.turns import Turns

PATIENCE_S = 30.0


def test_a_batch_waits_for_the_answer_to_the_one_before() -> None:
    turns = Turns()
    first, second = turns.next(), turns.next()
    order: list[str] = []

    def submit_second() -> None:
        second.wait()
        order.append("second")

    thread = threading.Thread(target=submit_second)
    thread.start()
    first.wait()
    first.begin(10**9, math.inf)  # such a request has a head start of hours
    order.append("first")
    first.end()
    thread.join(PATIENCE_S)
    assert order == ["first", "second"]


def test_far_away_a_batch_does_not_wait_for_the_answer() -> None:
    turns = Turns()
    first, second = turns.next(), turns.next()
    first.begin(0, distance_s=1.0)
    second.wait()  # nobody ends the first one


def test_a_batch_that_fails_before_its_request_lets_the_next_one_go() -> None:
    turns = Turns()
    first, second = turns.next(), turns.next()
    first.end()
    second.wait()


def test_a_batch_that_takes_long_to_get_ready_is_overtaken() -> None:
    turns = Turns()
    turns.next()
    second = turns.next()
    second.wait()  # the first one never begins
