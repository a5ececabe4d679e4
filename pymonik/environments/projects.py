"""The dependencies of a project, of its lock, and of a script with a block of PEP 723."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from pymonik.environments import installer, requirements
from pymonik.errors import EnvironmentSetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.environments.requirements import Packages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The regular expression of PEP 723.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_EXPORT_LIMIT_S = 120.0  # seconds; uv only reads the lock and writes it in another syntax
# The registry that uv takes without being told: it need not travel as an option.
_PUBLIC = "https://pypi.org/simple"


def of_project(path: Path) -> Packages:
    """The dependencies in a ``pyproject.toml``, without its groups and extras."""
    whole = _toml(requirements.readable_text(path), path)
    project = _table(whole, "project", path)
    if "dependencies" in project.get("dynamic", ()):
        raise UsageError(
            f"environment: the dependencies in {path} are dynamic: only its build tells them. "
            f"Write environment=[{str(path.parent)!r}], which builds it"
        )
    return _of_tables(project, whole, path)


def of_script() -> Packages:
    """The dependencies in the block of the program's own file."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    if name is None:
        raise UsageError("environment='script': this program has no file, hence no script block")
    path = Path(name).absolute()
    blocks = [
        found["content"]
        for found in _BLOCK.finditer(requirements.readable_text(path))
        if found["type"] == "script"
    ]
    if len(blocks) != 1:
        raise UsageError(
            f"environment='script': {path} has {len(blocks) or 'no'} blocks '# /// script'; "
            "it must have one (see PEP 723)"
        )
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].splitlines())
    table = _toml("\n".join(lines), path)
    return _of_tables(table, table, path)


def of_lock(path: Path) -> Packages:
    """All packages of a ``uv.lock`` in its versions, without the project itself.

    The project's own modules travel as files, as those of any program do.
    """
    if path.name != "uv.lock":
        raise UsageError(f"environment: {path.name}: of lock files, pymonik reads uv.lock")
    indexes = _indexes_of_lock(_toml(requirements.readable_text(path), path))
    lines = [*indexes, *_exported(path)]
    packages = requirements.of_lines(lines, name=str(path), folder=path.parent)
    packages.is_locked = True
    return packages


def _exported(path: Path) -> list[str]:
    """The lock in the syntax of requirements files, as uv writes it."""
    # ``--frozen``: the versions of the lock as it is, without a look at whether it fits the
    # project.
    command = ["export", "--frozen", "--quiet", "--no-header", "--no-dev", "--no-emit-project"]
    command += ["--format", "requirements-txt", "--project", str(path.parent)]
    with tempfile.TemporaryDirectory(prefix="pymonik-lock-") as folder:
        try:
            text = installer.run(command, cwd=Path(folder), limit_s=_EXPORT_LIMIT_S)
        except EnvironmentSetupError as error:
            raise UsageError(f"environment: {path} cannot be read:\n{error.message}") from error
    return [line for _, line in requirements.logical_lines(text)]


def _indexes_of_lock(lock: Mapping[str, Any]) -> list[str]:
    """Where the packages of a lock come from; uv does not say so when it exports one."""
    sources = (package.get("source", {}) for package in lock.get("package", ()))
    registries = {source["registry"] for source in sources if "registry" in source}
    return [
        f"{'--extra-index-url' if '://' in address else '--find-links'} {address}"
        for address in sorted(registries)
        if address != _PUBLIC
    ]


def _of_tables(about: Mapping[str, Any], whole: Mapping[str, Any], path: Path) -> Packages:
    """The dependencies of a table; ``whole`` may say in ``tool.uv`` where they come from."""
    _check_python(about.get("requires-python", ""), path)
    lines = about.get("dependencies", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UsageError(f"environment: the dependencies in {path} are no list of texts")
    uv = _table(_table(whole, "tool", path), "uv", path)
    sources: dict[str, Any] = {
        canonicalize_name(name): source for name, source in uv.get("sources", {}).items()
    }
    indexes = uv.get("index", [])
    placed = [_placed(line, sources, path) for line in lines]
    # An explicit index is for the packages that name it as their source. A requirements file knows
    # no such bond, so it counts for all packages if one of them names it.
    options = [_index(index) for index in indexes if not index.get("explicit")]
    used = {source.get("index") for source in sources.values() if isinstance(source, dict)}
    options += [
        _index(index) for index in indexes if index.get("explicit") and index["name"] in used
    ]
    return requirements.of_lines([*options, *placed], name=str(path), folder=path.parent)


def _index(index: Mapping[str, Any]) -> str:
    option = "--index-url" if index.get("default") else "--extra-index-url"
    return f"{option} {index['url']}"


def _placed(line: str, sources: Mapping[str, Any], path: Path) -> str:
    """A dependency with the place that ``tool.uv.sources`` gives for it."""
    try:
        wanted = Requirement(line)
    except InvalidRequirement as error:
        raise UsageError(f"environment: {path} has the dependency {line!r}: {error}") from error
    source = sources.get(canonicalize_name(wanted.name))
    if source is None or (isinstance(source, dict) and "index" in source):
        return line
    if not isinstance(source, dict) or (place := _place(source, path)) is None:
        raise UsageError(
            f"environment: tool.uv.sources of {path} gives {wanted.name} the source {source!r}, "
            "which pymonik cannot take along; use its uv.lock"
        )
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    marker = f" ; {wanted.marker}" if wanted.marker else ""
    return f"{wanted.name}{extras} @ {place}{marker}"


def _place(source: Mapping[str, Any], path: Path) -> str | None:
    if "path" in source:
        return Path(path.parent, str(source["path"])).resolve().as_uri()
    if "url" in source:
        return str(source["url"])
    if "git" in source:
        revision = source.get("rev") or source.get("tag") or source.get("branch")
        below = f"#subdirectory={source['subdirectory']}" if "subdirectory" in source else ""
        return f"git+{source['git']}{f'@{revision}' if revision else ''}{below}"
    return None


def _check_python(wanted: object, path: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        fits = SpecifierSet(str(wanted)).contains(version, prereleases=True)
    except InvalidSpecifier as error:
        raise UsageError(f"environment: requires-python in {path}: {error}") from error
    if not fits:
        raise UsageError(
            f"environment: {path} requires Python {wanted}, and this program runs on {version}: "
            "its functions travel to workers with the same Python"
        )


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"environment: {path} is no TOML: {error}") from error


def _table(table: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"environment: {name} in {path} is no table")
    if name == "project" and not found:
        raise UsageError(f"environment: {path} has no table [project]")
    return found
