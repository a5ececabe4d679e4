"""Packages that the client takes along, for workers that reach no index.

uv resolves them for the client's platform and Python; pip makes a wheel of each, since uv keeps
none that could be sent. With them the worker installs without resolving and without an index.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, parse_wheel_filename

from pymonik.environments import cache_folder, installer, local_packages, locks
from pymonik.environments.requirements import Packages
from pymonik.errors import EnvironmentSetupError, UsageError
from pymonik.wire.environment import Environment, PackageFile

if TYPE_CHECKING:
    from collections.abc import Sequence

# Seconds for all wheels together, some of which may have to be built.
DOWNLOAD_LIMIT_S = 1800.0
_HASH = re.compile(r"\s--hash[= ]\S+")
_OF_PIP = {  # pip is to look where uv has looked
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_INDEX_URL": "PIP_INDEX_URL",
    "UV_INDEX": "PIP_EXTRA_INDEX_URL",
    "UV_EXTRA_INDEX_URL": "PIP_EXTRA_INDEX_URL",
}


def downloaded(packages: Packages) -> Packages:
    """The same packages in the versions of now, each as a wheel of its own.

    Raises:
        UsageError: They cannot be resolved or fetched; the message is the installer's.
    """
    asked = Environment(
        pip=tuple(packages.pip),
        constraints=tuple(packages.constraints),
        indexes=tuple(packages.indexes),
        files=tuple(packages.files),
        is_locked=packages.is_locked,
    )
    try:
        lines = locks.resolve(asked, lambda: True).lines
        away = [line for line in lines if local_packages.TRAVELLING not in line]
        files = [*packages.files, *_fetched(away, packages.indexes)]
    except EnvironmentSetupError as error:
        raise UsageError(f"environment: offline=True:\n{error.message}") from error
    pip = [f"{_name(file.name)} @ {local_packages.TRAVELLING}{file.name}" for file in files]
    return Packages(pip=pip, files=files, is_locked=True)


def _name(wheel: str) -> str:
    return str(canonicalize_name(parse_wheel_filename(wheel)[0]))


def _fetched(lines: Sequence[str], indexes: Sequence[str]) -> list[PackageFile]:
    if not lines:
        return []
    if not all(_HASH.search(line) for line in lines):  # pip checks those of all or of none
        lines = [_HASH.sub("", line) for line in lines]
    cache_folder.folder().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pymonik-wheels-"))
    try:
        asked = folder / "requirements.txt"
        asked.write_text("\n".join((*indexes, *lines)) + "\n")
        # uv runs pip in an environment of its own: the program's may have none.
        command = ["tool", "run", "--quiet", "--python", installer.python(), "--from", "pip"]
        command += ["pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
        command += ["--wheel-dir", str(folder), "--requirement", str(asked)]
        installer.run(
            command, cwd=cache_folder.folder(), limit_s=DOWNLOAD_LIMIT_S, variables=_for_pip()
        )
        return [local_packages.kept(wheel) for wheel in sorted(folder.glob("*.whl"))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _for_pip() -> dict[str, str]:
    known = [name for name in _OF_PIP if name in os.environ]
    return {_OF_PIP[name]: os.environ[name] for name in known}
