"""Outputs of tasks, some of them created ahead: a call alone then costs one request less."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.transport.control_plane import ControlPlane

_SMALL = 16  # calls: in a larger batch one more request is nothing
_AHEAD = 64  # results, once a name is asked for a second time
_MOST_NAMES = 16


class Outputs:
    """Gives the results that the tasks of one session are to produce. For one thread."""

    def __init__(self, plane: ControlPlane, session_id: str) -> None:
        self._plane = plane
        self._session_id = session_id
        self._spare: dict[str, list[str]] = {}  # ids by name, the name used last at the end

    def take(self, names: Sequence[str]) -> list[str]:
        """A new result for each name; their ids, in order."""
        if len(names) > _SMALL:
            return self._plane.create_results_metadata(self._session_id, names)
        lacking = [name for name in dict.fromkeys(names) if not self._has(name, names.count(name))]
        if lacking:
            self._create(lacking, names)
        return [self._spare[name].pop() for name in names]

    def _has(self, name: str, count: int) -> bool:
        return len(self._spare.get(name, ())) >= count

    def _create(self, lacking: Sequence[str], names: Sequence[str]) -> None:
        wanted = [
            name
            for name in lacking
            for _ in range(names.count(name) + (_AHEAD if name in self._spare else 0))
        ]
        ids = self._plane.create_results_metadata(self._session_id, wanted)
        for name in lacking:
            self._spare[name] = self._spare.pop(name, [])
        for name, result_id in zip(wanted, ids, strict=True):
            self._spare[name].append(result_id)
        for name in list(self._spare)[:-_MOST_NAMES]:
            if name not in names:
                del self._spare[name]
