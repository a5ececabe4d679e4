"""The Python blocks of each page of ``docs/`` run, in order, as one program.

What a page takes for granted (a task, a client, a finished map) stands in ``preludes/<page>.py``.
A block with a ``__main__`` guard is a program of its own, one with a test function runs in pytest,
and a statement behind which stands ``# raises SomeError`` has to raise it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.conftest import Programs

DOCS = Path(__file__).parents[2] / "docs"
PRELUDES = Path(__file__).parent / "preludes"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RAISES = re.compile(r"^(\S.*?)  # raises (\w+).*$", re.MULTILINE)
_EXPECTED = """\
try:
    {statement}
except {error}:
    pass
else:
    raise AssertionError("nothing was raised by: " + {statement!r})
"""


def blocks_of(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def is_alone(block: str) -> bool:
    return "__main__" in block or "def test_" in block


# The guide's programs need clusters at given addresses; `test_seed_snippets` runs each of them.
# Those of the gallery have pictures to be compared, in `test_gallery`.
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if blocks_of(page) and page.stem not in ("getting-started", "gallery")
]


def programs_of(page: Path) -> Iterator[tuple[str, bool]]:
    """The programs of a page, and whether pytest runs them."""
    prelude = PRELUDES / f"{page.stem}.py"
    before = prelude.read_text(encoding="utf-8") if prelude.exists() else ""
    together = [block for block in blocks_of(page) if not is_alone(block)]
    if together:
        yield before + "\n" + "\n".join(map(with_errors_expected, together)), False
    for block in filter(is_alone, blocks_of(page)):
        is_test = "def test_" in block
        yield (before + "\n" + block if is_test else block), is_test


def with_errors_expected(block: str) -> str:
    return _RAISES.sub(lambda m: _EXPECTED.format(statement=m[1], error=m[2]), block)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, programs: Programs) -> None:
    for number, (text, is_test) in enumerate(programs_of(page)):
        path = programs.folder / f"test_{page.stem.replace('-', '_')}_{number}.py"
        path.write_text(text, encoding="utf-8")
        ended = programs.run(*(["-m", "pytest", "-q", path] if is_test else [path]))
        assert ended.returncode == 0, f"{text}\n{ended.output}\n{ended.errors}"


def test_a_prelude_is_of_a_page() -> None:
    assert {p.stem for p in PRELUDES.glob("*.py")} <= {page.stem for page in PAGES}


def test_a_statement_that_has_to_raise_is_checked(programs: Programs) -> None:
    good, bad = "int('x')  # raises ValueError\n", "int('1')  # raises ValueError\n"
    for text, code in ((good, 0), (bad, 1)):
        path = programs.folder / "program.py"
        path.write_text(with_errors_expected(text), encoding="utf-8")
        assert programs.run(path).returncode == code
