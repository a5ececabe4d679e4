"""Compiled code in pickles: only the minor version of Python that compiled it can run it.

A pickle without compiled code crosses versions; so does code of modules, which travels as text.
"""

from __future__ import annotations

import marshal
import sys
import types
from typing import TYPE_CHECKING, Any, Final

import cloudpickle

from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from pymonik.code.reduction import Reduction

# Version of marshal's format. Later ones write references to constants that occur twice, by their
# reference counts: then equal code does not always give equal bytes, and the function counts as
# another one.
_MARSHAL: Final = 2


def reduce_code(pickler: Reduction, code: types.CodeType) -> Any:
    """What `pickle` takes for code, with its file names as they are."""
    name = getattr(code, "co_qualname", code.co_name)  # from Python 3.11 on
    pickler.compiled = pickler.compiled or name
    try:
        return load_code, (marshal.dumps(code, _MARSHAL), here(), name)
    except ValueError:  # a constant that no compiler makes
        _, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
        return make_code, (arguments, here(), name)


# -- unpickling: these stand in pickles by their names -------------------------------------------


def load_code(data: bytes, python: tuple[int, int], name: str) -> Any:
    """The code that was compiled by this version of Python.

    Raises:
        SerializationError: This process has another one: what it would load is garbage.
    """
    _check(python, name)
    return marshal.loads(data)


def make_code(arguments: tuple[Any, ...], python: tuple[int, int], name: str) -> types.CodeType:
    """The code from the arguments of its class; the Python that made it must be this one."""
    _check(python, name)
    return types.CodeType(*arguments)


def _check(python: tuple[int, int], name: str) -> None:
    if python != here():
        raise SerializationError(refusal(name, python, here()))


def here() -> tuple[int, int]:
    """The version of Python that runs this process."""
    return sys.version_info[:2]


def refusal(name: str, compiled: tuple[int, int], other: tuple[int, int]) -> str:
    """Why code of that name cannot run on another version, and the ways out."""
    sent, here = ("{}.{}".format(*version) for version in (compiled, other))
    return (
        f"{name!r} travels by value, compiled by Python {sent}, and cannot run on Python {here}: "
        f"choose a partition whose workers have Python {sent} (partition=), or use the same Python "
        "on both sides, or move it into a module of your program, which travels as a file"
    )
