"""What the embedded cluster says of the machine that it runs on, for who lists its workers.

It stands in the configuration of each partition's pods, which ArmoniK's API has a place for: so
commands and programs read it with the request by which they list partitions.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from pymonik.launch import hardware
from pymonik.wire.inventory import POD_KEY, Gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PodInventories:
    """The inventory of each partition.

    Args:
        partitions: How many workers each has.
        runs_ours: Whether workers run tasks of pymonik.
        gpus: Names of those that workers were given, one for each; without any they may use all.
    """

    def __init__(
        self, partitions: Mapping[str, int], *, runs_ours: bool, gpus: Sequence[str] = ()
    ) -> None:
        self._given = gpus
        self.host = socket.gethostname()
        self._runs_ours = runs_ours
        self._pods: dict[str, dict[str, str]] = {name: {} for name in partitions}
        self._staffed = [name for name, count in partitions.items() if count]

    def pods(self, partition: str) -> Mapping[str, str]:
        """The configuration of a partition's pods; filled by `start`, while executors start."""
        return self._pods[partition]

    def start(self) -> None:
        """Say what there is, but for GPUs: the tool that knows them may take seconds."""
        started = time.time()
        self._say(started, [Gpu(f"GPU {name}") for name in self._given])
        if hardware.may_have_gpus():
            threading.Thread(
                target=self._add_gpus, args=(started,), name="gpus", daemon=True
            ).start()

    def _add_gpus(self, started: float) -> None:
        found = hardware.gpus(self._given)
        if found or not self._given:
            self._say(started, found)

    def _say(self, started: float, gpus: Sequence[Gpu]) -> None:
        for name in self._staffed:
            one = hardware.inventory(self.host, name, started=started, gpus=gpus)
            if not self._runs_ours:  # workers of others say themselves what they are, if they do
                one = msgspec.structs.replace(one, python="", pymonik="")
            # One step, so that a request that reads meanwhile sees the old or the new text.
            self._pods[name][POD_KEY] = one.encoded().decode()
