"""Folders of packages, one per list of requirements, built once and kept in the user's cache.

A folder is built beside its place and renamed when it is complete; a lock file keeps two processes
from building the same one. Executors put the folder in front of their path.
"""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.errors import EnvironmentSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymonik.wire.environment import Environment

_BUILD_LIMIT_S = 1800.0
_KEPT_MESSAGE = 8000  # characters of what the installer says

# What pip reads, and what uv calls it. pip separates with spaces, `--find-links` of uv with commas.
_SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "no-index": ("UV_NO_INDEX", " "),
}


def packages_folder(environment: Environment) -> str:
    """The folder with the packages of ``environment``, ``""`` when it has none; builds it.

    Raises:
        EnvironmentSetupError: The installer failed; the message is its own.
    """
    if not environment.pip:
        return ""
    place = _cache_folder() / f"{sys.implementation.cache_tag}-{environment.packages_id}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place.with_suffix(".lock")):
            if not place.is_dir():
                _build(place, environment.pip)
    return str(place)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pymonik" / "environments"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone with this path, among all processes and threads; the system unlocks at death."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(place: Path, requirements: tuple[str, ...]) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        _install(folder, requirements)
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(folder: Path, requirements: tuple[str, ...]) -> None:
    command = [_uv(), "pip", "install", "--quiet", "--no-progress", "--python", sys.executable]
    command += ["--target", str(folder), "--", *requirements]
    try:
        done = subprocess.run(
            command,
            env=installer_variables(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise _setup_error(requirements, f"not done after {_BUILD_LIMIT_S:g} s") from error
    except OSError as error:
        raise _setup_error(requirements, f"uv cannot be started: {error}") from error
    if done.returncode != 0:
        raise _setup_error(requirements, done.stderr.strip() or f"exit code {done.returncode}")


def _uv() -> str:
    import uv

    return os.fsdecode(uv.find_uv_bin())


def _setup_error(requirements: tuple[str, ...], message: str) -> EnvironmentSetupError:
    wanted = ", ".join(requirements)
    return EnvironmentSetupError(
        f"the packages {wanted} could not be installed:\n{message[-_KEPT_MESSAGE:]}"
    )


def installer_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv: its own if any are set, else what pip is configured to use."""
    variables = dict(environ)
    if any(name in environ for name, _ in _SETTINGS.values()):
        return variables
    for setting, value in pip_settings(environ).items():
        name, separator = _SETTINGS[setting]
        variables[name] = separator.join(value.split())
    if "UV_INDEX" in variables:
        # pip looks at all indexes; uv stops at the first that knows the name, even if nothing there
        # is for this Python. The first index that has a fitting version wins.
        variables.setdefault("UV_INDEX_STRATEGY", "unsafe-first-match")
    return variables


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Where pip looks for packages: its files, overridden by ``PIP_*`` variables."""
    settings: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(_pip_files(environ), encoding="utf-8")
    for setting in _SETTINGS:
        for section in ("global", "install"):
            if parser.has_option(section, setting):
                settings[setting] = parser.get(section, setting)
        if value := environ.get(f"PIP_{setting.upper().replace('-', '_')}"):
            settings[setting] = value
    return settings


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """In pip's order; the later ones win."""
    configured = environ.get("PIP_CONFIG_FILE")
    if configured == os.devnull:
        return []
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [Path("/etc/pip.conf"), Path.home() / ".pip" / "pip.conf", home / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, *([Path(configured)] if configured else [])]
