"""What the client and the worker of hello_world say to each other, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass
class Payload:
    """Numbers to add, or the IDs of the results to add."""

    values: list[float] | list[str]
    subtask_threshold: int = 10

    def serialize(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def deserialize(cls, data: bytes) -> Payload:
        return cls(**json.loads(data))


@dataclass
class Result:
    """A sum."""

    value: float

    def serialize(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def deserialize(cls, data: bytes) -> Result:
        return cls(**json.loads(data))
