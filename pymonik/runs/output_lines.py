"""Text of several streams as whole lines, as a terminal would show them in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

_UP: Final = "\x1b[A"  # moves the cursor to the line above
_LONGEST: Final = 64 * 1024  # characters; a longer line is cut into several


class Lines:
    """Puts lines together.

    Bars that draw themselves anew after a carriage return, as tqdm does, leave what they show last;
    those that they draw below themselves meanwhile leave nothing.
    """

    def __init__(self) -> None:
        self._begun: dict[Hashable, str] = {}  # lines without their ends yet, by stream

    def add(self, stream: Hashable, text: str) -> list[str]:
        """The lines that are whole with this text, without their ends.

        Args:
            stream: What the text belongs to.
            text: What came.
        """
        text = self._begun.pop(stream, "") + text
        *whole, rest = (_without_below(text) if _UP in text else text).split("\n")
        if rest:
            # Cut at once: a bar that is drawn a million times before its line ends is kept once.
            self._begun[stream] = rest = _without_past(rest, is_whole=False)
            if len(rest) > _LONGEST:
                whole.append(self._begun.pop(stream))
        return [_without_past(line, is_whole=True) for line in whole]

    def finish(self, belongs: Any) -> list[tuple[Hashable, str]]:
        """The lines that were begun, of the streams of which that holds, as they are.

        Args:
            belongs: Called with a stream.
        """
        streams = [stream for stream in self._begun if belongs(stream)]
        return [(one, _without_past(self._begun.pop(one), is_whole=True)) for one in streams]


def _without_below(text: str) -> str:
    """A text without what was written below a line that was gone back to, as by nested bars."""
    while (up := text.find(_UP)) >= 0:
        # Where the end of the line above came earlier, only what stands on this one is left out.
        text = text[: max(0, text.rfind("\n", 0, up))] + text[up + len(_UP) :]
    return text


def _without_past(line: str, *, is_whole: bool) -> str:
    """A line without what a carriage return has had written over."""
    if "\r" not in line:
        return line
    if is_whole:
        return line.rstrip("\r").rpartition("\r")[2]
    # A carriage return at the end has not written over anything yet.
    shown, end = (line[:-1], "\r") if line.endswith("\r") else (line, "")
    return shown.rpartition("\r")[2] + end
