"""Says what this worker has, in a small result of each session that it has a task of.

An agent takes results only while a task runs and keeps them only if it ends well, so it is said
with the first task of a session that does.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pymonik.launch import hardware
from pymonik.worker.agent import AgentError

if TYPE_CHECKING:
    from pymonik.wire.inventory import Gpu
    from pymonik.worker.agent import TaskAgent

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 1_000  # sessions; one that comes back after as many others is told once more


class Presence:
    """What a worker says of itself. Used by one task at a time."""

    def __init__(self) -> None:
        self._host = socket.gethostname()  # as the agent of the pod names it
        self._started = time.time()
        self._gpus: tuple[Gpu, ...] = ()
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()  # session, partition

    def start(self) -> None:
        """Ask for GPUs, in a thread that nobody waits for: the tool may take seconds."""
        if hardware.may_have_gpus():
            threading.Thread(target=self._find_gpus, name="gpus", daemon=True).start()

    def tell(self, session_id: str, partition: str, agent: TaskAgent) -> None:
        """Have the agent store it, once for each session; the task ends well whatever happens."""
        key = session_id, partition
        if key in self._told:
            return
        said = hardware.inventory(self._host, partition, started=self._started, gpus=self._gpus)
        try:
            agent.store(said.result_name, said.encoded())
        except (AgentError, OSError) as error:
            logger.warning("what this worker has is not told: %s", error)
            return
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _find_gpus(self) -> None:
        self._gpus = tuple(hardware.gpus())
