"""Classes that are made by running their class statement again, where they arrive.

Some libraries tie a class to tables and registries of their own, as SQLAlchemy ties a model to its
mapper: what they made of it does not pickle, or is another one than the registry knows. Such a
class of ``__main__`` travels as the text of its statement, which runs among the names of the
program's ``__main__``; the library then does what it did at home.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import re
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import arrivals, functions, identities, main_module, places

if TYPE_CHECKING:
    from pymonik.code.reduction import Reduction

_WORD: Final = r"[^\W\d]\w*"  # compiled when code is first packed: executors pack little
# In Python or in C: `msgspec` makes its classes in C, with what it knows of their fields.
_MAKERS: Final = (types.FunctionType, staticmethod, types.BuiltinFunctionType)


def is_tied(cls: type) -> bool:
    """Whether an installed library had its hands in the making of the class."""
    metaclass: type = type(cls)
    return any(_has_hook(base) for base in cls.__mro__[1:]) or any(
        _is_of_library(meta) and isinstance(vars(meta).get(name), _MAKERS)
        for meta in type.mro(metaclass)
        for name in ("__new__", "__init__")
    )


def _has_hook(base: type) -> bool:
    return "__init_subclass__" in vars(base) and _is_of_library(base)


def _is_of_library(cls: type) -> bool:
    name = cls.__module__
    if name.partition(".")[0] in sys.stdlib_module_names or not places.travels_by_name(name):
        return False
    return name.partition(".")[0] != "pymonik"


def statement_of(cls: type) -> tuple[str, int, str] | None:
    """File, first line and text of the statement of a class of ``__main__``, where it has one."""
    current = main_module.current_names()
    if current is None or places.name_in_main(cls, current[1]) is None:
        return None
    try:
        lines, first = inspect.getsourcelines(cls)
        file = inspect.getsourcefile(cls) or "<statement>"
        text = "".join(lines)
        ast.parse(text)
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    return file, max(first, 1), text


def define(pickler: Reduction, cls: type, statement: tuple[str, int, str]) -> Any:
    """What makes the class by running its statement."""
    main_id, names = main_module.current_names() or ("", {})
    file, first, text = statement
    postponed = names.get("annotations") is __future__.annotations
    # Names are taken from the compiled statement, which has those of decorators, bases and methods
    # alike.
    used = functions.names_of(_compiled(file, first, text, postponed=postponed))
    own = {cls.__name__, *main_module.OF_EACH_MODULE}
    needed = [name for name in used if name in names and name not in own]
    pickler.need_names(names, needed)
    # Texts in annotations, and in arguments such as that of a relationship, name classes too.
    classes = set(main_module.classes_in(names)) - {cls.__name__}
    pickler.need_names(names, sorted(classes & set(re.findall(_WORD, text))), optional=True)
    uid = identities.id_of(cls)
    return run_statement, (uid, main_id, cls.__name__, file, first, text, postponed, needed)


def _compiled(file: str, first: int, text: str, *, postponed: bool) -> types.CodeType:
    # The lines are those of the file, so that tracebacks and `inspect` show them.
    tree = ast.increment_lineno(ast.parse(text), first - 1)
    flags = __future__.annotations.compiler_flag if postponed else 0
    code: types.CodeType = compile(tree, file, "exec", flags=flags, dont_inherit=True)
    return code


def run_statement(
    uid: str,
    main_id: str,
    name: str,
    file: str,
    first: int,
    text: str,
    postponed: bool,  # noqa: FBT001 - from a pickle
    needed: list[str],
) -> type:
    """The class of this id; made by running its statement, if it is not here."""
    known = identities.find(uid)
    if isinstance(known, type):
        return known
    for other in needed:
        arrivals.value_in_main(main_id, other)
    names = main_module.names_of(main_id)
    exec(_compiled(file, first, text, postponed=postponed), names)
    cls: type = names[name]
    identities.remember(uid, cls)
    return cls
