"""Compiled code as a digest that only what it does can change.

Line numbers, file names and comments are not part of it. Sets among the constants are sorted: their
order differs between processes.
"""

from __future__ import annotations

import hashlib
import struct
import types
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# What of an object of code says how it runs. The stack size follows from the instructions.
_NAMES: Final = ("co_names", "co_varnames", "co_freevars", "co_cellvars")
_NUMBERS: Final = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags")
# Functions that import or run what a text names, so that the instructions do not tell what is
# needed.
_DYNAMIC: Final = frozenset(
    {
        *("import_module", "__import__", "find_spec", "iter_modules", "walk_packages"),
        *("run_path", "run_module", "exec", "eval", "spec_from_file_location", "resolve_name"),
    }
)


class Part(NamedTuple):
    """A piece of a program that a digest covers, for people who ask what has changed.

    Attributes:
        name: Of a function, a class, a module's statements, a variable, a file or a package.
        digest: Of its content.
        file: ``""`` where it has none.
        first: Line at which it starts.
        last: Line at which it ends.
        uses: Names that its code mentions.
    """

    name: str
    digest: str
    file: str = ""
    first: int = 0
    last: int = 0
    uses: tuple[str, ...] = ()


def constant(value: Any) -> bytes:
    """A constant of code as bytes, the same for the same value of the same types."""
    if isinstance(value, types.CodeType):
        return b"c" + digest_of_code(value)
    if isinstance(value, tuple):
        parts = [constant(one) for one in value]
        return b"t%d:" % len(parts) + b"".join(parts)
    if isinstance(value, frozenset):
        parts = sorted(constant(one) for one in value)
        return b"z%d:" % len(parts) + b"".join(parts)
    return atom(value)


def atom(value: Any) -> bytes:
    """A number, a text or the like as bytes: ``1``, ``True`` and ``1.0`` differ, as 0.0 and -0.0.

    Raises:
        TypeError: It is something else.
    """
    kind = type(value)
    if kind is str:
        data: bytes = value.encode("utf-8", "surrogatepass")
        return b"s%d:" % len(data) + data
    if kind is int:
        data = hex(value).encode()  # `str` refuses more than 4 300 digits
        return b"i%d:" % len(data) + data
    if kind is float:
        return b"f" + struct.pack(">d", value)
    if kind is bool:
        return b"T" if value else b"F"
    if kind is bytes:
        data = value
        return b"b%d:" % len(data) + data
    if kind is complex:
        return b"j" + struct.pack(">dd", value.real, value.imag)
    if value is None:
        return b"N"
    if value is Ellipsis:
        return b"E"
    if value is NotImplemented:
        return b"n"
    raise TypeError(kind.__name__)


@lru_cache(maxsize=16_384)
def digest_of_code(code: types.CodeType) -> bytes:
    """The digest of code and of the code in it."""
    digest = hashlib.sha256()
    digest.update(constant(code.co_name))
    # ``co_code`` is the code as it was compiled: what the interpreter specializes in place while it
    # runs is not in it.
    digest.update(constant(code.co_code))
    digest.update(constant(code.co_consts))
    for name in (*_NAMES, *_NUMBERS):
        digest.update(constant(getattr(code, name)))
    digest.update(constant(getattr(code, "co_exceptiontable", b"")))  # Python 3.10 has none
    return digest.digest()


def all_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code and the code in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from all_codes(one)


@lru_cache(maxsize=16_384)
def mentions(code: types.CodeType) -> frozenset[str]:
    """Names of variables, attributes and modules in code, and in the code in it."""
    return frozenset(name for one in all_codes(code) for name in one.co_names)


def imports_by_text(code: types.CodeType) -> bool:
    """Whether it may import or run what its instructions do not name."""
    return not _DYNAMIC.isdisjoint(mentions(code))


def lines_of(code: types.CodeType) -> tuple[int, int]:
    """First and last line."""
    lines = [line for one in all_codes(code) for _, _, line in one.co_lines() if line]
    return code.co_firstlineno, max(lines, default=code.co_firstlineno)


def part_of(code: types.CodeType, name: str) -> Part:
    """A function or a class body as a part."""
    first, last = lines_of(code)
    uses = tuple(sorted(mentions(code)))
    return Part(name, digest_of_code(code).hex()[:16], code.co_filename, first, last, uses)


def parts_of_module(code: types.CodeType, module: str) -> list[Part]:
    """Functions and classes of a module, each a part, and its other statements as one."""
    inner = [one for one in code.co_consts if isinstance(one, types.CodeType)]
    body = hashlib.sha256(constant(code.co_code))
    for one in code.co_consts:
        is_code = isinstance(one, types.CodeType)
        # Functions are parts of their own: of them only the name is a part of the module's
        # statements.
        body.update(constant(one.co_name) if is_code else constant(one))
    for names in _NAMES:
        body.update(constant(getattr(code, names)))
    uses = tuple(sorted(code.co_names))
    whole = Part(f"statements of {module}", body.hexdigest()[:16], code.co_filename, 0, 0, uses)
    return [whole, *(part_of(one, f"{module}.{one.co_name}") for one in inner)]
