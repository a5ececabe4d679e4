"""`pymonik bundle`: a Lambda handler and its packages in one zip, for the Python of the workers."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymonik.content.zipping import files_below, write_zip
from pymonik.environments import installer
from pymonik.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_LIMIT_S: Final = 1800.0  # seconds for the installation, as for an environment
# What differs from one machine or run to the next, and what a handler has no use for.
_LEFT_OUT: Final = frozenset({"RECORD", "direct_url.json", "REQUESTED", "uv_cache.json"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folder", type=Path, help="with the modules of the handler")
    parser.add_argument(
        "-r", "--requirements", type=Path, action="append", default=[], help="a file of packages"
    )
    parser.add_argument("--package", action="append", default=[], help="one package more")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the zip")
    parser.add_argument(
        "--python", metavar="VERSION", help="of the workers, such as 3.12; default: this one"
    )
    parser.add_argument(
        "--platform",
        help="of the workers, such as x86_64-manylinux_2_28; default: that of this machine",
    )


def run(options: argparse.Namespace) -> int:
    """Install, pack, and tell how large the zip is."""
    if not options.folder.is_dir():
        raise UsageError(f"{options.folder} is no folder")
    for file in options.requirements:
        if not file.is_file():
            raise UsageError(f"{file}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="pymonik-bundle-") as made:
        packages = Path(made, "packages")
        packages.mkdir()
        if options.requirements or options.package:
            _install(options, packages)
        files = dict(_of_packages(packages))
        own = dict(files_below(options.folder))
        # A zip of before must not get into the new one.
        own.pop(_name_below(options.output, options.folder), None)
        if twice := sorted(files.keys() & own.keys()):
            sys.stderr.write(f"pymonik: {twice[0]} of the folder hides that of a package\n")
        # Written beside it and renamed: whoever uses the zip meanwhile has the old or the new one.
        partial = options.output.with_name(f".{options.output.name}.part")
        try:
            write_zip(partial, {**files, **own}.items(), is_small=True)
            partial.replace(options.output)
        finally:
            partial.unlink(missing_ok=True)
    size = options.output.stat().st_size
    sys.stdout.write(f"{options.output}: {len({**files, **own})} files, {size / 1e6:.1f} MB\n")
    return 0


def _install(options: argparse.Namespace, target: Path) -> None:
    command = ["pip", "install", "--quiet", "--no-progress", "--target", str(target)]
    if options.python or options.platform:
        command += ["--python-version", options.python or ".".join(map(str, sys.version_info[:2]))]
        command += ["--only-binary", ":all:"]  # what is built here would be for this Python
    if options.platform:
        command += ["--python-platform", options.platform]
    command += ["--python", installer.python()]
    for file in options.requirements:
        command += ["--requirement", str(file.absolute())]
    installer.run([*command, *options.package], cwd=target.parent, limit_s=_LIMIT_S)


def _of_packages(folder: Path) -> Iterator[tuple[str, Path]]:
    """What was installed, without scripts, which hold the path of an interpreter."""
    for name, path in files_below(folder):
        parts = name.split("/")
        is_note = len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] in _LEFT_OUT
        if parts[0] != "bin" and not is_note and name != ".lock":
            yield name, path


def _name_below(path: Path, folder: Path) -> str:
    """The zip itself, if it lies in the folder."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return ""
