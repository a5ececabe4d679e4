"""Requirements files, and lists of the same lines, read as pip reads them.

What they include is included here, and what lies on the client's disk becomes a wheel that travels:
the worker sees neither the client's files nor its folders. What names an index travels as it
stands; an address with a password in it is refused, since payloads are stored.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement

from pymonik.environments import local_packages
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.wire.environment import PackageFile

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASHES = re.compile(r"(\s+--hash[= ]\S+)+\s*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_EXTRAS = re.compile(r"^(?P<path>.+?)(?P<extras>\[[^\]]*\])?$")
_SECRET_HOLDER = re.compile(r"://[^/@\s]+@")
_SCHEMES = ("http://", "https://", "git+", "hg+", "svn+", "bzr+", "ssh://")
# Options as pip has them, by their short names.
_SHORT = {
    "-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url",
    "-f": "--find-links",
}  # fmt: skip
# Options that mean the same at the worker: they go along with the packages.
_TRAVELLING = ("--index-url", "--extra-index-url", "--find-links", "--no-binary", "--only-binary")
_TRAVELLING_FLAGS = ("--no-index", "--pre")
# uv checks each hash that it is given, and prefers wheels by itself.
_NEEDLESS = ("--require-hashes", "--prefer-binary")


@dataclass
class Packages:
    """What was asked for, as it is gathered; see `Environment` for the fields."""

    pip: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    files: list[PackageFile] = field(default_factory=list)
    is_locked: bool = False

    def add_project(self, path: Path, extras: str = "") -> None:
        """Add a package that lies at the client, as a wheel."""
        # Built at once: an error of the build is raised where the user has written the path.
        wheel = local_packages.wheel_of(path)
        name = wheel.name.partition("-")[0].replace("_", "-")
        self.pip.append(f"{name}{extras} @ {local_packages.TRAVELLING}{wheel.name}")
        if wheel not in self.files:
            self.files.append(wheel)


@dataclass(frozen=True)
class _Source:
    """Where a line stands: paths in it are relative to ``folder``."""

    name: str
    folder: Path
    line: int = 0

    def error(self, text: str, why: str) -> UsageError:
        place = f"{self.name}, line {self.line}" if self.line else self.name
        return UsageError(f"{place}: {text!r}: {why}")


def of_file(path: Path) -> Packages:
    """The packages of a requirements file."""
    packages = Packages()
    _read_file(path, packages, ())
    return packages


def of_lines(
    lines: Sequence[str], *, name: str = "environment", folder: Path | None = None
) -> Packages:
    """The packages of single lines; paths in them are relative to ``folder``, or to the current."""
    packages = Packages()
    for line in lines:
        _read_line(line, packages, _Source(name, folder or Path.cwd()), ())
    return packages


def readable_text(path: Path) -> str:
    """The text of a file that the user named.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        # Some editors begin a file with a mark of its encoding, which would be part of the first
        # name.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"environment: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"environment: {path} is not text in UTF-8: {error}") from error


