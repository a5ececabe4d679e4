"""Why a call was found among earlier ones, or not: `explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.cache.entries import CODE_PREFIX, MOST_ENTRIES, Entry, entries_of, listed
from pymonik.cache.keys import Manifest, keys
from pymonik.errors import ControlPlaneError
from pymonik.session.remote import RemoteSession
from pymonik.wording import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.cache.codes import Part
    from pymonik.runs.rows import ResultRow
    from pymonik.session.cached import CachedCall
    from pymonik.session.result import ResultState

_MOST_NAMED: Final = 5  # parts of the code that have changed


def explain(state: ResultState) -> str:
    """Why the value of a call was there, or not.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    cached = state.cached
    if cached is None:
        return "not looked for: cache=True was not given"
    if not cached.key:
        return f"not looked for: {cached.why}"
    if cached.place is not None:
        return f"hit: computed before in {span(cached.seconds)}"
    if not isinstance(state.session, RemoteSession):
        return "miss"
    entries_of(state.session).write()  # else what is about to be written would look missing
    return f"miss: {_why(state.session.lists, cached, state.name)}"


def _why(lists: Any, cached: CachedCall, function: str) -> str:
    code, environment, arguments = cached.key.split(".")
    # Only what was there when the call was looked for: its own entry may have been written since.
    others = [one for one in listed(lists, "") if one.created < cached.at]
    same_call = [one for one in others if one.key.endswith(f".{arguments}")]
    names = _names_of_code(lists)
    own = [one for one in same_call if names.get(_code_of(one)) == function]
    for one in reversed(own):  # the newest first
        other_code, other_environment, _ = one.key.split(".")
        about = "the same" if other_environment == environment else "other packages or Python"
        if other_code == code:
            return f"code the same; arguments the same; environment: {about}"
        changed = _changes(lists, other_code, code)
        return f"code changed: {changed}; arguments the same; environment: {about}"
    if any(_code_of(one) == code for one in others):
        return "no call with these arguments was computed; code the same"
    earlier = [one for one in others if names.get(_code_of(one)) == function]
    if not earlier:
        return f"no call of {function} was computed"
    changed = _changes(lists, _code_of(earlier[-1]), code)
    return f"no call with these arguments was computed; code changed: {changed}"


def _code_of(entry: Entry) -> str:
    return entry.key.partition(".")[0]


def _names_of_code(lists: Any) -> dict[str, str]:
    """Names of functions by the digests of their code."""
    rows = lists.results_named(CODE_PREFIX, limit=MOST_ENTRIES)
    pairs = (row.name.removeprefix(CODE_PREFIX).partition("/") for row in rows)
    return {digest: name for digest, _, name in pairs}


def _changes(lists: Any, before: str, now: str) -> str:
    old, new = _parts(lists, before), keys.parts_of(now) or _parts(lists, now)
    if not old or not new:
        return "it is not known any more which part"
    known = {part.name: part for part in old}
    current = {part.name: part for part in new}
    changed = [p for p in new if p.name in known and known[p.name].digest != p.digest]
    added = [p for p in new if p.name not in known]
    gone = [p for p in old if p.name not in current]
    told = [_told(part, new) for part in changed]
    told += [f"{_told(part, new)} is new" for part in added]
    told += [f"{part.name} is gone" for part in gone]
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return ", ".join(told[:_MOST_NAMED]) + more


def _told(part: Part, parts: Sequence[Part]) -> str:
    """A part, where it stands, and what mentions it."""
    where = ""
    if part.file and part.first:
        lines = f"{part.first}-{part.last}" if part.last > part.first else str(part.first)
        where = f" ({Path(part.file).name}:{lines})"
    last = part.name.rpartition(".")[2]
    caller = next((one.name for one in parts if last in one.uses and one.name != part.name), "")
    by = f", called by {caller}" if caller and part.first else ""
    return f"{part.name}{where}{by}"


def _parts(lists: Any, digest: str) -> Sequence[Part]:
    rows = lists.results_named(f"{CODE_PREFIX}{digest}/")
    return next((parts for row in rows if (parts := _read(lists, row))), ())


def _read(lists: Any, row: ResultRow) -> Sequence[Part]:
    """The parts in a small result; none if it was deleted, or is of another version."""
    try:
        return msgspec.msgpack.decode(lists.data(row), type=Manifest).parts
    except (ControlPlaneError, msgspec.MsgspecError):
        return ()
