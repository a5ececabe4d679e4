"""``seed=``: a call's random numbers depend on the seed and its item, and on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pymonik import Pymonik, PymonikContext, UsageError, get_context, task

TIMEOUT_S = 50.0


@task
def draw(n: int) -> tuple[int, float]:
    return n, get_context().rng.random()


@task(require_context=True, retry_on=OSError)
def draw_at_second_attempt(ctx: PymonikContext) -> float:
    number = float(ctx.rng.random())
    if ctx.attempt == 1:
        raise OSError("once more")
    return number


@task
def own(seed: Any) -> Any:
    return seed


@task
def twice() -> bool:
    return get_context().rng is get_context().rng


def stream(seed: int, item: int) -> float:
    return float(np.random.default_rng(np.random.SeedSequence(seed).spawn(item + 1)[item]).random())


@pytest.mark.parametrize("chunk_size", [1, 7, "auto"])
def test_numbers_depend_on_seed_and_item_alone(client: Pymonik, chunk_size: Any) -> None:
    values = draw.map_invoke(range(20), seed=42, chunk_size=chunk_size).get(timeout=TIMEOUT_S)

    assert values == [(n, stream(42, n)) for n in range(20)]


def test_an_iterator_gives_the_same_numbers_as_a_list(client: Pymonik) -> None:
    values = draw.map_invoke(iter(range(5)), seed=1, chunk_size=2).get(timeout=TIMEOUT_S)

    assert values == [(n, stream(1, n)) for n in range(5)]


def test_a_retry_draws_the_same_numbers(client: Pymonik) -> None:
    assert draw_at_second_attempt.invoke(seed=3).get(timeout=TIMEOUT_S) == stream(3, 0)


@task(require_context=True)
def draw_with_context(ctx: PymonikContext, n: int) -> tuple[int, float]:
    return n, ctx.rng.random()


@task(require_context=True)
def draw_below(ctx: PymonikContext) -> Any:
    own = ctx.rng.random()
    return keep.invoke(own, draw.invoke(1, seed=9))


@task
def keep(own: float, drawn: tuple[int, float]) -> tuple[float, float]:
    return own, drawn[1]


@pytest.mark.parametrize("function", [draw, draw_with_context])
@pytest.mark.parametrize("chunk_size", [1, 3])
def test_a_replay_draws_the_same_numbers(client: Pymonik, function: Any, chunk_size: int) -> None:
    handles = function.map_invoke(range(5), seed=42, chunk_size=chunk_size)
    handles.wait(TIMEOUT_S)

    assert handles[3].replay() == (3, stream(42, 3))
    assert handles[3].replay(with_=draw_with_context) == (3, stream(42, 3))


def test_a_replay_draws_them_in_its_subtasks_too(client: Pymonik) -> None:
    handle = draw_below.invoke(seed=5)

    assert handle.get(timeout=TIMEOUT_S) == (stream(5, 0), stream(9, 0))
    assert handle.replay() == (stream(5, 0), stream(9, 0))


def test_without_a_seed_numbers_differ(client: Pymonik) -> None:
    values = draw.map_invoke([0] * 8, chunk_size=4).get(timeout=TIMEOUT_S)

    assert len({number for _, number in values}) == 8


def test_a_call_has_one_generator(client: Pymonik) -> None:
    assert twice.invoke().get(timeout=TIMEOUT_S)


def test_a_parameter_called_seed_is_the_function_s_own(client: Pymonik) -> None:
    assert own.invoke(seed=5).get(timeout=TIMEOUT_S) == 5
    assert own.invoke(seed=5, pmk_seed=6).get(timeout=TIMEOUT_S) == 5


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_is_a_whole_number(client: Pymonik, seed: Any) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number"):
        draw.invoke(1, seed=seed)
