"""The zip of a handler: what would fail on every worker is found out here."""

from __future__ import annotations

import ast
import os
import tempfile
import time
import weakref
from importlib import machinery
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.content.archives import entries_of, opened
from pymonik.content.zipping import files_below, write_zip
from pymonik.errors import SerializationError, UsageError

if TYPE_CHECKING:
    from pymonik.files.file import File


def parts_of(handler: object) -> tuple[str, str]:
    """Module and function; AWS takes slashes in the first too."""
    if not isinstance(handler, str):
        raise UsageError(f"a handler is named 'module.function', not {handler!r}")
    module, _, function = handler.replace("/", ".").rpartition(".")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"a handler is named 'module.function', not {handler!r}")
    return module, function


def check(file: File, shown: str, module: str, function: str) -> None:
    """Find out now what would fail on every worker.

    Raises:
        UsageError: The zip is none, holds what it may not, or has no such handler.
    """
    try:
        with file.open() as source, opened(source) as archive:
            names = {entry.filename for entry in entries_of(archive)}
            place = _module_in(names, module)
            if place is None:
                raise UsageError(f"no module {module!r} in it{_tops(names)}")
            if place.endswith(".py"):
                _check_function(archive.read(place), place, function)
    except FileNotFoundError as error:
        raise UsageError(f"{shown}: there is no such file or folder") from error
    except (SerializationError, UsageError) as error:
        raise UsageError(f"{shown}: {error}") from error


def _module_in(names: set[str], module: str) -> str | None:
    base = module.replace(".", "/")
    endings = [".py", "/__init__.py", ".pyc", "/__init__.pyc", ".so", ".pyd"]
    found = next((base + ending for ending in endings if base + ending in names), None)
    if found is not None:
        return found
    suffixes = tuple(machinery.EXTENSION_SUFFIXES)
    # An extension may be for the worker's Python, whose ending this one does not know.
    compiled = (name for name in names if name.startswith(f"{base}."))
    return next((name for name in compiled if name.endswith((".so", ".pyd", *suffixes))), None)


def _tops(names: set[str]) -> str:
    tops = sorted({name.partition("/")[0].removesuffix(".py") for name in names})
    return f"; there are {', '.join(tops[:10])}" if tops else "; it is empty"


def _check_function(source: bytes, place: str, function: str) -> None:
    try:
        tree = ast.parse(source, place)
    except (SyntaxError, ValueError):  # of another Python: the worker may understand it
        return
    if not _may_bind(tree, function):
        raise UsageError(f"{place} has no handler {function!r}")


def _may_bind(tree: ast.Module, name: str) -> bool:
    """Whether a module may have the name: by any statement, or by what only a run can tell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name in (name, "__getattr__"):
                return True
        elif isinstance(node, ast.Name):
            if node.id in (name, "globals", "vars", "exec", "setattr"):
                return True
        elif isinstance(node, ast.alias):
            bound = (node.asname or node.name).partition(".")[0]
            if bound in (name, "*"):
                return True
    return False


class PackedFolder:
    """A folder as a zip in a temporary file, which goes with this.

    Attributes:
        path: Of the zip.
    """

    def __init__(self, folder: Path) -> None:
        fd, self.path = tempfile.mkstemp(prefix="pymonik-lambda-", suffix=".zip")
        weakref.finalize(self, _remove, self.path, os.getpid())
        with os.fdopen(fd, "wb") as file:
            write_zip(file, files_below(folder), is_small=False)
        # Its digest is remembered only once the clock has moved on: see `pymonik.content.sealing`.
        past = time.time() - 1
        os.utime(self.path, (past, past))


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork
        Path(path).unlink(missing_ok=True)
