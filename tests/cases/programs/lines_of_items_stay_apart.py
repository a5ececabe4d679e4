"""A call that does not end its last line does not get the text of the next one into it."""

import subprocess
import sys

PROGRAM = """
import sys
from pymonik import Pymonik, task

@task
def say(number):
    print("begin", number)
    print("open end of", number, end="", file=sys.stderr if number % 2 else sys.stdout)

if __name__ == "__main__":
    with Pymonik():
        say.map_invoke(range(12), chunk_size=6).result(60)
"""

if __name__ == "__main__":
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [line.partition("] ")[2] for line in done.stderr.splitlines()]
    if lines:  # a worker elsewhere shows them elsewhere
        for number in range(12):
            assert f"begin {number}" in lines and f"open end of {number}" in lines, lines
