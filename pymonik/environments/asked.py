"""What a user writes as ``environment=``, checked when it is written, as an `Environment`.

==================================  ==============================================================
``["numpy", "pandas>=2"]``          requirements, also ``("pandas", "==2.2")``, paths, ``-r file``
``"requirements.txt"``              such a list in a file (``.txt`` or ``.in``)
``"pyproject.toml"``                the dependencies of a project
``"uv.lock"``                       the same in the versions of its lock
``"script"``                        the block of PEP 723 in the program's own file
``"here"``                          what this interpreter has, of what the program imports
``{"pip": any, "env_variables":     any of them, with variables
``  {...}, "offline": False}``
==================================  ==============================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.errors import UsageError
from pymonik.wire.environment import Environment, checked_variables

if TYPE_CHECKING:
    from pymonik.environments.requirements import Packages

_KEYS = ("pip", "env_variables", "offline")
# Keys of environment files of conda, which get a message of their own.
_CONDA = ("conda", "channels", "dependencies", "name")
# Characters of a list in the payload of each task; a longer one, as a lock is, is uploaded once as
# a file.
_MOST_CHARACTERS = 1000
_FORMS = (
    "write a list such as ['numpy', 'pandas>=2'], the path of a requirements.txt, pyproject.toml "
    "or uv.lock, 'script', 'here', or a dict with 'pip', 'env_variables' and 'offline'"
)


def environment_of(value: object) -> Environment:
    """The environment that ``value`` asks for; reads the files that it names.

    Raises:
        UsageError: It cannot be one; the message says why, and what to write.
    """
    if isinstance(value, Environment):
        return value
    if value is None:
        return Environment()
    if isinstance(value, Mapping):
        return _of_mapping(value)
    return _environment(value, {}, is_offline=False)


def _of_mapping(value: Mapping[object, object]) -> Environment:
    if unknown := [str(key) for key in value if key not in _KEYS]:
        raise UsageError(_about_unknown(sorted(unknown)))
    is_offline = value.get("offline", False)
    if not isinstance(is_offline, bool):
        raise UsageError(f"environment['offline'] must be True or False, not {is_offline!r}")
    variables = checked_variables(value.get("env_variables"))
    return _environment(value.get("pip"), variables, is_offline=is_offline)


def _about_unknown(unknown: Sequence[str]) -> str:
    if any(key in _CONDA for key in unknown):
        return (
            f"environment has {', '.join(unknown)}: pymonik installs with uv, from wheels, and "
            "makes no conda environments. Name what pip can install under 'pip', or start the "
            "worker in the conda environment"
        )
    return (
        f"environment has unknown keys {', '.join(map(repr, unknown))}; "
        "there are 'pip', 'env_variables' and 'offline'"
    )


def _environment(pip: object, variables: dict[str, str], *, is_offline: bool) -> Environment:
    if pip is None:
        return Environment(env_variables=variables)
    packages = _packages(pip)
    if is_offline:
        # Imported here: it starts uv, and most programs say nothing of environments.
        from pymonik.environments.offline import downloaded

        packages = downloaded(packages)
    return Environment(
        pip=_short(packages.pip, packages, "packages", "-r"),
        constraints=_short(packages.constraints, packages, "constraints", "-c"),
        indexes=tuple(dict.fromkeys(packages.indexes)),
        files=tuple(packages.files),
        is_locked=packages.is_locked,
        is_offline=is_offline,
        env_variables=variables,
    )


def _short(lines: Sequence[str], packages: Packages, name: str, option: str) -> tuple[str, ...]:
    """The lines, if every payload can hold them, else one that names a file of them."""
    from pymonik.environments import local_packages

    # Sorted, so that the same packages in another order have the same id, and are built once.
    found = sorted(set(lines))
    if sum(map(len, found)) <= _MOST_CHARACTERS:
        return tuple(found)
    file = local_packages.written(found, f"{len(found)}-{name}")
    packages.files.append(file)
    return (f"{option} {local_packages.TRAVELLING}{file.name}",)


def _packages(value: object) -> Packages:
    from pymonik.environments import requirements

    if isinstance(value, str | os.PathLike):
        return _named(os.fspath(value))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return requirements.of_lines([_line(entry) for entry in value])
    raise UsageError(f"environment is of type {type(value).__name__}: {_FORMS}")


def _named(name: str | bytes) -> Packages:
    """The packages that one word or one file names."""
    from pymonik.environments import here, projects, requirements

    text = os.fsdecode(name)
    if text == "here":
        return here.installed_of_program()
    if text == "script":
        return projects.of_script()
    path = Path(text).expanduser().absolute()
    if path.name == "pyproject.toml":
        return projects.of_project(path)
    if path.suffix == ".lock":
        return projects.of_lock(path)
    if path.suffix in (".txt", ".in"):
        return requirements.of_file(path)
    if path.suffix in (".yml", ".yaml"):
        raise UsageError(_about_unknown([f"the file {text}", "conda"]))
    raise UsageError(f"environment={text!r} names no packages: {_FORMS}")


def _line(entry: object) -> str:
    """A requirement as a line: ``("pandas", "2.2")`` is short for ``pandas==2.2``."""
    if isinstance(entry, str) and entry.strip():
        return entry.strip()
    if isinstance(entry, os.PathLike):
        return str(Path(os.fsdecode(entry)).absolute())
    if isinstance(entry, tuple | list) and 1 <= len(entry) <= 2:
        name, version = (*entry, "")[:2]
        if isinstance(name, str) and name and isinstance(version, str | None):
            return f"{name}{_specifier(version or '')}"
    raise UsageError(
        f"environment['pip'] has {entry!r}; write 'numpy', 'numpy==2.1.0' or ('numpy', '==2.1.0')"
    )


def _specifier(version: str) -> str:
    return f"=={version}" if version[:1].isdigit() else version
