"""How a Python of ours starts: which interpreter, with which options, variables and folders."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.errors import ConfigError
from pymonik.launch import entry

if TYPE_CHECKING:
    from collections.abc import Sequence

# The interpreter reads them when it starts: they are for what tasks start, see `entry`.
_SET_ASIDE = ("PYTHONPATH", "PYTHONINSPECT", "PYTHONSTARTUP")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process that starts is to become.

    Attributes:
        module: Run as ``python -m`` does; empty for a command.
        arguments: Of the module; or the command, with its program.
        last: Folders for `sys.path`, behind what is installed.
        folder: Its current folder, if there is such a folder; empty for that of this process.
    """

    module: str = ""
    arguments: Sequence[str] = ()
    last: Sequence[str] = ()
    folder: str = ""

    def command(self, control: int | None = None) -> list[str]:
        """The command line.

        Args:
            control: The number of the socket of its supervisor; ``None`` without one.

        Raises:
            ConfigError: This process does not know a Python.
        """
        return [
            interpreter(),
            *_options(),
            *([] if self.module else ["-S", "-E"]),  # a command needs nothing that is installed
            os.path.abspath(entry.__file__),  # noqa: PTH100 - as `entry` computes its folder
            "" if control is None else str(control),
            self.folder,
            os.pathsep.join(self.last),
            self.module,
            *self.arguments,
        ]


def interpreter() -> str:
    """The Python that runs this process.

    Raises:
        ConfigError: `sys.executable` is empty, or runs this program instead of a Python.
    """
    # Set in a Python that `entry` has not yet reached: the interpreter runs a program that starts
    # pymonik again, and again.
    if entry.MARK in os.environ:
        raise ConfigError(
            f"sys.executable is {sys.executable!r}, which runs this program and not a Python: set "
            "sys.executable to the path of a Python that has pymonik, before the first call"
        )
    if not sys.executable:
        raise ConfigError(
            "sys.executable is empty (Python is embedded in another program?): set it to the path "
            "of a Python that has pymonik, before the first call"
        )
    return sys.executable


def variables() -> dict[str, str]:
    """The environment to start a Python with; `entry` puts back what is set aside in it."""
    started = dict(os.environ)
    for name in _SET_ASIDE:
        if name in started:
            started[f"{entry.ASIDE}{name}"] = started.pop(name)
    return {**started, entry.MARK: "1"}


def _options() -> list[str]:
    """Options of this interpreter that change what the same code does."""
    flags = sys.flags
    options = ["-" + "O" * flags.optimize] if flags.optimize else []
    if flags.no_user_site:
        options.append("-s")
    if flags.utf8_mode:
        options += ["-X", "utf8"]
    return options
