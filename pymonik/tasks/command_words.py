"""What `command` is given, checked: its line, its fields, exit codes, variables and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from pymonik.code.references import Referable, ReferableGroup
from pymonik.errors import UsageError
from pymonik.files.file import File
from pymonik.wire import command_lines, shell_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.wire.call import Command


def words_of(line: str | Sequence[object]) -> tuple[tuple[str, ...], bool]:
    """The words of a line or a list, and whether it is a line for the shell.

    Raises:
        UsageError: There is no program, or a zero byte.
    """
    is_line = isinstance(line, str)
    given: Sequence[object] = (line,) if is_line else tuple(line)
    words = tuple(os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in given)
    if not words or not words[0].strip():
        raise UsageError("a command needs a program")
    if any("\0" in word for word in words):
        raise UsageError("a command line takes no zero bytes")
    return words, is_line


def fields_of(definition: Command) -> dict[str, list[str]]:
    """The fields of a command, each with the forms in which it stands there.

    Raises:
        UsageError: A brace is not what it should be.
    """
    fields: dict[str, list[str]] = {}
    for word in definition.words:
        try:
            keys = [key for _, key in command_lines.fields_in(word) if key is not None]
        except ValueError as error:
            raise UsageError(f"{word!r}: {error}; a brace itself is written twice") from None
        for key in keys:
            name = key.partition(":")[0].partition("!")[0]
            if not name.isidentifier():
                raise UsageError(
                    f"{{{key}}} in {word!r} is no field: fields have names, and a brace itself is "
                    "written twice, {{ and }}"
                )
            known = fields.setdefault(name, [])
            if key not in known:
                known.append(key)
    return fields


def bare_fields(definition: Command) -> list[str]:
    """Fields that stand where the shell knows no quotes."""
    if not definition.is_line:
        return []
    pieces = list(command_lines.fields_in(definition.words[0]))
    keys = [key for _, key in pieces if key is not None]
    places = shell_lines.places(pieces)
    return [
        key for key, at in zip(keys, places, strict=True) if not shell_lines.is_quoted_anyhow(at)
    ]


def program_of(words: Sequence[str], *, is_line: bool) -> str:
    """The program of a command, for people."""
    first = words[0].split()[0] if is_line else words[0]
    return os.path.basename(first) or first  # noqa: PTH119


def keeps_outputs(outputs_on: object) -> bool:
    """Whether a failure has files too."""
    if outputs_on not in ("success", "always"):
        raise UsageError(f"outputs_on is 'success' or 'always', not {outputs_on!r}")
    return outputs_on == "always"


def exit_codes(ok: Any) -> tuple[int, ...]:
    """Exit codes that are no failure: one, or several."""
    try:
        codes: tuple[Any, ...] = (ok,) if isinstance(ok, int) else tuple(ok)
    except TypeError:
        codes = (None,)
    if any(not isinstance(code, int) or isinstance(code, bool) for code in codes):
        raise UsageError(f"ok has exit codes, such as (0, 3), not {ok!r}")
    return codes


def variables(env: Mapping[Any, Any]) -> dict[str, str]:
    """Variables of the environment, as they are given."""
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"env must map strings to strings; look at {key!r}")
        if not key or "=" in key or "\0" in key + value:
            raise UsageError(f"no environment variable can be called {key!r}, or has such a value")
    return dict(env)


def file_of(given: object) -> File:
    """A file that is there for each call."""
    if isinstance(given, File):
        return given
    if isinstance(given, str | os.PathLike):
        return File(given)
    if isinstance(given, Referable | ReferableGroup):
        _refuse_handle()
    raise UsageError(f"files has File(path) or paths, not {given!r}")


def _refuse_handle() -> NoReturn:
    raise UsageError("files has files that are there now; pass the handle to invoke instead")
