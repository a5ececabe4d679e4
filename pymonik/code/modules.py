"""Which modules travel by value: those that a worker cannot be expected to have.

Installed packages and the standard library are imported where the task runs. The user's own
modules (beside the script, in a project folder, installed as editable) are sent with the function,
in the state that they have now; an edited and reloaded module is therefore never stale.
"""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
from pathlib import Path

_environments: set[str] = set()  # one in an executor that has packages, none elsewhere


def installed_in(folder: str) -> None:
    """Count ``folder`` among those of installed packages: the environment of a task is one."""
    _environments.add(folder)
    _installed_folders.cache_clear()
    _is_users.cache_clear()


def is_users(name: str) -> bool:
    """Whether a module belongs to the user, and is not the script itself."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    return file is not None and name != "__main__" and _is_users(name, file)


@functools.lru_cache(maxsize=4096)
def _is_users(name: str, file: str) -> bool:
    if name.partition(".")[0] == "pymonik" or not file.endswith(".py"):
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> frozenset[Path]:
    schemes = ("stdlib", "platstdlib", "purelib", "platlib")
    names = {sysconfig.get_path(scheme) for scheme in schemes}
    names |= _environments
    names |= {*site.getsitepackages(), site.getusersitepackages()}
    names |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return frozenset(Path(name).resolve() for name in names if name)
