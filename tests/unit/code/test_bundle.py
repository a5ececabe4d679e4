"""Which files a bundle has, and what is told of those that stay here."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import bundle as bundles
from pymonik.code import units
from pymonik.code.bundle import Bundler
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pymonik.code.bundle import Bundle

MODULES = {"alone", "loner", "other", "shop", "shop.stock"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Writes files of a program, whose folder is on the path of imports."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in MODULES:
        sys.modules.pop(name, None)


def paths(bundle: Bundle | None) -> list[str]:
    assert bundle is not None
    return [one.path.partition("/")[2] for one in bundle.meta.files]


def test_a_module_alone_takes_the_data_that_its_code_names(
    write: Callable[[str, str], Path],
) -> None:
    write("alone.py", "from pathlib import Path\nWORDS = Path(__file__).with_name('words.txt')\n")
    write("words.txt", "a b")
    write("other.txt", "not named")
    assert paths(Bundler().bundle(frozenset({"alone"}))) == ["alone.py", "words.txt"]


def test_a_package_takes_its_data_up_to_a_bound_and_the_rest_is_told_once(
    write: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(units, "FILE_BYTES", 100)
    monkeypatch.setattr(units, "DATA_BYTES", 150)
    write("shop/__init__.py", "#" * 500)
    for name in "abcd":
        write(f"shop/data/{name}.txt", "x" * 60)
    write("shop/large.bin", "x" * 101)
    bundler = Bundler()
    bundle = bundler.bundle(frozenset({"shop"}))
    assert paths(bundle) == ["shop/__init__.py", "shop/data/a.txt", "shop/data/b.txt"]
    bundler.bundle(frozenset({"shop"}))
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(told) == 2
    assert any("c.txt and 1 more do not travel" in text for text in told)
    assert any("large.bin do not travel" in text for text in told)


def test_files_that_are_asked_for_travel_whatever_their_size(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "FILE_BYTES", 100)
    write("alone.py", "")
    write("data/one.bin", "x" * 200)
    write("data/two.bin", "y" * 200)
    bundler = Bundler(include=["data/one.bin", "data/two.bin"])
    wanted = ["alone.py", "data/one.bin", "data/two.bin"]
    assert paths(bundler.bundle(frozenset({"alone"}))) == wanted


def test_a_module_that_nothing_refers_to_can_be_included(
    write: Callable[[str, str], Path],
) -> None:
    write("alone.py", "import loner")
    write("loner.py", "")
    assert paths(Bundler(include=["alone"]).bundle(frozenset())) == ["alone.py", "loner.py"]


@pytest.mark.parametrize("name", ["data/absent.bin", "no_such_module", "msgspec"])
def test_what_cannot_be_included_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="no module of the program"):
        Bundler(include=[name]).bundle(frozenset())


def test_what_is_excluded_and_secrets_stay_here(write: Callable[[str, str], Path]) -> None:
    write("shop/__init__.py", "")
    for name in ("table.csv", "key.pem", ".env", "tests/test_shop.py", "notes.txt"):
        write(f"shop/{name}", "")
    bundle = Bundler(exclude=["tests/*", "*.csv", "tests"]).bundle(frozenset({"shop"}))
    assert paths(bundle) == ["shop/__init__.py", "shop/notes.txt"]


def test_an_edit_makes_another_bundle_and_the_same_files_the_same(
    write: Callable[[str, str], Path],
) -> None:
    write("alone.py", "A = 1")
    first = Bundler().bundle(frozenset({"alone"}))
    bundler = Bundler()
    second = bundler.bundle(frozenset({"alone"}))
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    write("alone.py", "A = 1000")
    assert bundler._tables is not None
    bundler._tables._next_look = 0.0
    third = bundler.bundle(frozenset({"alone"}))
    assert third is not None
    assert third.digest != second.digest
    changed = third.meta.files[0].digest
    assert third.contents.get(changed) == b"A = 1000"


def test_a_look_that_was_interrupted_leaves_nothing_half_known(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("alone.py", "A = 1")
    write("other.py", "import alone")
    bundler = Bundler()
    bundler.bundle(frozenset({"alone"}))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pymonik.code.bundle._that_register", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bundler.bundle(frozenset({"other"}))
    assert paths(bundler.bundle(frozenset({"other"}))) == ["alone.py", "other.py"]


def test_a_signal_handler_that_submits_in_the_middle_of_a_look(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("alone.py", "A = 1")
    write("other.py", "B = 1")
    bundler = Bundler()
    bundler.bundle(frozenset({"alone"}))
    found: list[Any] = []
    before = bundles._that_register

    def handle(reached: set[str]) -> list[str]:
        monkeypatch.setattr("pymonik.code.bundle._that_register", before)
        found.append(bundler.bundle(frozenset({"alone"})))
        return before(reached)

    monkeypatch.setattr("pymonik.code.bundle._that_register", handle)
    assert paths(bundler.bundle(frozenset({"other"}))) == ["alone.py", "other.py"]
    assert paths(found[0]) == ["alone.py"]
