"""Estimate pi from random points: many independent calls, then one sum.

python test_client/estimate_pi.py [--endpoint host:5001]
"""

import argparse
import math
import random

from pymonik import Pymonik, task

POINTS, CALLS = 100_000, 40


@task
def count_inside(seed: int, points: int) -> int:
    """How many of ``points`` random points of the unit square lie in the quarter circle."""
    draw = random.Random(seed).random
    return sum(draw() ** 2 + draw() ** 2 <= 1.0 for _ in range(points))


@task
def estimate(counts: list[int], points: int) -> float:
    return 4 * sum(counts) / (len(counts) * points)


def main(endpoint: str | None) -> None:
    with Pymonik(endpoint=endpoint):
        counts = count_inside.map_invoke([(seed, POINTS) for seed in range(CALLS)])
        pi = estimate.invoke(counts, POINTS).get()
    print(f"pi is about {pi:.4f}, from {CALLS} x {POINTS:,} points")
    assert abs(pi - math.pi) < 0.01


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Estimate pi from random points.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
