"""`pymonik env`: the environments in this user's cache, on this machine."""

from __future__ import annotations

import argparse
import shutil
import time
from typing import TYPE_CHECKING

from pymonik.cli.printing import age, in_bytes, print_json, say, show
from pymonik.environments import cache_folder, folders, making
from pymonik.environments.builds import State
from pymonik.errors import UsageError
from pymonik.launch import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY_S = 86_400.0  # seconds of the unit of ``--unused-for``


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.set_defaults(action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="all, the least recently used first")
    listing.add_argument("--json", action="store_true", help="print JSON, for programs")
    listing.set_defaults(action=_list)
    showing = actions.add_parser("show", help="the packages of one, in their versions")
    showing.add_argument("name", help="of an environment, or how it begins")
    showing.add_argument("--json", action="store_true", help="print JSON, for programs")
    showing.set_defaults(action=_show)
    clean = actions.add_parser("clean", help="remove those that no process uses")
    clean.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all")
    clean.add_argument(
        "--keep", type=_size, metavar="SIZE", help="until the others have 5G, say: the oldest go"
    )
    clean.add_argument(
        "--unused-for", type=float, metavar="DAYS", help="only those not used for so long"
    )
    clean.set_defaults(action=_clean)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    return int(options.action(options))


def _size(text: str) -> int:
    try:
        return sizes.size(text, "SIZE", least=0)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _list(options: argparse.Namespace) -> int:
    rows = [_row(entry, as_json=options.json) for entry in folders.entries()]
    rows += [
        {
            "name": note.packages_id,
            "state": note.state,
            "size": 0 if options.json else "",
            "used_s": age(note.since),
            "asked": list(note.asked),
        }
        for note in making.notes()
        if note.state == State.RESOLVING.value  # later it has a folder, which is among those
    ]
    show(rows, as_json=options.json, none=f"no environments in {cache_folder.folder()}")
    return 0


def _row(entry: folders.Entry, *, as_json: bool) -> dict[str, object]:
    nbytes = entry.about.nbytes if entry.about is not None else 0
    return {
        "name": entry.name,
        "state": _state(entry),
        "size": nbytes if as_json else in_bytes(nbytes),
        "used_s": age(entry.used_at),
        "asked": list(entry.about.asked) if entry.about is not None else [],
    }


def _state(entry: folders.Entry) -> str:
    if entry.about is None or not entry.about.is_built:
        return "building" if entry.is_used else "left over"
    return "in use" if entry.is_used else "ready"


def _show(options: argparse.Namespace) -> int:
    (entry,) = _named([options.name])
    lines = [line.partition(" --hash")[0] for line in entry.about.lines] if entry.about else []
    if options.json:
        print_json({**_row(entry, as_json=True), "packages": lines})
        return 0
    for head, value in _row(entry, as_json=False).items():
        say(f"{head}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    say(f"folder: {cache_folder.folder() / entry.name}")
    say("\n".join(f"  {line}" for line in lines))
    return 0


def _named(names: Sequence[str]) -> list[folders.Entry]:
    """The environments with these names; the part behind the Python's tag will do, or its begin."""
    found = folders.entries()
    chosen: list[folders.Entry] = []
    for name in names:
        fitting = [one for one in found if name == one.name or _id(one).startswith(name)]
        if len(fitting) != 1:
            raise UsageError(f"{len(fitting) or 'no'} environments are called {name}")
        chosen += fitting
    return chosen


def _id(entry: folders.Entry) -> str:
    return entry.name.rpartition("-")[2]


def _clean(options: argparse.Namespace) -> int:
    is_all = not options.names and options.keep is None and options.unused_for is None
    found = _named(options.names) if options.names else folders.entries()
    if options.unused_for is not None:
        limit = time.time() - options.unused_for * _DAY_S
        found = [entry for entry in found if entry.used_at < limit]
    if options.keep is not None:
        removed = folders.make_room(options.keep, among=found)
    else:
        removed = [entry.name for entry in found if folders.remove(entry.name)]
    if is_all:  # also what was resolved, and wheels of local packages
        for name in ("locks", "projects", "wheels"):
            shutil.rmtree(cache_folder.folder() / name, ignore_errors=True)
    freed = sum(entry.about.nbytes for entry in found if entry.name in removed and entry.about)
    kept = len(found) - len(removed)
    say(
        f"removed {len(removed)} environments ({in_bytes(freed)}); kept {kept} that are used or fit"
    )
    return 0
