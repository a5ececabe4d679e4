"""The program's ``__main__`` in processes that a task starts with `multiprocessing`.

A child that is spawned imports ``__main__`` of its parent by the name in the module's spec. So the
spec of an `pymonik.code.main_module.ArrivedMain` names the module `pymonik.code.in_child`, and puts
all definitions into the environment, where that finds them.
"""

from __future__ import annotations

import base64
import os
import zlib
from importlib.machinery import ModuleSpec
from typing import Any, Final

from pymonik.code import main_module
from pymonik.wire.definitions import split_definitions, with_definitions

VARIABLE: Final = "PYMONIK_MAIN"  # with ``_0``, ``_1``… behind it, for the parts
_PART: Final = 100_000  # characters of one variable; Linux takes 128 KiB
_MOST_PARTS: Final = 8  # variables: all that a process is started with has a limit of its own


class MainSpec(ModuleSpec):
    """Says which module children import in place of ``__main__``.

    Args:
        main_id: Of the program.
    """

    def __init__(self, main_id: str) -> None:
        super().__init__("pymonik.code.in_child", None)
        self._main_id = main_id

    @property
    def name(self) -> Any:
        """Read when a child is about to start, which is when the environment is filled."""
        return self.__dict__["name"] if _hand_down(self.__dict__.get("_main_id")) else None

    @name.setter
    def name(self, name: str) -> None:
        self.__dict__["name"] = name


def _hand_down(main_id: str | None) -> bool:
    """Put the definitions into the environment; ``False`` if they are too large for it."""
    if main_id is None:
        return True
    from pymonik.code import gathering  # an executor's start has no need of either
    from pymonik.code.pickler import Pickler

    names = main_module.names_of(main_id)
    pickler = Pickler()
    pickler.need_names(names, main_module.definitions_of(main_id), optional=True)
    pickler.need_names(names, main_module.classes_in(names), optional=True)
    definitions = gathering.gather(pickler)
    data = zlib.compress(with_definitions(definitions, main_id.encode()))
    text = base64.b64encode(data).decode()
    parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
    # Parts of an earlier start, which may have been more.
    for number in range(_MOST_PARTS):
        os.environ.pop(f"{VARIABLE}_{number}", None)
    if len(parts) > _MOST_PARTS or not definitions:
        return False
    os.environ.update((f"{VARIABLE}_{number}", part) for number, part in enumerate(parts))
    return True


def handed_down() -> dict[str, Any]:
    """The names of ``__main__`` that the parent of this process put into the environment."""
    from pymonik.code import codec

    parts = (os.environ.get(f"{VARIABLE}_{number}", "") for number in range(_MOST_PARTS))
    definitions, main_id = split_definitions(zlib.decompress(base64.b64decode("".join(parts))))
    program = bytes(main_id).decode()
    main_module.take_turns(MainSpec)
    main_module.put_in_place(program)
    codec.accept(definitions)
    return main_module.names_of(program)
