"""Random numbers of a call: the same ones however calls are spread over tasks and attempts.

``map_invoke(..., seed=42)`` sends ``(42, i)`` with the call of item ``i``, behind its arguments, so
that a call keeps its numbers in any chunk, at each attempt and when it is run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pymonik.errors import UsageError
from pymonik.quantities import whole_number

if TYPE_CHECKING:
    from numpy.random import Generator

_MOST = 2**128 - 1  # the largest seed that `numpy.random.SeedSequence` mixes without loss


class Seed(NamedTuple):
    """The seed of one call.

    Attributes:
        of_map: What the program gave.
        item: Its index, 0 for a call alone.
    """

    of_map: int
    item: int

    def generator(self) -> Generator:
        """The item's own stream: the ``item``-th that ``SeedSequence(of_map)`` spawns."""
        random = _numpy_random()
        sequence = random.SeedSequence(self.of_map, spawn_key=(self.item,))
        generator: Generator = random.default_rng(sequence)
        return generator


class RandomNumbers:
    """The generator of the present call, made when the call first asks for it."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, seed: Seed | None) -> None:
        """A call begins, with numbers of its own."""
        self._seed = seed
        self._generator: Generator | None = None

    def generator(self) -> Generator:
        """The generator of the present call, the same at each look.

        Raises:
            UsageError: numpy is not installed here.
        """
        if self._generator is None:
            seed = self._seed
            self._generator = _numpy_random().default_rng() if seed is None else seed.generator()
        return self._generator


def checked_seed(given: object) -> int | None:
    """The ``seed=`` of a call or a map.

    Raises:
        UsageError: It is no whole number of 0 or more.
    """
    return None if given is None else whole_number("seed", given, 0, _MOST)


def _numpy_random() -> Any:
    try:
        import numpy.random
    except ImportError:
        raise UsageError(
            "ctx.rng is a numpy.random.Generator, and numpy is not installed here: install it, or "
            "add it to environment="
        ) from None
    return numpy.random
