"""The ``__main__`` of a program, at the program and where its calls run.

What a script, a notebook or ``-c`` defines has no file that could be imported elsewhere. So each
program has one module for it in an executor: functions of the script have the names of that module
around them, as at home, and share its state. Two programs may use one executor; before a call, the
module of its program is put into ``sys.modules``.
"""

from __future__ import annotations

import sys
import types
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from pymonik.wire.definitions import Definition

MAIN_NAMES: Final = ("__main__", "__mp_main__")  # the second in children of multiprocessing
# Names that Python gives to each module: code that uses them means its own module, wherever it is.
OF_EACH_MODULE: Final = frozenset(
    {"__name__", "__builtins__", "__annotations__", "__spec__", "__loader__", "__doc__"}
)
_OWN: Final = uuid.uuid4().hex[:16]  # the id of the `__main__` of this process


class ArrivedMain(types.ModuleType):
    """The ``__main__`` of a program that runs elsewhere; the program itself is never run."""

    def __init__(self, main_id: str) -> None:
        super().__init__("__main__")
        self.__dict__["__builtins__"] = __builtins__
        self.__spec__ = None if Turns.spec_of is None else Turns.spec_of(main_id)
        state = _State(self, main_id)
        _arrived[main_id] = state
        _by_names[id(self.__dict__)] = state


class _State:
    """What is known of an `ArrivedMain`, beside its names."""

    def __init__(self, module: ArrivedMain, main_id: str) -> None:
        self.module = module
        self.main_id = main_id
        # By name: the definition that was set last, and what it made.
        self.definitions: dict[str, tuple[Definition, object]] = {}


_arrived: dict[str, _State] = {}  # by the id of the program
# By the address of the module's names, which functions know, unlike the module. Modules that
# arrived stay, so no other dict gets the address.
_by_names: dict[int, _State] = {}


def main_id_of(names: dict[str, Any]) -> str | None:
    """The program whose ``__main__`` has these names; ``None`` if they are of something else."""
    state = _by_names.get(id(names))
    if state is not None:
        return state.main_id
    main = sys.modules.get("__main__")
    return _OWN if main is not None and main.__dict__ is names else None


def is_own(main_id: str) -> bool:
    """Whether it is the ``__main__`` of this process."""
    return main_id == _OWN


def module_of(main_id: str) -> types.ModuleType:
    """The module of that program; made for the first that asks."""
    if main_id == _OWN:
        return sys.modules["__main__"]
    state = _arrived.get(main_id)
    return ArrivedMain(main_id) if state is None else state.module


def own_names() -> dict[str, Any]:
    """The names of the ``__main__`` of this process."""
    return sys.modules["__main__"].__dict__


def names_of(main_id: str) -> dict[str, Any]:
    """The names of that program's ``__main__``."""
    return module_of(main_id).__dict__


def definitions_of(main_id: str) -> dict[str, tuple[Definition, object]]:
    """What was set last for each name of another program's ``__main__``, and what that made."""
    module_of(main_id)
    return _arrived[main_id].definitions


class Turns:
    """Whether programs take turns in this process, as they do in an executor.

    Attributes:
        taken: If not, ``sys.modules["__main__"]`` is the program's own and stays so.
        spec_of: Makes the spec of a ``__main__`` that arrives, by which `multiprocessing` finds it
            in children of this process.
    """

    taken = False
    spec_of: Callable[[str], ModuleSpec] | None = None


def take_turns(spec_of: Callable[[str], ModuleSpec]) -> None:
    """From now on each call finds the ``__main__`` of its program in place."""
    Turns.taken, Turns.spec_of = True, spec_of


def put_in_place(main_id: str) -> None:
    """Let this program's module be ``sys.modules["__main__"]``: its calls come next."""
    if main_id != _OWN and Turns.taken:
        sys.modules["__main__"] = module_of(main_id)


def classes_in(names: dict[str, Any]) -> list[str]:
    """Names under which ``__main__`` has classes of its own.

    Pickles that the program wrote to files name them, without any code of a task doing so.
    """
    return [
        name
        for name, value in list(names.items())
        # Of a lazy object `isinstance` would ask the `__class__`, which may raise.
        if issubclass(type(value), type) and value.__module__ in MAIN_NAMES
    ]


def current_names() -> tuple[str, dict[str, Any]] | None:
    """Id and names of the ``__main__`` that is in place, unless it is one of pymonik's own."""
    main = sys.modules.get("__main__")
    if main is None:
        return None
    return str(main_id_of(main.__dict__)), main.__dict__
