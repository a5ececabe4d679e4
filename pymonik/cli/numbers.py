"""Numbers as arguments of commands: a wrong one is refused before anything is asked."""

from __future__ import annotations

import argparse
import math


def at_least_one(text: str) -> int:
    """A whole number of one or more."""
    number = int(text)  # argparse tells of a ValueError itself
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def above_zero(text: str) -> float:
    """A number of seconds or days."""
    number = float(text)
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number
