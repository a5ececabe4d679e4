"""uv: how it is started, watched and ended, and what pip's settings are called there.

uv knows some of pip's settings by other names and some not at all. Addresses go to it as variables,
since a command line can be read by everybody on the machine; the rest as options, which mean the
same in every version from 0.5.31 on. Older ones know one folder of ``UV_FIND_LINKS`` only, 0.5.14
among them.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pymonik.environments.not_ready import Unwanted
from pymonik.errors import EnvironmentSetupError
from pymonik.launch.process import Supervised
from pymonik.launch.python import Plan
from pymonik.launch.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymonik.launch.death import Death

# Characters of what the installer says, its last ones: the text goes into the output of each task
# that asked for the packages.
_KEPT_MESSAGE = 8000
_LOOK_S = 0.1  # seconds between two looks at whether anybody still wants what uv makes
_SECRET = re.compile(r"://[^/@\s]+@")  # the user and password in an address

# What pip reads, what uv calls it, and what separates several values. pip separates by spaces.
_SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "keyring-provider": ("UV_KEYRING_PROVIDER", " "),
}
_PLACES = ("index-url", "extra-index-url", "find-links")
_NO_INDEX = "no-index"  # uv has only an option for it
_OLD_PLACES = ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL")  # names that uv still reads
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # certificates, for pip's own library
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")
_HOMELESS = "~"  # stays as it is for a user without a home
# Values of variables that say no; anything else counts as a yes.
_FALSE = ("", "0", "false", "no", "off", "f", "n")


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    limit_s: float,
    is_wanted: Callable[[], bool] = lambda: True,
    variables: Mapping[str, str] | None = None,
) -> str:
    """What ``uv`` prints with these arguments.

    Args:
        arguments: Of the command.
        cwd: A folder without files that uv would take for its settings.
        limit_s: Seconds after which it is ended.
        is_wanted: Asked now and then; uv is ended when it says no.
        variables: For uv, beside those of this process.

    Raises:
        EnvironmentSetupError: It failed; the message is what it said, without passwords.
        Unwanted: Nobody wants it any more.
    """
    environ = {**installer_variables(os.environ), **(variables or {})}
    plan = Plan(arguments=[uv(), *arguments, *_options(arguments[0])], folder=str(cwd))
    # Files and not pipes: nobody reads while uv runs, and a full pipe would stop it.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
        try:
            process = Supervised(plan, stdout=said, stderr=complaints, variables=environ)
        except OSError as error:
            raise EnvironmentSetupError(f"uv cannot be started: {error}") from error
        try:
            death = _wait(process, limit_s, is_wanted)
        finally:
            process.close()  # ends build backends that it has started, too
        if death.status != 0:
            text = without_secrets(_text(complaints)).strip()
            raise EnvironmentSetupError(text[-_KEPT_MESSAGE:] or f"uv failed: {death}")
        return _text(said)


def _wait(process: Supervised, limit_s: float, is_wanted: Callable[[], bool]) -> Death:
    limit = time.monotonic() + limit_s
    while (death := process.wait(_LOOK_S)) is None:
        if not is_wanted():
            raise Unwanted
        if time.monotonic() > limit:
            raise EnvironmentSetupError(f"uv was not done after {limit_s:g} s")
    return death


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def uv() -> str:
    """The path of uv."""
    from uv import find_uv_bin

    return os.fsdecode(find_uv_bin())


def python() -> str:
    """The interpreter that packages are for: that of the executors, which is ours."""
    return sys.executable


def limit_options(environ: Mapping[str, str]) -> list[str]:
    """The options for what uv forgets of its variables when it is given a file of limits."""
    files = installer_variables(environ).get("UV_CONSTRAINT", "").split()
    return [word for file in files for word in ("--constraint", file)]


def without_secrets(text: str) -> str:
    """A text with the users and passwords in its addresses taken out."""
    return _SECRET.sub("://***@", text)


def _options(command: str) -> list[str]:
    """What uv takes from no variable, in some of its versions."""
    options = ["--offline"] if _is_true(os.environ.get("UV_OFFLINE", "")) else []
    if command in ("pip", "build") and asks_no_index(os.environ):
        options.append("--no-index")
    return options


def asks_no_index(environ: Mapping[str, str]) -> bool:
    """Whether packages come from files and folders only."""
    return _is_true(environ.get("UV_NO_INDEX", "")) or _is_true(
        _of_pip(environ, (_NO_INDEX,)).get(_NO_INDEX, "")
    )


def installer_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv: its own where any are set, else what pip is configured to use.

    Where packages lie is taken from one of the two as a whole: half of each would be an order of
    indexes that nobody wrote down.
    """
    variables = dict(environ)
    # A user of a container may have no home, where uv would keep its cache and fail.
    if os.path.expanduser(_HOMELESS) == _HOMELESS and not environ.get("XDG_CACHE_HOME"):  # noqa: PTH111
        variables.setdefault("UV_CACHE_DIR", str(user_cache(environ) / "uv"))
    settings = _of_pip(environ, tuple(_SETTINGS))
    places = [*(_SETTINGS[setting][0] for setting in _PLACES), *_OLD_PLACES]
    if any(name in environ for name in places):
        settings = {name: value for name, value in settings.items() if name not in _PLACES}
    if any(name in environ for name in _PROXIES):
        settings.pop("proxy", None)
    for setting, value in settings.items():
        name, separator = _SETTINGS[setting]
        variables.setdefault(name, separator.join(value.split()))
    if limits := variables.get("UV_CONSTRAINT"):
        variables["UV_CONSTRAINT"] = " ".join(map(_absolute, limits.split()))
    if bundle := next((environ[name] for name in _BUNDLES if environ.get(name)), ""):
        variables.setdefault("SSL_CERT_FILE", bundle)
    if "UV_INDEX" in variables and "UV_INDEX" not in environ:
        # pip looks at all indexes; uv stops at the first that knows the name, even if nothing there
        # is for this Python. The first index that has a fitting version wins.
        variables.setdefault("UV_INDEX_STRATEGY", "unsafe-first-match")
    return variables


