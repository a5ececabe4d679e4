"""The arguments of a call of a command: words for its fields, and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pymonik.code.codec import Packed
from pymonik.code.references import Enclosed, Known, Referable, ReferableGroup
from pymonik.errors import UsageError
from pymonik.files.completed import Completed
from pymonik.wire import command_lines
from pymonik.wire.command_lines import Argument, CommandArguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.references import Sealed


class CommandCall:
    """The arguments of one call, as they are packed."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[Argument, ...]] = {}
        self._files: list[Argument] = []
        self._refs: list[Referable] = []
        self._sealed: list[Sealed] = []
        self._slots: dict[int, int] = {}

    def add_files(self, value: object) -> None:
        """Have files lie in the folder."""
        self._files += self._arguments(value, "")

    def fill(self, key: str, value: object) -> None:
        """What stands for a field, which has the form ``name!r:spec``."""
        self._fields[key] = tuple(self._arguments(value, key))

    def known_words(self, key: str) -> list[str]:
        """The words of a field that are known now."""
        names = [file.ref.name for file in self._sealed]
        known = [argument for argument in self._fields[key] if argument.result < 0]
        return [shown(argument, names, ()) for argument in known]

    def packed(self) -> Packed:
        """All of it."""
        arguments = CommandArguments(fields=self._fields, files=tuple(self._files))
        blob = command_lines.arguments_encoder.encode(arguments)
        return Packed((blob,), len(blob), self._refs, files=self._sealed)

    def _arguments(self, value: object, key: str) -> Iterator[Argument]:
        if isinstance(value, Known):
            yield from self._arguments(value.known_value(), key)
        elif isinstance(value, Completed):
            yield from self._arguments(list(value.files.values()), key)
        elif isinstance(value, Referable):
            yield Argument(result=self._slot(id(value._state), self._refs, value))
        elif isinstance(value, Enclosed):
            # A file that is given twice travels once. Its identity is safe as a key, since the
            # caller holds it meanwhile.
            if id(value) not in self._slots:
                self._slot(id(value), self._sealed, value._seal())
            yield Argument(file=self._slots[id(value)])
        elif isinstance(value, ReferableGroup):
            for member in value._members():
                yield from self._arguments(member, key)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from self._arguments(one, key)
        else:
            yield Argument(text=_text(value, key))

    def _slot(self, key: int, slots: list[Any], value: object) -> int:
        if key not in self._slots:
            self._slots[key] = len(slots)
            slots.append(value)
        return self._slots[key]


def _text(value: object, key: str) -> str:
    """A value as it stands in the line.

    Raises:
        UsageError: It has no form there.
    """
    name, _, spec = key.partition(":")
    conversion = name.partition("!")[2]
    if isinstance(value, str | os.PathLike):
        value = os.fspath(value)
    # Scalars of numpy stand in a line as numbers do, and nothing here imports numpy.
    if not isinstance(value, str | int | float) and type(value).__module__ != "numpy":
        kind = type(value).__name__
        raise UsageError(f"a {kind} cannot stand in a command line: give a text, number or File")
    try:
        shown = format(repr(value) if conversion == "r" else value, spec)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{{{key}}} cannot show {value!r}: {error}") from error
    if "\0" in shown:
        raise UsageError("a command line takes no zero bytes")
    return shown


def shown(argument: Argument, names: Sequence[str], refs: Sequence[Referable]) -> str:
    """What stands for a field, for people; of a handle its name."""
    if argument.text is not None:
        return argument.text
    if argument.file >= 0:
        return command_lines.place(names[argument.file])
    return f"<{refs[argument.result]._state.name or 'result'}>"


def is_input(value: object) -> bool:
    """Whether a value by position is for the folder, not for a field."""
    if isinstance(value, list | tuple):
        return all(map(is_input, value))
    return isinstance(value, Enclosed | Completed | Referable | ReferableGroup)
