"""Each program of the gallery draws its picture; with ``PYMONIK_WRITE_DOCS`` set they are kept."""

from __future__ import annotations

import html
import os
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests import browser

if TYPE_CHECKING:
    from tests.docs.conftest import Programs

DOCS = Path(__file__).parents[2] / "docs"
MOST_BYTES = 60_000  # of a picture
_SECTION = re.compile(r"^!\[[^]]+\]\((gallery/[\w.]+)\)\n+```python\n(.*?)^```$", re.M | re.S)
SECTIONS = _SECTION.findall((DOCS / "gallery.md").read_text(encoding="utf-8"))
# What a page shows of which a browser takes the picture, and what to press there before.
SHOWN = {
    "report": ("mesh-study", ""),
    "timeline": ("longer and longer", "Timeline"),
    "graph": ("merge", "What waits for what"),
    "view": ("rates", ""),
    "failure": ("item 2 of 5, invert([[1, 2], [2, 4]])", ""),
}
FAILS = "failure"  # its picture is what it leaves on the terminal
# Depends on the version of scikit-learn.
VARIES = {"search"}


def test_the_gallery_has_pictures_of_all_of_its_programs() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert len(SECTIONS) == page.count("```python\n") >= 8
    for picture, _ in SECTIONS:
        assert 0 < (DOCS / picture).stat().st_size < MOST_BYTES, picture


@pytest.mark.slow
@pytest.mark.parametrize(("picture", "program"), SECTIONS, ids=[Path(p).stem for p, _ in SECTIONS])
def test_a_program_draws_its_picture(picture: str, program: str, programs: Programs) -> None:
    kept = DOCS / picture
    (programs.folder / "program.py").write_text(program, encoding="utf-8")
    ended = programs.run("program.py")
    if kept.stem == FAILS:
        errors = html.escape(ended.errors.replace(str(programs.folder), "~/study"))
        (programs.folder / f"{FAILS}.html").write_text(f"<pre>{errors}</pre>", encoding="utf-8")
    else:
        assert ended.returncode == 0, ended.errors
    writes = bool(os.environ.get("PYMONIK_WRITE_DOCS"))
    if kept.stem in SHOWN:
        page = programs.folder / f"{kept.stem}.html"
        words, pressed = SHOWN[kept.stem]
        assert words in page.read_text(encoding="utf-8")
        if writes:
            _photograph(page, pressed, kept)
        return
    drawn = programs.folder / kept.name
    if writes:
        kept.write_bytes(drawn.read_bytes())
    if kept.stem in VARIES:
        assert ElementTree.parse(drawn).getroot().tag.endswith("svg")
    elif kept.suffix == ".png":
        assert _pixels(drawn) == _pixels(kept)
    else:
        assert drawn.read_text() == kept.read_text()


def _pixels(path: Path) -> bytes:
    """Those of a file with one part for all: they are the same however they are compressed."""
    data = path.read_bytes()
    start = data.index(b"IDAT")
    return zlib.decompress(data[start + 4 : data.index(b"IEND") - 8])


def _photograph(page: Path, pressed: str, kept: Path) -> None:
    with browser.Browser(width=900, height=520) as window:
        window.open(page.as_uri())
        window.wait("document.readyState == 'complete' && document.body.innerText.length > 50")
        window.run("document.documentElement.style.overflow = 'hidden'")
        if pressed:
            tabs = "[...document.querySelectorAll('[role=tab]')]"
            window.click(f"{tabs}.find(one => one.innerText == '{pressed}')")
            window.run("document.querySelector('[data-part=tabs]').scrollIntoView()")
            window.run("new Promise(done => setTimeout(done, 500))")  # until it is drawn
        else:
            height = min(520, window.run("document.body.scrollHeight") + 16)
            window.do("Emulation.setDeviceMetricsOverride", width=900, height=height)
        window.picture(kept)
