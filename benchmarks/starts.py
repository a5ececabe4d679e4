"""What a program waits for before its first value, and after an edit.

    python -m benchmarks.starts [--rounds 5] [--modules 50] [--files 2000]

Each program is a process of its own. The best round is given beside the median: where others use
the machine too, the best rounds are those to compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

_IMPORT = """
import json, time
start = time.perf_counter()
import pymonik
print(json.dumps({"import pymonik": time.perf_counter() - start}))
"""

_FIRST = """
import json, time
start = time.perf_counter()
from pymonik import LocalCluster, Pymonik, task
import package

@task
def work(value):
    return package.module_0.double(value)

if __name__ == "__main__":
    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        assert work.invoke(21).get() == 42
        print(json.dumps({"first result with a package": time.perf_counter() - start}))
"""

_NOTHING = """
import json, time
start = time.perf_counter()
from pymonik import LocalCluster, Pymonik, task

@task
def work(value):
    return 2 * value

if __name__ == "__main__":
    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        assert work.invoke(21).get() == 42
        print(json.dumps({"first result": time.perf_counter() - start}))
"""

_EXECUTOR = """
import json, time
from pymonik.executor.process import ExecutorProcess

found = []
for _ in range(3):
    start = time.perf_counter()
    process = ExecutorProcess()
    assert process._await_start() is None
    found.append(time.perf_counter() - start)
    process.close()
print(json.dumps({"start of an executor": min(found)}))
"""

_FILES = """
import json, pathlib, sys, time
from pymonik import LocalCluster, Pymonik, task
import package

@task
def alone(value):
    return value

@task
def work(value):
    return package.module_0.double(value)

def loop(function):
    start = time.process_time()
    handles = [function.invoke(i) for i in range(2000)]
    spent = time.process_time() - start
    for handle in handles:
        handle.get()
    return spent / 2000

if __name__ == "__main__":
    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        alone.invoke(1).get()
        start = time.perf_counter()
        assert work.invoke(21).get() == 42
        first = time.perf_counter() - start
        loops = [(loop(alone), loop(work)) for _ in range(5)]
        without, with_files = (min(column) for column in zip(*loops))
        path = pathlib.Path(package.__file__).with_name("module_0.py")
        path.write_text(path.read_text().replace("2 * value", "3 * value"))
        start = time.perf_counter()
        while work.invoke(21).get() != 63:
            pass
        print(json.dumps({
            "first call with many files": first,
            "invoke without files": without,
            "invoke with files": with_files,
            "an edit reaches the cluster": time.perf_counter() - start,
        }))
"""


def _package(folder: Path, modules: int) -> None:
    package = folder / "package"
    package.mkdir()
    lines = [f"from package import module_{i}" for i in range(min(modules, 50))]
    (package / "__init__.py").write_text("\n".join(lines) + "\n")
    for i in range(modules):
        text = f"def double(value):\n    return 2 * value\n\nNUMBER = {i}\n"
        (package / f"module_{i}.py").write_text(text)


def _measured(code: str, files: int = 0) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if files:
            _package(folder, files)
        program = folder / "program.py"
        program.write_text(code)
        done = subprocess.run(
            [sys.executable, str(program)], stdout=subprocess.PIPE, check=True, text=True
        )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modules", type=int, default=50, help="of the package of one program")
    parser.add_argument("--files", type=int, default=2000, help="of that of another one")
    given = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(given.rounds):
        for code, files in (
            (_IMPORT, 0),
            (_EXECUTOR, 0),
            (_NOTHING, 0),
            (_FIRST, given.modules),
            (_FILES, given.files),
        ):
            for what, seconds in _measured(code, files).items():
                found[what].append(seconds)
    for what, rounds in found.items():
        best, median = 1000 * min(rounds), 1000 * statistics.median(rounds)
        sys.stdout.write(f"{what:32} best {best:9.3f} ms   median {median:9.3f} ms\n")


if __name__ == "__main__":
    main()
