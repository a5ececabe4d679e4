"""What a call of a command is made of, and what it gives: no pickle, so any language can.

::

    Command.words     "solver --mesh {mesh} -n {n}", in the head, for all calls
    CommandArguments  {"fields": {"mesh": [{"file": 0}], "n": [{"text": "5"}]},
                       "files": [{"file": 1}]}
    Ran               exit code, seconds, what it wrote
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import msgspec

from pymonik.wire import shell_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Argument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One word that is filled in, or a file that is only to be there; one of the three.

    Attributes:
        text: The word.
        file: The number of a file of the call; the word is where it lies.
        result: The number of a reference of the call; the word is its value, or where that lies.
    """

    text: str | None = None
    file: int = -1
    result: int = -1


class CommandArguments(msgspec.Struct, frozen=True, omit_defaults=True):
    """The arguments of one call of a command, as JSON.

    Attributes:
        fields: For each field of the line, as it stands between its braces, the words in its place.
        files: That are there besides.
    """

    fields: dict[str, tuple[Argument, ...]] = {}
    files: tuple[Argument, ...] = ()


class Ran(msgspec.Struct, frozen=True, array_like=True):
    """How a command ended, as msgpack.

    Attributes:
        rc: Its exit code; the negative number of a signal that ended it.
        seconds: From its start to its end.
        command: What was run, as a line for the shell.
        stdout: What it wrote; of more than `pymonik.launch.captured.MOST_BYTES` start and end.
        stderr: The same.
        warnings: Patterns that matched nothing.
    """

    rc: int
    seconds: float
    command: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    warnings: tuple[str, ...] = ()


def fields_in(word: str) -> Iterator[tuple[str, str | None]]:
    """The literal text and the field behind it, in turns; the last text may have no field.

    Raises:
        ValueError: A brace is not closed, or stands alone.
    """
    for literal, name, spec, conversion in string.Formatter().parse(word):
        if name is None:
            yield literal, None
            continue
        after = f"!{conversion}" if conversion else ""
        yield literal, f"{name}{after}:{spec}" if spec else f"{name}{after}"


def place(path: str) -> str:
    """A path below the folder of a call as a word that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def filled(
    words: Sequence[str], fields: Mapping[str, Sequence[str]], *, is_line: bool
) -> list[str]:
    """The words of a command, with those of its fields in their places.

    In a line for the shell they are quoted. A word that is one field becomes as many as that has.

    Raises:
        KeyError: A field is not given.
        ValueError: A value cannot stand in its place in a line.
    """
    if is_line:
        return [_filled_line(words[0], fields)]
    found: list[str] = []
    for word in words:
        pieces = list(fields_in(word))
        # The word is one field and nothing else: a list becomes several words, an empty list none.
        if len(pieces) == 1 and pieces[0][0] == "" and pieces[0][1] is not None:
            found += fields[pieces[0][1]]
            continue
        found.append(
            "".join(
                text + (" ".join(fields[field]) if field is not None else "")
                for text, field in pieces
            )
        )
    return found


def _filled_line(line: str, fields: Mapping[str, Sequence[str]]) -> str:
    pieces = list(fields_in(line))
    places = iter(shell_lines.places(pieces))
    return "".join(
        text + (shell_lines.shown(fields[field], next(places)) if field is not None else "")
        for text, field in pieces
    )


arguments_encoder = msgspec.json.Encoder()
arguments_decoder = msgspec.json.Decoder(CommandArguments)
ran_encoder = msgspec.msgpack.Encoder()
ran_decoder = msgspec.msgpack.Decoder(Ran)
