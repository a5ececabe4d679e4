"""hash() of a text is the same in all workers: data that are divided by it go to the same parts."""

import os
import subprocess
import sys
import time

from pymonik import LocalCluster, Pymonik, task

WORDS = [f"word {number}" for number in range(40)]


@task
def parts():
    time.sleep(0.2)
    script = f"print([hash(word) % 8 for word in {WORDS!r}])"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return os.getpid(), [hash(word) % 8 for word in WORDS], child.stdout.strip()


if __name__ == "__main__":
    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        results = [handle.result(60) for handle in [parts.invoke() for _ in range(6)]]
        assert len({pid for pid, _, _ in results}) == 2
        assert len({tuple(own) for _, own, _ in results}) == 1
        assert all(str(own) == of_child for _, own, of_child in results)
