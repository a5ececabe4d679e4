"""The file that `Pymonik.leave` writes: where a session is, and what its handles stand for.

It has an endpoint, names and ids. Certificates and keys are found anew by whoever reads it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.errors import UsageError
from pymonik.handles.output_handle import output_of
from pymonik.handles.result_handle import ResultHandle
from pymonik.runs.recorded_states import states_at
from pymonik.session.result import ResultState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.session.remote import RemoteSession

FORMAT: Final = 1  # of the file; one with a higher number is refused


class KeptItem(msgspec.Struct, frozen=True, array_like=True):
    """One handle: where its value stands in the result, and its number in its run.

    Attributes:
        output: The name of one of several outputs, where the handle is of that.
    """

    place: int
    index: int
    output: str = ""


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
        found[-1][1].append(KeptItem(state.item, state.index, state.output))
    return tuple(KeptResult(*head, tuple(items)) for head, items in found)


class LeftHandles:
    """The handles that a file was written for, in a program that has come back.

    They are the same ones whenever they are asked for: who runs some of them again sees that in
    every list of them.
    """

    def __init__(self, job: JobFile) -> None:
        self._left = [
            (one.name, (one.result, i.place), i.output) for one in job.results for i in one.items
        ]
        self._calls: dict[tuple[str, int], ResultHandle[Any]] = {}
        self._handles: list[ResultHandle[Any]] = []

    def now(self, session: RemoteSession) -> list[ResultHandle[Any]]:
        """The handles, for what their calls are now: another program may have run some again."""
        session.send()  # what was run again here is in the records then
        known = states_at(session, [at for _, at, _ in self._left])
        new: list[ResultState] = []
        for name, at, _ in self._left:
            if at in self._calls:
                continue
            state = known.get(at)
            if state is None:
                state = ResultState(session, name, *at)
                new.append(state)
            self._calls[at] = ResultHandle(state)
        session.follow(new)
        for at, state in known.items():
            if self._calls[at]._state is not state:
                self._calls[at]._point(state)
        if not self._handles:
            self._handles = [_given(self._calls[at], output) for _, at, output in self._left]
        return self._handles


def _given(call: ResultHandle[Any], output: str) -> ResultHandle[Any]:
    return output_of(call, output) if output else call


def check(path: object) -> None:
    """Refuse a place where no file can be written, before anything is done about it.

    Raises:
        UsageError: It is no path, its folder is missing or not ours to write to.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"leave() takes the path of a file first, not {type(path).__name__}")
    place = Path(path)
    if place.is_dir():
        raise UsageError(f"{place} is a folder: leave() writes a file")
    if not place.parent.is_dir():
        raise UsageError(f"{place} cannot be written: there is no folder {place.parent}")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written: {place.parent} may not be written to")


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
