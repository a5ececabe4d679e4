"""Fields in a line for ``/bin/sh``: a value stays a text wherever its field stands in the line.

::

    echo {x}       a word of its own, or a part of one: in quotes
    echo '{x}'     in quotes already: what would end them is escaped
    echo $(({x}))  where quotes do not help: letters, digits and a few signs only
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLAIN: Final = ""
SINGLE: Final = "'"
DOUBLE: Final = '"'
_ARITHMETIC: Final = "("
_PARAMETER: Final = "{"
_COMMENT: Final = "#"
_OPEN: Final = "?"  # where to tell what the shell takes as quotes would need all of its grammar
_BEFORE_WORDS: Final = " \t\n;&|()"
_harmless = re.compile(r"[\w@%+=:,./-]*", re.ASCII).fullmatch
_special_in_double = re.compile(r'([\\"$`])').sub


def places(pieces: Iterable[tuple[str, str | None]]) -> list[str]:
    """What is around each field of a line: one of the signs above.

    Args:
        pieces: Texts, and the field behind each of them.
    """
    found = []
    scan = _Scan()
    for text, field in pieces:
        scan.read(text)
        if field is not None:
            found.append(scan.at_field())
    return found


def is_quoted_anyhow(place: str) -> bool:
    """Whether any value can stand in such a place."""
    return place in (PLAIN, SINGLE, DOUBLE)


def is_harmless(word: str) -> bool:
    """Whether a shell takes a word for what it is, with quotes and without."""
    return _harmless(word) is not None


def shown(words: Sequence[str], place: str) -> str:
    """Words in the place of a field.

    Raises:
        ValueError: They cannot stand there.
    """
    if place == PLAIN:
        return shlex.join(words)
    text = " ".join(words)
    if place == SINGLE:
        return text.replace("'", "'\\''")
    if place == DOUBLE:
        return _special_in_double(r"\\\1", text)
    if not all(map(is_harmless, words)):
        raise ValueError(f"{text!r} cannot stand where quotes do not help: {WHERE}")
    return text


WHERE: Final = (
    "behind a `, <<, #, $(( or ${, or a $( in double quotes; set a variable first, such as "
    "x={x}; ..., and write $x there"
)


class _Scan:
    """Where in a line the shell is, as it reads it."""

    def __init__(self) -> None:
        self._place = PLAIN
        self._depth = 0  # of brackets in arithmetic, and of braces
        self._before = "\n"
        self._is_escaped = False

    def at_field(self) -> str:
        """The place of a field that comes now, and stands for some text."""
        place = _OPEN if self._is_escaped else self._place
        self._is_escaped, self._before = False, "x"
        return place

    def read(self, text: str) -> None:
        """Go on behind a text."""
        for number, sign in enumerate(text):
            if self._is_escaped:
                self._is_escaped = False
            else:
                self._step(sign, text[number:])
            self._before = sign

    def _step(self, sign: str, rest: str) -> None:
        place = self._place
        if place == SINGLE:
            self._place = PLAIN if sign == "'" else SINGLE
        elif place == _COMMENT:
            self._place = PLAIN if sign == "\n" else _COMMENT
        elif sign == "\\":
            self._is_escaped = True
        elif place == DOUBLE:
            self._in_double(sign, rest)
        elif place in (_ARITHMETIC, _PARAMETER):
            self._in_brackets(sign)
        elif place == PLAIN:
            self._in_plain(sign, rest)

    def _in_double(self, sign: str, rest: str) -> None:
        if sign == '"':
            self._place = PLAIN
        elif sign == "`" or rest.startswith(("$(", "${")):
            self._place = _OPEN  # there are quotes in quotes from here

    def _in_brackets(self, sign: str) -> None:
        pair = "()" if self._place == _ARITHMETIC else "{}"
        if sign in "'\"`":
            self._place = _OPEN
        elif sign in pair:
            self._depth += 1 if sign == pair[0] else -1
            if not self._depth:
                self._place = PLAIN

    def _in_plain(self, sign: str, rest: str) -> None:
        if sign == "`" or rest.startswith(("<<", "$'")):
            self._place = _OPEN
        elif sign in (SINGLE, DOUBLE):
            self._place = sign
        elif sign == "#" and self._before in _BEFORE_WORDS:
            self._place = _COMMENT
        elif rest.startswith("$(("):
            self._place, self._depth = _ARITHMETIC, 0
        elif rest.startswith("${"):
            self._place, self._depth = _PARAMETER, 0
