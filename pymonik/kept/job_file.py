"""The file that `Pymonik.leave` writes: where a session is, and what its handles stand for.

It has an endpoint, names and ids. Certificates and keys are found anew by whoever reads it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.errors import UsageError
from pymonik.session.result import ResultState
from pymonik.session.run import RunOfOthers, unknown_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.session.remote import RemoteSession

FORMAT: Final = 1


class KeptItem(msgspec.Struct, frozen=True, array_like=True):
    """One handle: where its value stands in the result, and its number in its run."""

    place: int
    index: int


class KeptResult(msgspec.Struct, frozen=True):
    """A result, and the handles of values in it."""

    result: str
    task: str
    name: str
    label: str
    items: tuple[KeptItem, ...]


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds.

    Attributes:
        partitions: That calls may name.
        results: Of the handles that were left, in their order.
    """

    endpoint: str
    session: str
    name: str = ""
    partitions: tuple[str, ...] = ()
    results: tuple[KeptResult, ...] = ()
    version: int = FORMAT


def kept_results(states: Iterable[ResultState]) -> tuple[KeptResult, ...]:
    """The results of states that were sent; those that share one and follow each other together."""
    found: list[tuple[tuple[str, str, str, str], list[KeptItem]]] = []
    for state in states:
        label = state.run.label if state.run is not None else ""
        head = (state.result_id or "", state.task_id, state.name, label)
        if not found or found[-1][0] != head:
            found.append((head, []))
        found[-1][1].append(KeptItem(state.item, state.index))
    return tuple(KeptResult(*head, tuple(items)) for head, items in found)


def kept_states(job: JobFile, session: RemoteSession) -> list[ResultState]:
    """The states of the handles that were left, kept up to date from now on."""
    runs: dict[tuple[str, str], RunOfOthers] = {}
    states = []
    for result in job.results:
        run = runs.setdefault(
            (result.name, result.label), RunOfOthers(unknown_function, result.name, result.label)
        )
        for item in result.items:
            state = ResultState(session, result.name, result.result, item.place)
            state.task_id, state.index = result.task, item.index
            if item.index >= 0:
                state.run = run
                run.total = max(run.total, item.index + 1)
            states.append(state)
    session.follow(states)
    return states


def write(path: str | os.PathLike[str], job: JobFile) -> None:
    """Write the file; whoever reads it meanwhile sees the whole of it, or what was there before."""
    place = Path(path)
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(job), indent=1))
    unfinished.replace(place)


def read(path: str | os.PathLike[str]) -> JobFile:
    """What the file holds.

    Raises:
        UsageError: There is none, or it is none of ours.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{os.fspath(path)} cannot be read: {error}") from error
    try:
        job = msgspec.json.decode(data, type=JobFile)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{os.fspath(path)} is no file that Pymonik.leave has written: {error}"
        ) from error
    if job.version > FORMAT:
        raise UsageError(f"{os.fspath(path)} was written by a later version of pymonik")
    return job
