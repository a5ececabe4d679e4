"""New IDs of sessions, tasks, results and objects."""

from __future__ import annotations

import random

# Seeded by the system once. `uuid4` asks the system for each ID, and a call of the system hands the
# interpreter to other threads. IDs need not be secret: whoever can connect may do everything.
_random = random.Random()


def new_id() -> str:
    """An ID that looks like a UUID."""
    digits = f"{_random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
