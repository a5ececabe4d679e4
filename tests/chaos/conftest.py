"""Seeds are printed: what was found once can be had again."""

from __future__ import annotations

import os
import random
import sys

import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers from the seed in the variable ``PYMONIK_CHAOS_SEED``, or a new one."""
    seed = int(os.environ.get("PYMONIK_CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"PYMONIK_CHAOS_SEED={seed} {request.node.name}\n")
    return random.Random(seed)
