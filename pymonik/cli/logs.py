"""`pymonik logs`: what a task has printed, or the tasks of a run or session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymonik.cli import connection
from pymonik.cli.numbers import at_least_one
from pymonik.cli.printing import say, show
from pymonik.errors import ConfigError, PymonikError
from pymonik.wire.live import LOG_PREFIX, live_name, log_entries

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pymonik.runs.rows import TaskRow
    from pymonik.transport.listing import Listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("what", help="id of a task or a session, or the label of a run")
    parser.add_argument("--grep", default="", help="only lines in which this is found")
    parser.add_argument(
        "--limit", type=at_least_one, default=1000, help="most tasks; default: 1000"
    )


def run(options: argparse.Namespace) -> int:
    """Print it, each line with its call."""
    try:
        wanted = re.compile(options.grep)
    except re.error as error:
        raise ConfigError(f"--grep {options.grep!r} is no regular expression: {error}") from error
    with connection.listing(options) as lists:
        tasks = _tasks(lists, options.what, options.limit)
        lines = [line for task in tasks for line in _lines(lists, task)]
    if not tasks:
        raise ConfigError(f"no task, session or run is called {options.what!r}")
    found = [line for line in lines if wanted.search(line["text"])]
    if options.json:
        show(found, as_json=True, none="")
        return 0
    for line in found:
        say(f"[{line['call']}] {line['text']}")
    return 0


def _tasks(lists: Listing, what: str, limit: int) -> list[TaskRow]:
    """The tasks that are meant, the oldest first."""
    found = lists.tasks(ids=[what], details=True) or lists.tasks(
        session_id=what, limit=limit, details=True
    )
    if found:
        return found
    recent = lists.tasks(limit=limit, newest_first=True, details=True)
    return [row for row in reversed(recent) if row.run == what]


def _lines(lists: Listing, task: TaskRow) -> Iterator[dict[str, Any]]:
    """What a task has printed: all that is in the cluster of it, else the last of each call."""
    for output in task.outputs:
        rows = lists.results_named(f"{LOG_PREFIX}{output}/", session_id=task.session_id)
        names = [(name, row) for row in rows if (name := live_name(row.name)) is not None]
        names.sort(key=lambda pair: (pair[0].attempt, pair[0].number))
        texts: dict[str, str] = {}
        for _, row in names:
            for entry in log_entries(lists.data(row)):
                call = entry.name if entry.index < 0 else f"{entry.name} {entry.index}"
                texts[call] = texts.get(call, "") + entry.text
        if not texts:
            texts[task.function] = _kept(lists, output)
        for call, text in texts.items():
            for line in text.splitlines():
                yield {"task_id": task.task_id, "call": call, "text": line}


def _kept(lists: Listing, output: str) -> str:
    """What the result of a task has of it."""
    from pymonik.code.opened_result import OpenedResult

    row = lists.results([output]).get(output)
    if row is None or row.status != "COMPLETED":
        return ""
    try:
        return OpenedResult(lists.data(row)).output()
    except PymonikError:  # the result was deleted, or is of another program
        return ""
