"""The page with a run of many calls, in Chromium: how soon it is there, and what following costs.

    python -m benchmarks.pages [--calls 100000] [--seconds 20]

Three pages are opened: of the program that made the run and holds its handles, of `pymonik
dashboard` for a run of another program, and the report of the run, which is a file. `opens` is the
time from the navigation until the tiles are drawn, as the browser's own clock has it. Then the live
ones are followed while calls end; the processor time is that of the process that serves, and of all
processes of the browser, as a share of one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pymonik import LocalCluster, Pymonik, task
from tests.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMEOUT_S = 120
# Tiles are drawn once the canvas has a size of its own and the frame after that was painted.
_DRAWN = """new Promise((done) => {
  const look = () => {
    const canvas = document.querySelector("canvas[data-focus=tiles]");
    if (canvas?._letters?.length === %d && canvas.height > 20)
      requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0));
    else if (performance.now() > 40000) done(0);
    else setTimeout(look, 5);
  };
  look();
})"""


@task
def quick(number: int) -> int:
    if number % 1000 == 17:
        raise ValueError(f"negative volume {number}")
    return number


@task
def slow(number: int) -> int:
    time.sleep(0.01)
    return number


def opened(
    browser: Browser, address: str, calls: int, server: psutil.Process | None = None
) -> tuple[float, float]:
    """Seconds until the tiles of the run were drawn, and how much the server computed for it."""
    browser.open("about:blank")
    before = used([server]) if server else 0.0
    browser.open(address)
    browser.wait("document.readyState === 'complete'")
    milliseconds: float = browser.run(_DRAWN % calls)
    if not milliseconds:
        raise RuntimeError(f"the tiles are not drawn: {browser.text()[:2000]} {browser.errors}")
    return milliseconds / 1000, (used([server]) if server else 0.0) - before


@contextmanager
def command_page(endpoint: str) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of `pymonik dashboard`."""
    command = [sys.executable, "-m", "pymonik", "dashboard", "--json", "--endpoint", endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        yield json.loads(text)["address"], psutil.Process(process.pid)
        process.terminate()


def used(processes: Sequence[psutil.Process]) -> float:
    """Seconds of processor time until now."""
    found = 0.0
    for one in processes:
        times = one.cpu_times()
        found += times.user + times.system
    return found


def shares(browser: Browser, server: psutil.Process, seconds: float) -> tuple[float, float]:
    """What following takes of one core: of the process that serves, of the browser."""
    root = psutil.Process(browser.pid)
    shown = [root, *root.children(recursive=True)]
    before = used([server]), used(shown)
    time.sleep(seconds)
    after = used([server]), used(shown)
    return (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


def tell(
    what: str, opens: tuple[float, float], following: tuple[float, float] | None = None
) -> None:
    text = f"{what:30} opens {opens[0]:5.2f} s, {opens[1]:4.2f} s of them computing in the server"
    if following is not None:
        text += f"   server {following[0]:6.1%}   browser {following[1]:6.1%} of a core"
    print(text, flush=True)


def measure(calls: int, seconds: float) -> None:
    with (
        LocalCluster(workers=1, port=0) as cluster,
        Pymonik(cluster, session="page", output="quiet") as client,
        Browser() as browser,
    ):
        handles = quick.map_invoke(range(calls), pymonik=client, label="large")
        handles.exceptions(TIMEOUT_S)
        with client.dashboard() as page:
            own = psutil.Process()
            took = opened(browser, page.address, calls, own)
            tell("of the program, all ended", took, shares(browser, own, seconds))
        with command_page(cluster.endpoint) as (address, server):
            took = opened(browser, address, calls, server)
            tell("of another program, all ended", took, shares(browser, server, seconds))
            tell("of another program, again", opened(browser, address, calls, server))
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            file = handles.report(Path(folder) / "report.html")
            written = time.monotonic() - began
            size = file.stat().st_size / 1e6
            took = opened(browser, file.as_uri(), calls)
            tell(f"report, {size:.1f} MB in {written:.1f} s", took)
        del handles
        follow(client, cluster.endpoint, browser, calls, seconds)


def follow(client: Pymonik, endpoint: str, browser: Browser, calls: int, seconds: float) -> None:
    """A run that goes on: about a hundred calls end in a second."""
    live = slow.map_invoke(range(calls), pymonik=client, label="going on")
    client.send()
    with client.dashboard() as page:
        own = psutil.Process()
        took = opened(browser, page.address, calls, own)
        tell("of the program, going on", took, shares(browser, own, seconds))
    with command_page(endpoint) as (address, server):
        took = opened(browser, address, calls, server)
        tell("of another program, going on", took, shares(browser, server, seconds))
    live.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of following")
    options = parser.parse_args(arguments)
    measure(options.calls, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
