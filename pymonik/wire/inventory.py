"""What a worker has: hardware and versions, as it says itself.

ArmoniK has no list of workers. Each worker of ours says what it has in a small result, named
``pymonik.worker/<partition>/<host>``, with the first task of each session; the embedded cluster
says it in the configuration of its partitions, under `POD_KEY`. Both are JSON, which other tools
and other languages read too.
"""

from __future__ import annotations

from typing import Final

import msgspec

WORKER_PREFIX: Final = "pymonik.worker/"  # starts the name of the result
POD_KEY: Final = "pymonik.worker"  # in ``pod_configuration`` of a partition


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A graphics processor, or the part of one that a worker has.

    Attributes:
        memory: Bytes; 0 where that is not known.
        uuid: As NVIDIA's tools name it.
    """

    name: str
    memory: int = 0
    uuid: str = ""


class Inventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker has.

    Attributes:
        host: Of the machine or pod; as the rows of its tasks name it.
        partition: Whose tasks it runs.
        cpus: Processors that it may use at once, by affinity and by the quota of its container.
        memory: Bytes that it may use, by the limit of its container.
        gpus: Those that it may use; of the host, however many workers share them.
        python: Version of its interpreter, ``""`` for a worker of others.
        pymonik: Version, ``""`` for a worker of others.
        image: Of its container, where the deployment says it.
        started: When it started, in seconds since the epoch.
        seen: When it said this, if it does so again and again.
    """

    host: str
    partition: str = ""
    cpus: int = 0
    memory: int = 0
    gpus: tuple[Gpu, ...] = ()
    python: str = ""
    pymonik: str = ""
    image: str = ""
    started: float = 0.0
    seen: float = 0.0

    @property
    def result_name(self) -> str:
        """The name of the result that holds this inventory."""
        return f"{WORKER_PREFIX}{self.partition}/{self.host}"

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)


def decoded(data: bytes | str) -> Inventory | None:
    """An inventory from JSON; ``None`` if it is none: anybody may give a result such a name."""
    try:
        return msgspec.json.decode(data, type=Inventory)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
