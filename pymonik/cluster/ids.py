"""New IDs of sessions, tasks, results and objects."""

from __future__ import annotations

import random

# Seeded by the system once: asking the system for each ID would each time give other threads
# the interpreter. IDs need not be secret: who can connect may do everything.
_random = random.Random()


def new_id() -> str:
    """An ID that looks like a UUID."""
    digits = f"{_random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
