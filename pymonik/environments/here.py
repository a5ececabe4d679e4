"""What this interpreter has installed, of what the program imports.

The packages that the program's own modules import are asked for in the versions they have here, and
what those need is held to the versions it has here.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import sys
import sysconfig
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pymonik.environments.requirements import Packages, of_lines
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import Distribution

# Modules of ours are not looked into: what they import is needed at every worker anyway.
_OURS = "pymonik"
_NOT_OURS_TO_SEND = ("pymonik", "pip", "setuptools", "wheel", "uv")  # workers have their own


def installed_of_program() -> Packages:
    """The packages that the program imports, pinned to what is installed here."""
    wanted = [*distributions_of(_imported_names())]
    lines = [line for one in wanted if (line := line_of(one)) is not None]
    packages = of_lines(lines, name="environment='here'", folder=Path("/"))
    limits = {_key(one): one for one in _needed_by(wanted)}
    packages.constraints = [
        f"{one.name}=={one.version}" for one in limits.values() if not _direct(one)
    ]
    return packages


def _imported_names() -> set[str]:
    """Top-level names that the program's own modules import, also inside functions."""
    names: set[str] = set()
    for module in _modules_of_program():
        names |= set(_in_source(module))
        names |= set(_in_values(vars(module).values()))
    return names


def _modules_of_program() -> Iterator[types.ModuleType]:
    installed = tuple(
        {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    )
    # A copy: other threads may import while this goes on.
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == _OURS or not isinstance(module, types.ModuleType):
            continue
        path = str(getattr(module, "__file__", None) or "")
        if name == "__main__" or (path.endswith(".py") and not path.startswith(installed)):
            yield module


def _in_source(module: types.ModuleType) -> Iterator[str]:
    path = getattr(module, "__file__", None)
    if path is None:
        return
    try:
        # The source is read and not the values alone, since a function imports when it is called.
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):  # no file, or none in Python
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _in_values(values: Iterable[object]) -> Iterator[str]:
    """Where the things come from that a notebook has imported: it has no source to read."""
    for value in list(values):
        name = value.__name__ if isinstance(value, types.ModuleType) else _module_name(value)
        if name:
            yield name.partition(".")[0]


def _module_name(value: object) -> str | None:
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return value.__module__
    return None


def distributions_of(names: Iterable[str]) -> list[Distribution]:
    """The packages that give these top-level names, by name; none of ours."""
    wanted = set(names)
    found = {_key(one): one for one in importlib.metadata.distributions() if _gives(one) & wanted}
    return [found[key] for key in sorted(found) if key not in _NOT_OURS_TO_SEND]


def _gives(one: Distribution) -> set[str]:
    """The top-level names that a package installs; in Python 3.10 the library knows only some."""
    if told := (one.read_text("top_level.txt") or "").split():
        return set(told)
    paths = [path for path in one.files or () if path.suffix in (".py", ".so")]
    return {path.parts[0] if len(path.parts) > 1 else path.name.partition(".")[0] for path in paths}


def _key(one: Distribution) -> str:
    return str(canonicalize_name(one.name))


def line_of(one: Distribution) -> str | None:
    """A requirement that gives the same; ``None`` for what travels as the program's own files."""
    direct = _direct(one)
    if not direct:
        return f"{one.name}=={one.version}"
    address = str(direct.get("url", ""))
    if direct.get("dir_info", {}).get("editable"):
        return None
    if (vcs := direct.get("vcs_info")) is not None:
        below = f"#subdirectory={direct['subdirectory']}" if "subdirectory" in direct else ""
        return f"{one.name} @ {vcs['vcs']}+{address}@{vcs['commit_id']}{below}"
    return f"{one.name} @ {address}"


def _direct(one: Distribution) -> dict[str, Any]:
    """Where it was installed from, if not from an index (PEP 610)."""
    text = one.read_text("direct_url.json")
    if not text:
        return {}
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise UsageError(f"environment='here': {one.name}: {error}") from error


def _needed_by(wanted: Iterable[Distribution]) -> list[Distribution]:
    """What is installed here of all that these need, and of what that needs."""
    seen: dict[str, Distribution] = {}
    # Markers of requirements without an extra are evaluated with the extra ``""``.
    waiting = [(one, frozenset({""})) for one in wanted]
    while waiting:
        for name, extras in _requires(*waiting.pop()):
            if name in seen or name in _NOT_OURS_TO_SEND:
                continue
            try:
                seen[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # broken here too
            waiting.append((seen[name], extras))
    return list(seen.values())


def _requires(one: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """What a package needs here with these extras, and which extras it asks of that."""
    for line in one.requires or ():
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        marker = wanted.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield str(canonicalize_name(wanted.name)), frozenset({"", *wanted.extras})
