"""What tasks log with Python's `logging` arrives with its level, and as much of it as they want.

A handler on the root logger would keep ``logging.basicConfig`` of a module from doing anything, so
the handler is changed that Python has where there is none. `logging.warning` and its like add one
all the same, by `basicConfig` without arguments: its lines look as those of other loggers do.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Final

import pymonik.context.task_log  # noqa: F401 - else the first line that a call logs would import it

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


class _Level:
    """The level of the root logger: that of the program, until a task sets another."""

    def __init__(self) -> None:
        self._followed = logging.WARNING

    def follow(self, level: int) -> None:
        """The program has this one now; only what has changed there is changed here."""
        if level != self._followed:
            self._followed = level
            logging.getLogger().setLevel(level)
            if logging.lastResort is not None:
                # Python's own handler of last resort drops lines below WARNING, whatever the level
                # of the logger is.
                logging.lastResort.setLevel(min(level, logging.WARNING))


level = _Level()


def set_up() -> None:
    """Have lines that no handler wants begin with their level."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(FORMAT))
    logging.basicConfig = _basic_config


_python_basic_config = logging.basicConfig
_SHAPES: Final = ("format", "style", "handlers")  # arguments that say how lines are to look


@functools.wraps(_python_basic_config)
def _basic_config(**arguments: Any) -> None:
    if arguments.keys().isdisjoint(_SHAPES):
        arguments["format"] = FORMAT
    _python_basic_config(**arguments)
