"""Installed packages that calls reach, as parts of their code, with those that they need.

::

    import name ──► distributions that have files of that name ──► those that they require, in turn
                                                                        └──► version, and RECORD

The version alone says too little: whoever works on a package installs it again and again under the
same one. So the digests that its installer has written down count as well, but for those of files
that differ between machines: scripts name their Python, and each installer leaves its own notes.
What a reached package takes if it is there counts too, as pandas computes otherwise with numexpr;
tools for its developers do not, nor what the others would take.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymonik.cache.codes import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import Distribution

# Names that are no package of the call's: pymonik itself does not decide what a function gives.
_OURS: Final = frozenset({"", "__main__", "builtins", "pymonik", "__future__"})
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)")  # in the marker of a requirement
# Extras for who works on a package, and those that name all others once more.
_TOOLS: Final = frozenset(
    {
        *("test", "tests", "testing", "dev", "develop", "development", "doc", "docs", "lint"),
        *("linting", "typing", "types", "type", "mypy", "check", "checks", "cover", "coverage"),
        *("build", "benchmark", "benchmarks", "all", "complete", "full", "release", "ci", "style"),
    }
)
# Files of a `.dist-info` folder that say who installed the package and how, not what is in it.
_NOTES: Final = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD")
_LENGTH: Final = 32  # characters of a digest


def versions(packages: Iterable[str]) -> tuple[Part, ...]:
    """What is installed of packages, by the names under which they are imported.

    Python's own have no version.
    """
    return _versions(frozenset(packages) - sys.stdlib_module_names - _OURS)


@lru_cache(maxsize=256)  # asked for each call, and nothing is installed while a program runs
def _versions(packages: frozenset[str]) -> tuple[Part, ...]:
    parts = []
    found: dict[str, Distribution] = {}
    for package in sorted(packages):
        distributions = _distributions_of(package)
        if not distributions:
            parts.append(Part(f"package {package}", _content(package)))
        found.update((_name(one), one) for one in distributions)
    waiting = [name for one in found.values() for name in _required(one, optional=True)]
    while waiting:
        one = _distribution(waiting.pop())
        if one is not None and _name(one) not in found:
            found[_name(one)] = one
            waiting += _required(one, optional=False)
    parts += [Part(f"package {name}", _installed(one)) for name, one in found.items()]
    return tuple(sorted(parts))


def _distributions_of(package: str) -> list[Distribution]:
    """The distributions that have files of a package; mostly one, of the same name."""
    # Asked first: to go through all that is installed reads a file of each.
    own = _distribution(package)
    if own is not None and _has(own, package):
        return [own]
    return [one for one in importlib.metadata.distributions() if _has(one, package)]


def _has(one: Distribution, package: str) -> bool:
    record = one.read_text("RECORD") or one.read_text("installed-files.txt") or ""
    if f"\n{package}/" in f"\n{record}" or f"\n{package}." in f"\n{record}":
        return True
    return package in (one.read_text("top_level.txt") or "").split()


@lru_cache(maxsize=1024)
def _distribution(name: str) -> Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _name(one: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", str(one.metadata["Name"])).lower()


def _required(one: Distribution, *, optional: bool) -> Iterator[str]:
    for line in one.requires or ():
        extra = _EXTRA.search(line)
        # Other markers (the platform, the version of Python) are not looked at: what is required
        # elsewhere only is not installed here, and `_distribution` does not find it.
        if extra is not None and (not optional or extra[1].lower() in _TOOLS):
            continue
        if (found := _NAME.match(line)) is not None:
            yield found[0]


def _installed(one: Distribution) -> str:
    """Version and content, as the installer has noted it."""
    digest = hashlib.sha256(one.version.encode())
    for line in sorted((one.read_text("RECORD") or "").splitlines()):
        path, _, rest = line.partition(",")
        is_note = path.rpartition("/")[2] in _NOTES and ".dist-info/" in path
        # What was compiled after the installation has no digest, scripts lie outside.
        if rest.startswith("sha256=") and not path.startswith("..") and not is_note:
            digest.update(f"{path}\0{rest}\n".encode())
    return f"{one.version} {digest.hexdigest()[:_LENGTH]}"


def _content(package: str) -> str:
    """A digest of the files of a package that no installer has put there."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return str(getattr(sys.modules.get(package), "__version__", ""))
    digest = hashlib.sha256()
    for file in sorted(_files(spec.origin, spec.submodule_search_locations or ())):
        digest.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:_LENGTH]


def _files(origin: str | None, folders: Iterable[str]) -> set[Path]:
    found = {Path(origin)} if origin is not None and Path(origin).is_file() else set()
    for folder in folders:
        found |= {one for one in Path(folder).rglob("*") if one.suffix in (".py", ".so", ".pyd")}
    return found