def _read_file(path: Path, packages: Packages, around: tuple[Path, ...]) -> None:
    if path in around:
        raise UsageError(f"environment: {path} includes itself")
    for number, line in logical_lines(readable_text(path)):
        source = _Source(str(path), path.parent, number)
        _read_line(line, packages, source, (*around, path))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that end in a backslash joined; each with its number."""
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if begun else number
        line = _COMMENT.sub("", raw).rstrip()
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        whole, begun = " ".join((begun + line).split()), ""
        if whole:
            yield first, whole
    if begun.strip():
        yield first, begun.strip()


def _read_line(line: str, packages: Packages, source: _Source, around: tuple[Path, ...]) -> None:
    if "\0" in line or "\n" in line:
        raise source.error(line, "a requirement is one line of text")
    if line.startswith("-"):
        _read_option(line, packages, source, around)
    elif (path := _local_path(line, source)) is not None:
        _add_local(*path, packages, source, line)
    else:
        packages.pip.append(_requirement(line, source))


def _read_option(line: str, packages: Packages, source: _Source, around: tuple[Path, ...]) -> None:
    option, value = _option(line, source)
    if option == "--requirement":
        _read_file(source.folder / value, packages, around)
    elif option == "--constraint":
        limits = Packages()
        _read_file(source.folder / value, limits, around)
        packages.constraints += [*limits.pip, *limits.constraints]
    elif option == "--editable":
        _add_editable(value, packages, source, line)
    elif option == "--trusted-host":
        raise source.error(line, "which hosts need no certificate is decided at the worker")
    elif option == "--find-links" and not value.startswith(("http://", "https://")):
        raise source.error(
            line, "the worker does not see this folder; 'offline': True takes the packages along"
        )
    elif option in _TRAVELLING or option in _TRAVELLING_FLAGS:
        _refuse_secrets(value, source)
        packages.indexes.append(f"{option} {value}".strip())
    elif option not in _NEEDLESS:
        raise source.error(line, f"the option {option} is not supported here")


def _option(line: str, source: _Source) -> tuple[str, str]:
    """The long name of an option and its value."""
    try:
        word, *values = shlex.split(line)
    except ValueError as error:
        raise source.error(line, str(error)) from error
    if word.startswith("--"):
        word, is_joined, value = word.partition("=")
        values = [value, *values] if is_joined else values
    elif len(word) > 2:  # as in -rother.txt
        word, values = word[:2], [word[2:], *values]
    option = _SHORT.get(word, word)
    is_flag = option in _TRAVELLING_FLAGS or option in _NEEDLESS
    if len(values) != (0 if is_flag else 1):
        raise source.error(line, f"{option} takes {'nothing' if is_flag else 'one value'}")
    return option, "".join(values)


def _add_editable(value: str, packages: Packages, source: _Source, line: str) -> None:
    if value.startswith(_SCHEMES):
        url, _, egg = value.partition("#egg=")
        name = f"{egg.partition('&')[0]} @ " if egg else ""
        packages.pip.append(_requirement(f"{name}{url}", source))
        return
    path, extras = _path_and_extras(value.removeprefix("file://"), source)
    if not path.is_dir():
        raise source.error(line, f"there is no project folder {path}")
    _add_local(path, extras, packages, source, line)


def _local_path(line: str, source: _Source) -> tuple[Path, str] | None:
    """The path that a requirement names on this machine, and its extras."""
    name, is_named, url = line.partition(" @ ")
    if is_named and url.strip().startswith("file:"):
        extras = "[" + name.partition("[")[2] if "[" in name else ""
        return Path(url2pathname(urlsplit(url.strip().partition(" ;")[0]).path)), extras
    if line.startswith("file:"):
        return Path(url2pathname(urlsplit(line).path)), ""
    is_path = line.startswith((".", "/", "~")) or line.endswith((".whl", ".tar.gz", ".zip"))
    if is_named or line.startswith(_SCHEMES) or not is_path:
        return None
    return _path_and_extras(line, source)


def _path_and_extras(text: str, source: _Source) -> tuple[Path, str]:
    found = _EXTRAS.match(text)
    path, extras = (found["path"], found["extras"] or "") if found else (text, "")
    return (source.folder / Path(path).expanduser()).resolve(), extras


def _add_local(path: Path, extras: str, packages: Packages, source: _Source, line: str) -> None:
    if not path.exists():
        raise source.error(line, f"there is no {path}")
    if path.is_dir() and not any((path / one).exists() for one in ("pyproject.toml", "setup.py")):
        raise source.error(line, f"{path} has neither a pyproject.toml nor a setup.py")
    packages.add_project(path, extras)


def _requirement(line: str, source: _Source) -> str:
    """The line, if an installer can read it."""
    _refuse_secrets(line, source)
    if line.startswith(_SCHEMES):
        return line  # an address without a name: the installer looks inside
    try:
        Requirement(_VARIABLE.sub("x", _HASHES.sub("", line)))
    except InvalidRequirement as error:
        raise source.error(line, _why_invalid(line, error)) from error
    return line


def _why_invalid(line: str, error: InvalidRequirement) -> str:
    if re.match(r"^[\w.-]+\s*=[^=]", line):
        return f"no requirement; write {line.replace('=', '==', 1)!r}"
    if re.match(r"^[\w.-]+::", line):
        return "a conda channel: pymonik installs what pip can, from wheels"
    return f"no requirement: {str(error).splitlines()[0]}"


def _refuse_secrets(text: str, source: _Source) -> None:
    """Refuse a password in an address, and never repeat it."""
    for found in _SECRET_HOLDER.finditer(text):
        holder = found.group().removeprefix("://").removesuffix("@")
        # ``git@`` is the user that all servers of git have, and no secret; variables are filled in
        # at the worker.
        if holder == "git" or _VARIABLE.fullmatch(holder) or _is_all_variables(holder):
            continue
        shown = _SECRET_HOLDER.sub("://***@", text)
        raise source.error(
            shown,
            "an address with a user or password would be stored with every call; let the worker "
            "know it: ~/.netrc, UV_INDEX_<NAME>_PASSWORD, or ${VARIABLE} in the address",
        )


def _is_all_variables(holder: str) -> bool:
    return all(_VARIABLE.fullmatch(part) for part in holder.split(":"))
