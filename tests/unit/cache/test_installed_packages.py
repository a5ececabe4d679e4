"""What is installed, as a part of the keys of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik.cache import installed_packages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Site:
    """A folder with packages, as installers leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, name: str, version: str, *files: str, requires: tuple[str, ...] = (), more: str = ""
    ) -> None:
        """Have a distribution with these lines of files and digests there, in place of another."""
        about = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        for old in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
        about.mkdir(exist_ok=True)
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Requires-Dist: {one}" for one in requires]
        (about / "METADATA").write_text("\n".join(metadata) + "\n")
        (about / "RECORD").write_text("\n".join(files) + "\n" + more)

    def versions(self, *packages: str) -> dict[str, str]:
        """What is told of them now."""
        installed_packages._versions.cache_clear()
        installed_packages._distribution.cache_clear()
        return {one.name: one.digest for one in installed_packages.versions(packages)}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Site(tmp_path)
    installed_packages._versions.cache_clear()
    installed_packages._distribution.cache_clear()


def test_another_version_or_the_same_with_other_files_is_seen(site: Site) -> None:
    site.install("solver", "1.0", "solver/__init__.py,sha256=abc,10")
    first = site.versions("solver")
    assert list(first) == ["package solver"]
    site.install("solver", "1.0", "solver/__init__.py,sha256=xyz,10")  # `pip install .` again
    second = site.versions("solver")
    site.install("solver", "1.1", "solver/__init__.py,sha256=xyz,10")
    assert len({str(one) for one in (first, second, site.versions("solver"))}) == 3


def test_machines_and_installers_make_no_difference(site: Site) -> None:
    site.install("solver", "1.0", "solver/a.py,sha256=abc,10", "solver/b.py,sha256=def,10")
    first = site.versions("solver")
    noise = (
        "solver/__pycache__/a.cpython-311.pyc,,\n"
        "../../../bin/solve,sha256=its-first-line-names-a-python,200\n"
        "solver-1.0.dist-info/INSTALLER,sha256=uv,2\n"
        "solver-1.0.dist-info/direct_url.json,sha256=a-folder-of-mine,2\n"
        "solver-1.0.dist-info/RECORD,,\n"
    )
    files = "solver/b.py,sha256=def,10", "solver/a.py,sha256=abc,10"
    site.install("solver", "1.0", *files, more=noise)
    assert site.versions("solver") == first


def test_a_package_that_is_imported_under_another_name_is_found(site: Site) -> None:
    site.install("scikit-solver", "1.0", "sksolver/__init__.py,sha256=abc,10")
    site.install("sksolver", "9.0", "something_else.py,sha256=abc,10")  # only its name fits
    first = site.versions("sksolver")
    assert list(first) == ["package scikit-solver"]
    site.install("scikit-solver", "1.1", "sksolver/__init__.py,sha256=abc,10")
    assert site.versions("sksolver") != first


def test_what_a_package_needs_or_would_take_counts_and_its_tools_do_not(site: Site) -> None:
    site.install("base", "1.0", "base.py,sha256=abc,10", requires=("deepest (>=1)",))
    site.install("deepest", "1.0", "deepest.py,sha256=abc,10", requires=("far; extra == 'fast'",))
    for name in ("faster", "far", "tester"):
        site.install(name, "1.0", f"{name}.py,sha256=abc,10")
    requires = (
        "Base>=1.0",
        "faster; extra == 'speed'",
        'tester; extra == "test"',
        "absent>2",
    )
    site.install("solver", "1.0", "solver/__init__.py,sha256=abc,10", requires=requires)
    expected = ["package base", "package deepest", "package faster", "package solver"]
    assert list(site.versions("solver")) == expected


def test_what_nobody_has_installed_is_known_by_its_files(site: Site) -> None:
    package = site.folder / "copied_by_hand"
    package.mkdir()
    (package / "__init__.py").write_text("K = 2\n")
    first = site.versions("copied_by_hand", "is_nowhere", "json", "pymonik")
    assert list(first) == ["package copied_by_hand", "package is_nowhere"]
    (package / "__init__.py").write_text("K = 3\n")
    assert site.versions("copied_by_hand", "is_nowhere") != first
