"""Where code is at home: in a module that can be imported, in ``__main__``, or nowhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import first_party, main_module

if TYPE_CHECKING:
    import types

_ABSENT: Final = object()


def travels_by_name(name: object) -> bool:
    """Whether a module is imported where a call runs, so that what it holds travels by name."""
    if not isinstance(name, str) or name in main_module.MAIN_NAMES:
        return False
    module = sys.modules.get(name)
    if module is None:
        return False
    if first_party.can_be_imported(module, name):
        return True
    # Packages that make modules by hand below themselves make them wherever they are imported.
    package = sys.modules.get(name.partition(".")[0])
    return package is not module and getattr(package, "__spec__", None) is not None


def found(module: str, qualname: str) -> Any:
    """What stands under a dotted name in an imported module; `is_absent` tells if nothing does."""
    value: Any = sys.modules.get(module, _ABSENT)
    try:
        for name in qualname.split("."):
            value = getattr(value, name)
    except Exception:  # noqa: BLE001 - __getattr__ of a module or a class may raise anything
        return _ABSENT
    return value


def is_by_name(obj: Any) -> bool:
    """Whether a function, a class or a task is what its module has under its qualified name."""
    try:
        module, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    except Exception:  # noqa: BLE001 - a lazy object of the user's, which cannot be set up
        return False
    if not isinstance(module, str) or not isinstance(qualname, str):
        return False
    return travels_by_name(module) and found(module, qualname) is obj


def name_in_main(obj: Any, names: dict[str, Any]) -> str | None:
    """The name under which ``__main__``, whose names these are, has ``obj``."""
    try:
        name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    except Exception:  # noqa: BLE001 - a lazy object of the user's, which cannot be set up
        return None
    return name if isinstance(name, str) and names.get(name, _ABSENT) is obj else None


def home_of(names: dict[str, Any]) -> types.ModuleType | None:
    """The module that has these names, if it travels by name."""
    module = sys.modules.get(str(names.get("__name__")))
    if module is None or getattr(module, "__dict__", None) is not names:
        return None
    return module if travels_by_name(names["__name__"]) else None
