"""What a call needs around it: packages and environment variables, as a value with an id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NoReturn, cast

import msgspec

from pymonik.errors import UsageError

_LONGEST: Final = 128 * 1024  # bytes of NAME=VALUE and its end: MAX_ARG_STRLEN of Linux


class PackageFile(msgspec.Struct, frozen=True, array_like=True):
    """A wheel that the client uploads, because no index has it or the worker reaches none.

    Attributes:
        name: Of the file, such as ``six-1.17.0-py2.py3-none-any.whl``.
        digest: SHA-256 of its bytes, in hexadecimal.
        result_id: Where the bytes lie, in a container of one blob; a data dependency of the task.
            Empty until they are uploaded.
    """

    name: str
    digest: str
    result_id: str = ""


class Environment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Packages to install and variables to set; its packages are compared by `packages_id`.

    Everything but the variables and the files stands in the syntax of requirements files, so that
    the installer at the worker reads what the user wrote. No field holds the user's secrets but
    ``env_variables``: an index address with a password is refused at the call.

    Attributes:
        pip: Requirements: ``"numpy"``, ``"pandas==2.2.3"``, or a lock's lines with their hashes;
            sorted.
        constraints: Limits on versions of packages that others may require; sorted.
        indexes: Options that say where packages lie, such as ``"--extra-index-url https://x"``, in
            the order in which they are asked.
        files: Wheels that come with the call; a requirement named as one of them means that one.
        is_locked: ``pip`` names every package in its version: nothing is left to resolve.
        is_offline: The worker asks no index: all packages are among ``files``.
        env_variables: Of the executor that runs the call. Never logged: they hold secrets.
    """

    pip: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    files: tuple[PackageFile, ...] = ()
    is_locked: bool = False
    is_offline: bool = False
    env_variables: dict[str, str] = msgspec.field(default_factory=dict)

    def __hash__(self) -> int:
        # The other fields hardly ever differ where these are equal; the dict of variables has no
        # hash.
        return hash((self.pip, self.files, frozenset(self.env_variables.items())))

    def install_package(self, package_name: str, version: str | None = None) -> NoReturn:
        """Refused: packages are there before a task starts.

        Raises:
            UsageError: It says how to ask for the package.
        """
        wanted = f"{package_name}{version or ''}"
        raise UsageError(
            f"packages are installed before a task: Pymonik(environment={{'pip': [{wanted!r}]}})"
        )

    @property
    def has_packages(self) -> bool:
        """Whether there is anything to install."""
        return bool(self.pip or self.files)

    @property
    def packages_id(self) -> str:
        """An id of the packages that are asked for, equal for equal requests; ``""`` for none."""
        if not self.has_packages:
            return ""
        files = [f"{file.name} {file.digest}" for file in self.files]
        how = [str(self.is_locked), str(self.is_offline)]
        # Empty lines stand between the lists: an entry must not count the same in another one.
        lines = [*self.pip, "", *self.constraints, "", *self.indexes, "", *files, "", *how]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def at(self, result_ids: Mapping[str, str]) -> Environment:
        """The environment with the result ids of its files, which are given by digest."""
        if not self.files:
            return self
        files = [PackageFile(f.name, f.digest, result_ids[f.digest]) for f in self.files]
        return msgspec.structs.replace(self, files=tuple(files))

    def over(self, wider: Environment) -> Environment:
        """This environment inside a wider one: a call's in its task's, a task's in its client's.

        The packages of the nearest that names any replace those of the others, since two lists that
        were not made for each other may contradict; variables merge, and the nearest wins.
        """
        packages = self if self.has_packages else wider
        return msgspec.structs.replace(
            packages, env_variables={**wider.env_variables, **self.env_variables}
        )


def checked_variables(variables: object) -> dict[str, str]:
    """Variables that any process can be started with.

    Raises:
        UsageError: A name or a value cannot be one; the message never holds the value.
    """
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise UsageError(
            f"environment['env_variables'] must be a dict of strings, "
            f"not {type(variables).__name__}"
        )
    for name, value in variables.items():
        _check_name(name)
        _check_value(name, value)
    return dict(cast("Mapping[str, str]", variables))


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or "=" in name or not _is_settable(name):
        raise UsageError(
            f"environment['env_variables'] has the name {name!r}: "
            "a name is a text without '=' and NUL"
        )


def _check_value(name: object, value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(
            f"environment['env_variables'][{name!r}] must be a string, not {type(value).__name__}"
        )
    if not _is_settable(value):
        raise UsageError(
            f"the value of environment['env_variables'][{name!r}] holds a character "
            "that no variable can have: NUL, or half of a surrogate pair"
        )
    if len(f"{name}={value}".encode()) >= _LONGEST:
        raise UsageError(
            f"the value of environment['env_variables'][{name!r}] is longer than the "
            f"{_LONGEST} bytes that the system gives a variable: pass it as an argument"
        )


def _is_settable(text: str) -> bool:
    """Whether the system takes it: its variables end at the first NUL, and travel as UTF-8."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
