"""What our clients and the embedded cluster agree on besides ArmoniK's API.

To any other control plane it means nothing, and other clients of the embedded cluster do not see
it: without it everything is as in ArmoniK, only slower.
"""

from __future__ import annotations

from typing import Final

# Metadata of GetEvents: the IDs of results that got the same status may come in one event,
# separated by spaces. An event costs both sides as much as a small task.
JOINED_EVENTS: Final = ("pymonik-joined-events", "1")

# Metadata of CreateResults: clients will hardly read these data, so they need not be files.
DATA_FOR_WORKERS: Final = ("pymonik-data-for", "workers")

# A file in the folder of the object storage says: when a task is submitted whose payload has no
# data, the object that has the ID of the payload for its name is taken. A call alone then costs
# one request instead of two.
PAYLOADS_ARE_FOUND: Final = ".payloads-are-found"
