"""Which GPUs somebody means: a number of them, or their names as CUDA has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymonik.errors import UsageError
from pymonik.launch.hardware import VISIBLE
from pymonik.quantities import whole_number

_MOST = 1024  # GPUs that a number may mean: more is a mistake


def gpu_names(given: object, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The names of GPUs, for ``CUDA_VISIBLE_DEVICES``.

    Args:
        given: How many, or which: numbers and UUIDs.
        variables: Of this process, which may be allowed to see some GPUs only.

    Raises:
        UsageError: That means no GPUs, or more than this process may see.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        names = tuple(map(_name, given))
        if not names or len(set(names)) < len(names):
            raise UsageError(f"gpus= names at least one GPU, each once, not {given!r}")
        return names
    count = whole_number("gpus", given, 1, _MOST)
    if VISIBLE not in variables:
        return tuple(map(str, range(count)))
    # A program that may see some GPUs only gives those on: numbers of others would be hidden from
    # its workers.
    seen = [name.strip() for name in variables[VISIBLE].split(",") if name.strip()]
    if len(seen) < count:
        raise UsageError(
            f"gpus={count}, but {VISIBLE} lets this program see {len(seen)}: {variables[VISIBLE]!r}"
        )
    return tuple(seen[:count])


def _name(one: Any) -> str:
    if isinstance(one, str) and one.strip() and "," not in one:
        return one.strip()
    return str(whole_number("the number of a GPU", one, 0, _MOST))
