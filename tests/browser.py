"""Drives Chromium, over its debugging pipe: no driver, no package, no port.

Requests and answers are JSON, each with a NUL behind it, on descriptors 3 and 4 of the browser.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60.0
# A process of its own, which gives the pipes the numbers that the browser expects: those of ours
# may be taken by anything.
_RENUMBER = """if 1:
    import fcntl, os, sys
    told, answers = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3])
    os.dup2(told, 3)
    os.dup2(answers, 4)
    os.execv(sys.argv[3], sys.argv[3:])
"""
_BLANK = "about:blank"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    """The browser of this machine, if it has one."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def _tried(script: str) -> str:
    """Nothing where it fails, and a value that travels, which elements do not."""
    return (
        f"(() => {{ try {{ const it = {script}; return it instanceof Node ? true : it }}"
        "catch { return null } })()"
    )


class BrowserError(AssertionError):
    """The browser did not do what it was told."""


class Browser:
    """One page of a browser without a window."""

    def __init__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        command = installed()
        assert command is not None
        self._folder = tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True)
        self._buffer = b""
        self._number = 0
        self.errors: list[str] = []  # that scripts of the page did not catch, and broken policies
        told, self._write = os.pipe()
        self._read, answers = os.pipe()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += ["--remote-debugging-pipe", "--no-first-run", "--disable-extensions"]
        arguments += [f"--user-data-dir={self._folder.name}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RENUMBER, str(told), str(answers), command, *arguments, _BLANK],
            pass_fds=(told, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        os.close(answers)
        targets = self._ask("Target.getTargets", None)["targetInfos"]
        target = next(one for one in targets if one["type"] == "page")["targetId"]
        attached = self._ask("Target.attachToTarget", None, targetId=target, flatten=True)
        self._page = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height)
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            self.do("Emulation.setEmulatedMedia", features=features)

    @property
    def pid(self) -> int:
        """Of the browser's first process; the others are below it."""
        return self._process.pid

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._folder.cleanup()

    def do(self, method: str, **given: Any) -> dict[str, Any]:
        """A command of the browser's protocol, to the page."""
        if method == "Emulation.setDeviceMetricsOverride":
            given = {"deviceScaleFactor": 1, "mobile": False, **given}
        return self._ask(method, self._page, **given)

    def open(self, address: str) -> None:
        """Go to an address."""
        self.do("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression of the page."""
        told = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise BrowserError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as that is true."""
        end = time.monotonic() + WAIT_S
        while not (value := self.run(_tried(script))):
            if time.monotonic() > end:
                raise BrowserError(f"never true: {script}; {self.errors}; {self.text()[:2000]}")
            self.run("new Promise(requestAnimationFrame)")
        return value

    def text(self) -> str:
        """What a reader of the page sees."""
        return str(self.run("document.body.innerText"))

    def click(self, script: str) -> None:
        """Press the element that an expression gives, as a person would: where it is seen."""
        self.wait(script)
        box = self.run(
            f"(() => {{ const e = {script}; e.scrollIntoView({{block: 'center'}});"
            "const box = e.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.do(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str) -> None:
        """Press a key."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowDown": 40}
        given: dict[str, Any] = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": codes.get(key, 0),
        }
        if key == "Enter":
            given["text"] = "\r"
        self.do("Input.dispatchKeyEvent", type="keyDown", **given)
        self.do("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def accept_dialogs(self) -> None:
        """Answer whatever the page asks with yes."""
        self.run("window.confirm = () => true")

    def picture(self, file: Path) -> None:
        """What is seen, as PNG."""
        data = self.do("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))

    def _ask(self, method: str, session: str | None, **given: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            self._note(told)
        if "error" in told:
            raise BrowserError(f"{method}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(given["exceptionDetails"]))
        elif told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(str(given["entry"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], WAIT_S)
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("the browser does not answer")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told
