"""What `mixed_work` leaves out: files, commands, monitors, packages."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik import File, Pymonik, command, monitor, task
from tests.integration.odd.work import PATIENCE_S, mixed_work

if TYPE_CHECKING:
    import random

MOST_ENVIRONMENTS = 20  # others are those of earlier rounds


@task
def doubled(text: File) -> File:
    Path("twice").write_text(Path(text).read_text() * 2)
    return File("twice")


@task
def length(text: File) -> int:
    return len(Path(text).read_text())


@task
def number_of_probe() -> str:
    import pmk_probe  # type: ignore[import-not-found, unused-ignore]

    return str(pmk_probe.NUMBER)


@monitor(every=0.01)
def counts(ctx: Any, most: int) -> None:
    ctx.state["seen"] = ctx.state.get("seen", 0) + 1
    if ctx.state["seen"] == most:
        ctx.stop(most)


shouted = command("tr a-z A-Z < {text} > loud; cat loud", outputs=["loud"])


class Work:
    """Rounds of work of every kind.

    Args:
        folder: For files of the program; it may write there.
        rng: Decides which packages a round needs.
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._folder = folder
        self._rng = rng

    def do(self, client: Pymonik) -> None:
        """One round; each value is looked at."""
        text = self._folder / "text"
        text.write_text("letters\n")
        number = str(self._rng.randrange(1, MOST_ENVIRONMENTS))
        package = wheel(self._folder, number)
        twice = doubled.invoke(File(text), pymonik=client)
        lengths = length.map_invoke([(twice,), (File(text),)], pymonik=client)
        loud = [shouted.invoke(text=one, pymonik=client) for one in (File(text), twice)]
        probe = number_of_probe.invoke(pymonik=client, pmk_environment=[str(package)])
        watch = counts.start(7, pymonik=client)
        mixed_work(client)
        assert twice.get(PATIENCE_S).read_text() == "letters\nletters\n"
        assert lengths.get(PATIENCE_S) == [16, 8]
        done = [one.get(PATIENCE_S) for one in loud]
        assert [one.stdout for one in done] == ["LETTERS\n", "LETTERS\nLETTERS\n"]
        assert done[1].files["loud"].read_text() == "LETTERS\nLETTERS\n"
        assert probe.get(PATIENCE_S) == number
        assert watch.get(PATIENCE_S) == 7


def wheel(folder: Path, number: str) -> Path:
    """A package of this version, as a file."""
    path = folder / f"pmk_probe-{number}-py3-none-any.whl"
    if path.exists():
        return path
    info = f"pmk_probe-{number}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("pmk_probe.py", f"NUMBER = '{number}'\n")
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: pmk_probe\nVersion: {number}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path
