"""`Runs`: the runs of a session by their labels, as handles; what `Pymonik.runs` gives."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pymonik.errors import UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.runs.reading import drop_unsent, outputs_of, read_runs, standing
from pymonik.runs.recorded_states import states_of

if TYPE_CHECKING:
    from pymonik.session.recorded import RecordedRun
    from pymonik.session.remote import RemoteSession

_log = logging.getLogger("pymonik")


class Runs(Mapping[str, MultiResultHandle[Any]]):
    """The latest run of each label in a session that others can find.

    Each look asks the control plane: another program may submit to the session too.
    """

    def __init__(self, session: RemoteSession) -> None:
        self._session = session

    def __getitem__(self, label: str) -> MultiResultHandle[Any]:
        """The handles of the items that have left, in order.

        Raises:
            KeyError: There is no such run; also a `UsageError`.
        """
        runs = self._read(label)
        if not runs:
            raise NoSuchRunError(label, list(self))
        return self._handles(runs[-1])

    def all(self, label: str) -> list[MultiResultHandle[Any]]:
        """The runs of a label, in the order in which they were started."""
        return [self._handles(run) for run in self._read(label)]

    def __iter__(self) -> Iterator[str]:
        """The labels, in the order in which they were first used."""
        return iter(dict.fromkeys(run.label for run in self._read()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, label: object) -> bool:
        return label in list(iter(self))

    def __repr__(self) -> str:
        lists = self._session.lists
        runs = self._read()
        outputs = outputs_of(lists, runs)
        for run in runs:
            drop_unsent(run, outputs)
        told = zip(runs, standing(lists, runs, outputs), strict=True)
        return "\n".join(f"{run.title}: {text}" for run, text in told) or "no runs"

    def _read(self, label: str = "") -> list[RecordedRun]:
        self._session.send()  # records are written when calls leave: those of this program too
        return read_runs(self._session.lists, self._session.session_id, label)

    def _handles(self, run: RecordedRun) -> MultiResultHandle[Any]:
        drop_unsent(run, outputs_of(self._session.lists, [run]))
        if left := run.total - len(run.items):
            _log.warning(
                "%s: %d items never left the program that made it; the same call with the same "
                "label sends them",
                run.title,
                left,
            )
        return MultiResultHandle(map(ResultHandle, states_of(self._session, run).values()))


class NoSuchRunError(UsageError, KeyError):
    """A session has no run of this label."""

    def __init__(self, label: str, known: list[str]) -> None:
        super().__init__(label, known)
        self.label, self.known = label, known

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"there is no run {self.label!r} in this session (there are: {known}); runs are "
            "recorded in sessions with a name, those that are kept, and those that were left"
        )
