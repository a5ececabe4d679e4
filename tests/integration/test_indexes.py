"""What pip and uv are told of indexes means the same for environments: against real servers.

`.ci/uvs` runs it with each version of uv that is supported; here it is the one that is installed.
"""

from __future__ import annotations

import base64
import functools
import http.server
import os
import shutil
import ssl
import subprocess
import threading
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import EnvironmentSetupError
from pymonik.environments import installer
from pymonik.environments.asked import environment_of
from pymonik.environments.builds import Environments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USER = "me:secret"


def write_wheel(folder: Path, number: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"pmk_probe-{number}.dist-info"
    with zipfile.ZipFile(folder / f"pmk_probe-{number}-py3-none-any.whl", "w") as file:
        file.writestr("pmk_probe.py", "")
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: pmk-probe\nVersion: {number}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


class _Files(http.server.SimpleHTTPRequestHandler):
    """Folders as pages of links, as PEP 503 has indexes; for whoever has the password."""

    password = ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def send_head(self) -> Any:
        given = base64.b64encode(self.password.encode()).decode()
        if self.password and self.headers.get("Authorization") != f"Basic {given}":
            self.send_error(401)
            return None
        return super().send_head()

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        if code == 401:
            self.send_header("WWW-Authenticate", "Basic")

    def translate_path(self, path: str) -> str:
        if "://" in path:  # of whoever takes this for a proxy
            path = "/" + path.split("/", 3)[3]
        return super().translate_path(path)


@dataclass
class Places:
    """Servers with different versions, by what they ask for.

    Attributes:
        folder: Where files of settings may be written.
        first: Has 1.0.
        second: Has 2.0.
        closed: Has 1.0, for a user with a password.
        secure: Has 1.0, with a certificate of nobody that is known.
        mutual: The same, for whoever has a certificate too.
    """

    folder: Path
    first: str = ""
    second: str = ""
    closed: str = ""
    secure: str = ""
    mutual: str = ""
    servers: list[http.server.ThreadingHTTPServer] = field(default_factory=list)

    def serve(self, number: str, *, password: str = "", asks: ssl.SSLContext | None = None) -> str:
        """The address without a scheme."""
        write_wheel(self.folder / number / "simple" / "pmk-probe", number)
        kind = type("_These", (_Files,), {"password": password})
        handler = functools.partial(kind, directory=str(self.folder / number))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if asks is not None:
            server.socket = asks.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    def write(self, name: str, text: str) -> str:
        """The path of a file."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o700)
        return str(path)


def _make_certificates(folder: Path) -> None:
    """Make an authority, and certificates of it for the server and for a user."""
    new = "openssl req -newkey rsa:2048 -nodes"
    of_authority = "openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
    script = f"""
    {new} -x509 -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
    {new} -keyout server.key -out server.req -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nextendedKeyUsage=serverAuth' > server.ext
    {of_authority} -in server.req -out server.pem -extfile server.ext
    {new} -keyout user.key -out user.req -subj /CN=me
    printf 'extendedKeyUsage=clientAuth' > user.ext
    {of_authority} -in user.req -out user.crt -extfile user.ext
    cat user.crt user.key > user.pem
    """
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)


def _asking(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    made = Places(tmp_path_factory.mktemp("indexes"))
    made.first = f"http://{made.serve('1.0')}"
    made.second = f"http://{made.serve('2.0')}"
    made.closed = made.serve("1.0", password=USER)
    _make_certificates(made.folder)
    made.secure = f"https://{made.serve('1.0', asks=_asking(made.folder))}"
    asks = _asking(made.folder)
    asks.verify_mode = ssl.CERT_REQUIRED
    asks.load_verify_locations(made.folder / "ca.pem")
    made.mutual = f"https://{made.serve('1.0', asks=asks)}"
    yield made
    for server in made.servers:
        server.shutdown()
        server.server_close()


def _with_keyring(p: Places) -> str:
    p.write("keyring", "#!/bin/sh\necho secret\n")
    return f"{p.folder}:{os.environ['PATH']}"


# What is set, and the version that is found; none where there is to be an error.
SETTINGS: dict[str, tuple[Callable[[Places], dict[str, str]], str]] = {
    "pip: index": (lambda p: {"PIP_INDEX_URL": f"{p.first}/simple"}, "1.0"),
    "pip: another index": (
        lambda p: {
            "PIP_INDEX_URL": f"{p.first}/simple",
            "PIP_EXTRA_INDEX_URL": f"{p.second}/simple",
        },
        "2.0",
    ),
    "pip: file of settings": (
        lambda p: {
            "PIP_CONFIG_FILE": p.write(
                "pip.conf",
                f"[global]\nindex-url={p.first}/simple\n[install]\nindex-url={p.second}/simple\n",
            )
        },
        "2.0",
    ),
    "pip: no index": (lambda p: {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": f"{p.first}/simple"}, ""),
    "pip: no index, folders": (
        lambda p: {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{p.folder}/1.0/simple/pmk-probe {p.folder}/2.0/simple/pmk-probe",
        },
        "2.0",
    ),
    "pip: a page of links": (
        lambda p: {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{p.first}/simple/pmk-probe/"},
        "1.0",
    ),
    "pip: limits": (
        lambda p: {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{p.folder}/1.0/simple/pmk-probe {p.folder}/2.0/simple/pmk-probe",
            "PIP_CONSTRAINT": p.write("limits.txt", "pmk-probe<2\n"),
        },
        "1.0",
    ),
    "pip: password in the address": (
        lambda p: {"PIP_INDEX_URL": f"http://{USER}@{p.closed}/simple"},
        "1.0",
    ),
    "pip: netrc": (
        lambda p: {
            "PIP_INDEX_URL": f"http://{p.closed}/simple",
            "NETRC": p.write("netrc", "machine 127.0.0.1 login me password secret\n"),
        },
        "1.0",
    ),
    "pip: keyring": (
        lambda p: {
            "PIP_INDEX_URL": f"http://me@{p.closed}/simple",
            "PIP_KEYRING_PROVIDER": "subprocess",
            "PATH": _with_keyring(p),
        },
        "1.0",
    ),
    "pip: no password": (lambda p: {"PIP_INDEX_URL": f"http://{p.closed}/simple"}, ""),
    "pip: certificate": (
        lambda p: {"PIP_INDEX_URL": f"{p.secure}/simple", "PIP_CERT": f"{p.folder}/ca.pem"},
        "1.0",
    ),
    "pip: certificate of a library": (
        lambda p: {
            "PIP_INDEX_URL": f"{p.secure}/simple",
            "REQUESTS_CA_BUNDLE": f"{p.folder}/ca.pem",
        },
        "1.0",
    ),
    "pip: trusted host": (
        lambda p: {"PIP_INDEX_URL": f"{p.secure}/simple", "PIP_TRUSTED_HOST": "127.0.0.1"},
        "1.0",
    ),
    "pip: nobody's certificate": (lambda p: {"PIP_INDEX_URL": f"{p.secure}/simple"}, ""),
    "pip: certificate of the user": (
        lambda p: {
            "PIP_INDEX_URL": f"{p.mutual}/simple",
            "PIP_CERT": f"{p.folder}/ca.pem",
            "PIP_CLIENT_CERT": f"{p.folder}/user.pem",
        },
        "1.0",
    ),
    "pip: proxy": (
        lambda p: {
            "PIP_INDEX_URL": "http://index.invalid/simple",
            "PIP_PROXY": p.second.removeprefix("http://"),
        },
        "2.0",
    ),
    "pip: proxy of the system": (
        lambda p: {"PIP_INDEX_URL": "http://index.invalid/simple", "http_proxy": p.second},
        "2.0",
    ),
    "pip: no proxy": (
        lambda p: {
            "PIP_INDEX_URL": f"{p.first}/simple",
            "PIP_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
        },
        "1.0",
    ),
    "uv: index before that of pip": (
        lambda p: {
            "UV_DEFAULT_INDEX": f"{p.second}/simple",
            "PIP_INDEX_URL": f"{p.first}/simple",
        },
        "2.0",
    ),
    "uv: older name": (lambda p: {"UV_INDEX_URL": f"{p.second}/simple"}, "2.0"),
    "uv: index with a name": (
        lambda p: {
            "UV_INDEX": f"mine=http://{p.closed}/simple",
            "UV_INDEX_MINE_USERNAME": "me",
            "UV_INDEX_MINE_PASSWORD": "secret",
        },
        "1.0",
    ),
    "uv: no index": (
        lambda p: {"UV_NO_INDEX": "1", "UV_DEFAULT_INDEX": f"{p.first}/simple"},
        "",
    ),
    "uv: offline": (lambda p: {"UV_OFFLINE": "1", "UV_DEFAULT_INDEX": f"{p.first}/simple"}, ""),
    "uv: insecure host": (
        lambda p: {"UV_DEFAULT_INDEX": f"{p.secure}/simple", "UV_INSECURE_HOST": "127.0.0.1"},
        "1.0",
    ),
    "uv: file of settings": (
        lambda p: {
            "UV_CONFIG_FILE": p.write(
                "uv.toml", f'[[index]]\nurl = "{p.second}/simple"\ndefault = true\n'
            )
        },
        "2.0",
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_index_is_found_where_pip_and_uv_are_told(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "SSL_", "REQUESTS_")) or "proxy" in name.lower():
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    if other := os.environ.get("PYMONIK_TEST_UV"):
        monkeypatch.setattr(installer, "uv", lambda: other)
    variables, version = SETTINGS[setting]
    for name, value in variables(places).items():
        monkeypatch.setenv(name, value)
    with closing(Environments()) as environments:
        if version:
            path = environments.wait(environment_of(["pmk-probe"]), _no_files, lambda: False)
            (found,) = Path(path).glob("pmk_probe-*.dist-info")
            assert found.name == f"pmk_probe-{version}.dist-info"
            return
        with pytest.raises(EnvironmentSetupError, match="pmk-probe") as raised:
            environments.wait(environment_of(["pmk-probe"]), _no_files, lambda: False)
        assert "secret" not in str(raised.value)


def _no_files(result_id: str) -> bytes:
    raise AssertionError(result_id)
