"""The messages that the how-to explains are those that there are, and no error is left out."""

from __future__ import annotations

import re
from pathlib import Path

from pymonik import errors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`[^|]+) \| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
# Where one literal ends on a line and goes on on the next.
_JOINT = re.compile(r'"\s*\n\s*f?"')
# What Python says itself, as `inspect` does of arguments.
OF_PYTHON = {"missing a required argument"}
# Names of requests, which stand before what ArmoniK says.
OF_REQUESTS = {"CreateSession: ", "SubmitTasks: "}


def sources() -> str:
    files = (ROOT / "pymonik").rglob("*.py")
    return "\n".join(_JOINT.sub("", file.read_text(encoding="utf-8")) for file in files)


def test_each_message_that_is_explained_is_one_of_ours() -> None:
    said = sources()
    messages = [one for column, _ in ROWS for one in re.findall(r"`([^`]+)`", column)]
    parts = {part for message in messages for part in message.split("...") if part}
    assert len(messages) > 20
    unknown = [part for part in parts - OF_PYTHON - OF_REQUESTS if part not in said]
    assert unknown == []


def test_each_error_that_people_see_is_explained() -> None:
    named = {name for _, name in ROWS}
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    ours = {one.__name__ for one in classes if one.__module__ == errors.__name__}
    assert {"PymonikError"} == ours - named
