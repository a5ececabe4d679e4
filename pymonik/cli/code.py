"""`pymonik code`: the files of a program that would go with its calls."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cli.printing import show
from pymonik.code import closure
from pymonik.code.bundle import Bundler
from pymonik.code.imports import code_of_file, imported_names
from pymonik.errors import UsageError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("program", help="a script, or the name of a module")
    parser.add_argument("--include", action="append", default=[], help="as in Pymonik(include=)")
    parser.add_argument("--exclude", action="append", default=[], help="as in Pymonik(exclude=)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the files; nothing of the program is run."""
    names = _names(options.program)
    found = frozenset(name for name in names if closure.find(name) is not None)
    bundle = Bundler(options.include, options.exclude).bundle(found)
    files = () if bundle is None else bundle.meta.files
    origins = (
        {} if bundle is None else dict(zip(bundle.meta.roots, bundle.meta.origins, strict=True))
    )
    rows = []
    for file in files:
        root, _, path = file.path.partition("/")
        rows.append({"file": os.path.join(origins[root], path), "bytes": file.size})  # noqa: PTH118 - origins are texts
    show(rows, as_json=options.json, none="no file: what it calls is of the script or installed")
    return 0


def _names(program: str) -> frozenset[str]:
    """Modules that a script imports, or the module itself."""
    path = Path(program)
    if not path.is_file():
        # `python -m` has the current folder there, a command that is installed has its own.
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - an entry of the path of imports
        if closure.find(program) is None:
            raise UsageError(f"there is no file {program!r}, and no module of that name here")
        return frozenset({program})
    # As Python does for a script.
    sys.path.insert(0, str(path.absolute().parent))
    code = code_of_file("__main__", str(path))
    if code is None:
        raise UsageError(f"{program} cannot be read as a program of Python")
    return imported_names(code, "")
