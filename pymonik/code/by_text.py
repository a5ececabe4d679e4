"""Names of ``__main__`` that code looks up by texts: ``globals()[name]``, ``eval("f(x)")``.

A pickle that the program wrote to a file names functions and classes of the script, too.

Which names it means, only running it tells. So such code gets all names of the script that are
small and can be pickled, and those of any size that stand in its own texts.
"""

from __future__ import annotations

import re
import types
from typing import TYPE_CHECKING, Any, Final

from pymonik.code.posing import may_pose
from pymonik.code.references import Named

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names in code that may look up names by texts, or load a pickle that does.
_LOOKS_UP: Final = frozenset(
    {"globals", "eval", "exec", "query", "__main__", "f_globals", "__globals__", "read_pickle"}
)
_PICKLES: Final = frozenset({"pickle", "dill", "cloudpickle", "joblib", "shelve", "torch"})
_LOADS: Final = frozenset({"load", "loads", "open", "Unpickler"})
# Names that IPython adds to those of the user.
_OF_NOTEBOOKS: Final = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})
_WORD: Final = r"[^\W\d]\w*"  # compiled when code is first packed: executors pack little
_MOST_CODES: Final = 4096  # that are remembered
# By address, with the code itself, so that no other code gets the address.
_known: dict[int, tuple[types.CodeType, bool]] = {}


def is_used_by(code: types.CodeType, names: dict[str, Any]) -> bool:
    """Whether code may look names up by texts.

    Args:
        code: Of a function.
        names: Those around it, of ``__main__``.
    """
    known = _known.get(id(code))
    if known is None:
        if len(_known) >= _MOST_CODES:
            _known.clear()
        known = _known[id(code)] = code, _looks_up(code)
    return known[1] or any(_is_module_of(names.get(name), names) for name in code.co_names)


def names_for(names: dict[str, Any]) -> list[str]:
    """All names but those under which a notebook keeps what it has run."""
    private = "_" if "get_ipython" in names else "__"
    return [
        name
        for name, value in list(names.items())
        if not name.startswith(private) and name not in _OF_NOTEBOOKS and not _stays(value)
    ]


def _stays(value: object) -> bool:
    """Whether it is a session, a cluster, a handle or a proxy: what they stand for is not there."""
    if may_pose(type(value)):
        return True
    of_pymonik = str(type(value).__module__).partition(".")[0] == "pymonik"
    return of_pymonik and not isinstance(value, Named)


def named_in(code: types.CodeType) -> list[str]:
    """Words in the texts of the code."""
    return list(dict.fromkeys(re.findall(_WORD, " ".join(_texts_of(code)))))


def meant_by(code: types.CodeType, names: dict[str, Any]) -> list[str]:
    """All names that are there and that the code may mean."""
    return [*names_for(names), *(name for name in named_in(code) if name in names)]


def _looks_up(code: types.CodeType) -> bool:
    used = set(_names_in(code))
    if not _LOOKS_UP.isdisjoint(used) or "__main__" in _texts_of(code):
        return True
    if not _PICKLES.isdisjoint(used) and not _LOADS.isdisjoint(used):
        return True
    return {"modules", "__name__"} <= used  # `sys.modules[__name__]`


def _is_module_of(value: object, names: dict[str, Any]) -> bool:
    return issubclass(type(value), types.ModuleType) and value.__dict__ is names


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _texts_of(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, types.CodeType):
            yield from _texts_of(constant)
