"""Packages of an environment, in an executor: where a virtual environment has them.

They stand behind the standard library, so that a package such as ``asyncio`` on an index does not
take its place, and before the packages of the worker. Python that a task starts by `sys.executable`
has the same packages; another Python has none of ours, so PYTHONPATH stays as it is.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

_INSTALLED = ("site-packages", "dist-packages")


def stand_in_site_packages(packages: str) -> None:
    """Import from a folder of packages before those of the worker, and have children do so too."""
    known = len(sys.path)
    site.addsitedir(packages)  # reads its .pth files, which may name more folders
    added = sys.path[known:]
    # `addsitedir` only appends; the entries are taken off the end and put before the worker's
    # packages.
    del sys.path[known:]
    first = next((n for n, path in enumerate(sys.path) if Path(path).name in _INSTALLED), known)
    sys.path[first:first] = added
    _become_its_python(Path(packages).parents[2])


def _become_its_python(place: Path) -> None:
    """Have a task that starts Python, or a script of a package, start those of its environment."""
    programs = place / "bin"
    if not (programs / "python").exists():
        return
    sys.executable = str(programs / "python")
    os.environ["PATH"] = os.pathsep.join(filter(None, (str(programs), os.environ.get("PATH"))))
    spawn = sys.modules.get("multiprocessing.spawn")
    # The module was imported before, and keeps the interpreter that it has seen.
    if spawn is not None:
        spawn.set_executable(sys.executable)
