"""Says what this worker has, in a small result of each session that it has a task of.

::

    this worker reaches the control plane ──► said as the first task begins, and every half minute
                                              that the worker is there
    it does not                           ──► said by the agent, with the first task that ends well

What an agent is given while a task runs exists only once the task has ended well.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.launch import hardware
from pymonik.worker.agent_requests import AgentError

if TYPE_CHECKING:
    from pymonik.wire.inventory import Gpu, Inventory
    from pymonik.worker.agent_requests import TaskAgent
    from pymonik.worker.live import Client, LiveWay

logger = logging.getLogger(__name__)

BEAT_S: Final = 30.0  # from one word of a worker to the next; who reads it waits for four of them
# Sessions that are remembered; one that comes back after as many others is told once more.
_REMEMBERED: Final = 1_000

_Key = tuple[str, str]  # session, partition


class Presence:
    """What a worker says of itself. Used by one task at a time.

    Args:
        live: The way to the control plane, if there is one.
        beat_s: Seconds from one word to the next.
    """

    def __init__(self, live: LiveWay, beat_s: float = BEAT_S) -> None:
        self._live = live
        self._beat_s = beat_s
        self._host = socket.gethostname()  # as the agent of the pod names it
        self._started = time.time()
        self._gpus: tuple[Gpu, ...] = ()
        # The result by which it was said, by session and partition; "" where it cannot be replaced:
        # an agent has stored it, or the control plane refuses.
        self._told: OrderedDict[_Key, str] = OrderedDict()
        # Where it is said again: sessions of before may be gone, and one place is enough.
        self._newest: _Key | None = None
        self._is_due = threading.Event()

    def start(self) -> None:
        """Ask for GPUs, in a thread that nobody waits for: the tool may take seconds."""
        if hardware.may_have_gpus():
            threading.Thread(target=self._find_gpus, name="gpus", daemon=True).start()
        if self._live.is_live:
            threading.Thread(target=self._say_again, name="presence", daemon=True).start()

    def begin(self, session_id: str, partition: str) -> None:
        """A task begins."""
        self._newest = key = session_id, partition
        if self._live.is_live and key not in self._told:
            self._is_due.set()

    def tell(self, session_id: str, partition: str, agent: TaskAgent) -> None:
        """Have the agent store it, once for each session; the task ends well whatever happens."""
        key = session_id, partition
        if self._live.is_live or key in self._told:
            return
        said = self._inventory(partition)
        try:
            agent.store(said.result_name, said.encoded())
        except (AgentError, OSError) as error:
            logger.warning("what this worker has is not told: %s", error)
            return
        self._note(key, "")

    def _inventory(self, partition: str) -> Inventory:
        return hardware.inventory(self._host, partition, started=self._started, gpus=self._gpus)

    def _note(self, key: _Key, result_id: str) -> None:
        self._told[key] = result_id
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _say_again(self) -> None:
        """Say in the newest session that this worker is there."""
        while True:
            self._is_due.wait(self._beat_s)
            self._is_due.clear()
            if (key := self._newest) is not None and (client := self._live.client) is not None:
                self._say(client, key)

    def _say(self, client: Client, key: _Key) -> None:
        session_id, partition = key
        said = msgspec.structs.replace(self._inventory(partition), seen=time.time())
        known = self._told.get(key)
        try:
            if known is None:
                self._note(key, client.create(session_id, said.result_name, said.encoded()))
            elif known:
                client.replace(session_id, known, said.encoded())
        except ControlPlaneError as error:
            logger.debug("that this worker is there is not told: %s", error)
            if not isinstance(error, UnavailableError):
                self._note(key, "")  # the session is gone, or this worker may not

    def _find_gpus(self) -> None:
        self._gpus = tuple(hardware.gpus())
