"""A module of the program: it travels as text, which any Python compiles for itself."""

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pymonik import task


class Colour(Enum):
    RED = "red"


class TooLargeError(Exception):
    pass


@dataclass
class Square:
    side: int
    colour: Colour = Colour.RED


@task
def area(square: Square, *, most: int = 100) -> int:
    if square.side > most:
        raise TooLargeError(square)
    assert square.colour is Colour.RED
    return square.side**2


@task
def python() -> tuple[int, int]:
    return sys.version_info[:2]


@task
def parent(path: Path) -> Path:
    return path.parent


@task
def function_made_there() -> object:
    return lambda: 1


@task
def total(count: int) -> object:
    return area.invoke(Square(count))
