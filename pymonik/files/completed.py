"""`Completed`: what a command gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymonik.files.file import File
    from pymonik.wire.command_lines import Ran


@dataclass(frozen=True)
class Completed:
    """How a command ended, and what it left.

    Attributes:
        rc: Its exit code; the negative number of a signal that ended it.
        stdout: What it wrote to its standard output, as text.
        stderr: What it wrote to its standard error.
        files: Its outputs, by name.
        seconds: How long it ran.
        command: What was run, as a line for the shell.
        warnings: Patterns of outputs that matched nothing.
    """

    rc: int
    stdout: str = ""
    stderr: str = ""
    files: dict[str, File] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, ran: Ran, files: dict[str, File]) -> Completed:
        """From what travels."""
        return cls(
            ran.rc,
            text(ran.stdout),
            text(ran.stderr),
            files,
            ran.seconds,
            ran.command,
            ran.warnings,
        )


def text(data: bytes) -> str:
    """What a program wrote; bytes that are no UTF-8 stand as their numbers."""
    return data.decode("utf-8", "backslashreplace")
