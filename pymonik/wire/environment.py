"""What a call needs around it: packages and environment variables, as a value with an id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NoReturn, cast

import msgspec

from pymonik.errors import UsageError


class Environment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Packages to install and variables to set; compare and hash by `packages_id`.

    Attributes:
        pip: Requirements as an installer reads them: ``"numpy"``, ``"pandas==2.2.3"``; sorted.
        env_variables: Set for the call only. Never logged: they hold secrets.
    """

    pip: tuple[str, ...] = ()
    env_variables: dict[str, str] = msgspec.field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.pip, frozenset(self.env_variables.items())))

    def install_package(self, package_name: str, version: str | None = None) -> NoReturn:
        """Refused: packages are there before a task starts.

        Raises:
            UsageError: It says how to ask for the package.
        """
        wanted = f"{package_name}{version or ''}"
        raise UsageError(
            f"packages are installed before a task: Pymonik(environment={{'pip': [{wanted!r}]}})"
        )

    def over(self, base: Environment) -> Environment:
        """This environment, and of ``base`` the packages if it names none, and its variables."""
        variables = {**base.env_variables, **self.env_variables}
        return Environment(self.pip or base.pip, variables)

    @property
    def packages_id(self) -> str:
        """Known by its content: the same packages have the same id, ``""`` without any."""
        if not self.pip:
            return ""
        return hashlib.sha256("\n".join(self.pip).encode()).hexdigest()[:16]

    @classmethod
    def parse(cls, value: object) -> Environment:
        """Read ``{"pip": ["numpy", ("pandas", "==2.2.3")], "env_variables": {"A": "1"}}``.

        Raises:
            UsageError: An unknown key, or a value of the wrong shape.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise UsageError(f"environment must be a dict, not {type(value).__name__}")
        if unknown := set(value) - {"pip", "env_variables"}:
            raise UsageError(
                f"environment has unknown keys {sorted(map(str, unknown))}; "
                "there are 'pip' and 'env_variables'"
            )
        return cls(_requirements(value.get("pip")), _variables(value.get("env_variables")))


def _requirements(pip: object) -> tuple[str, ...]:
    if pip is None:
        return ()
    if isinstance(pip, str) or not isinstance(pip, Sequence):
        raise UsageError("environment['pip'] must be a list of packages")
    return tuple(sorted({_requirement(entry) for entry in pip}))


def _requirement(entry: object) -> str:
    if isinstance(entry, str) and entry.strip():
        return entry.strip()
    if isinstance(entry, tuple | list) and 1 <= len(entry) <= 2:
        name, version = (*entry, "")[:2]
        if isinstance(name, str) and name and isinstance(version, str | None):
            return f"{name}{_specifier(version or '')}"
    raise UsageError(f"environment['pip'] has {entry!r}; write 'numpy' or ('numpy', '==2.1.0')")


def _specifier(version: str) -> str:
    return f"=={version}" if version[:1].isdigit() else version


def _variables(variables: object) -> dict[str, str]:
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise UsageError("environment['env_variables'] must be a dict of strings")
    for name, value in variables.items():
        if not isinstance(name, str) or not _is_name(name):
            raise UsageError(f"environment['env_variables'] has the name {name!r}")
        if not isinstance(value, str):
            raise UsageError(
                f"environment['env_variables'][{name!r}] must be a string, "
                f"not {type(value).__name__}"
            )
        if "\0" in value or not _is_text(value):
            raise UsageError(
                f"environment['env_variables'][{name!r}] cannot be the value of a variable: "
                "it has a NUL character, or half of a surrogate pair"
            )
    return dict(cast("Mapping[str, str]", variables))


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name and _is_text(name)


def _is_text(text: str) -> bool:
    """Whether it has no lone surrogate: those do not travel, and no system expects them here."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
