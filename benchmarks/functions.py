"""What the tasks of the workloads do; imported by the workers of every peer."""

from __future__ import annotations

import time
from typing import Any

PAGE = 4096


def same(value: Any) -> Any:
    return value


def increment(value: int) -> int:
    return value + 1


def add(left: int, right: int) -> int:
    return left + right


def pause(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def zeros(size: int) -> Any:
    """An array of ``size`` bytes, each page of which was written."""
    import numpy

    array: Any = numpy.zeros(size, dtype=numpy.uint8)
    array[::PAGE] = 1
    return array


def read(array: Any, first: int = 0) -> int:
    """Touch every page: an array that arrives lazily is paid for where it is read."""
    return int(array[first % PAGE :: PAGE].sum())