def _absolute(file: str) -> str:
    """The path of a file for uv, whose current folder is another one; addresses as they are."""
    return file if "://" in file else os.path.abspath(file)  # noqa: PTH100 - compared as texts


def _of_pip(environ: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Settings of pip: from its files, overridden by ``PIP_*`` variables."""
    settings: dict[str, str] = {}
    import configparser  # few clusters make environments

    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(_pip_files(environ), encoding="utf-8")
    for setting in names:
        # The sections that pip itself reads for ``pip install``; the later one wins.
        for section in ("global", "install"):
            if parser.has_option(section, setting):
                settings[setting] = parser.get(section, setting)
        if value := environ.get(f"PIP_{setting.upper().replace('-', '_')}"):
            settings[setting] = value
    if settings.get("keyring-provider") not in (None, "subprocess", "disabled"):
        del settings["keyring-provider"]  # uv has no other, and refuses to start with one
    if "proxy" in settings and "://" not in settings["proxy"]:
        settings["proxy"] = f"http://{settings['proxy']}"
    return settings


def _is_true(value: str) -> bool:
    return value.strip().lower() not in _FALSE


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """In pip's order; the later ones win."""
    configured = environ.get("PIP_CONFIG_FILE")
    if configured == os.devnull:
        return []
    user = Path(os.path.expanduser(_HOMELESS))  # noqa: PTH111 - without a home it stays as it is
    home = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    files = [Path(folder) / "pip" / "pip.conf" for folder in reversed(shared)]
    files += [Path("/etc/pip.conf"), user / ".pip" / "pip.conf", home / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, *([Path(configured)] if configured else [])]
