"""Runs trials, each in a process of its own, peers taking turns within every round."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.memory import MARK, belonging
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 30.0  # to import and start, beside the limit of the workload
STOP_LIMIT_S = 15.0
_TAIL = 600


@dataclass(frozen=True, slots=True)
class Trial:
    """What one process found.

    Attributes:
        end: Empty if all was measured, else why not.
    """

    peer: str
    workload: str
    round: int
    metrics: dict[str, float] = field(default_factory=dict)
    end: str = ""


def run_all(
    peers: Sequence[str],
    workloads: Sequence[str],
    *,
    rounds: int,
    scale: str,
    progress: Callable[[Trial], None],
) -> None:
    """Every workload on every peer, ``rounds`` times; a pair that failed is not tried again."""
    given_up: set[tuple[str, str]] = set()
    for number in range(rounds):
        for workload in workloads:
            # Another one goes first each time: none always finds the machine as another left it.
            shift = number % len(peers)
            for peer in [*peers[shift:], *peers[:shift]]:
                if (peer, workload) in given_up:
                    continue
                trial = run_trial(peer, workload, number, scale=scale)
                if trial.end:
                    given_up.add((peer, workload))
                progress(trial)


def run_trial(peer: str, workload: str, number: int, *, scale: str) -> Trial:
    """One workload on one peer in a new process, ended when its time is over."""
    mark = uuid.uuid4().hex
    limit_s = WORKLOADS[workload].limit_s
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.trial", peer, workload, scale),
                *("--report", str(report.fileno())),
            ],
            cwd=ROOT,
            env=_environment(mark),
            pass_fds=[report.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            process.wait(START_LIMIT_S + limit_s)
            end = f"failed with exit code {process.returncode}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            end = f"over its limit of {limit_s:.0f} s"
        finally:
            _end(process, mark)
        metrics, said = _read(_content(report))
        if said is not None:
            end = said  # what happens while it stops is not measured
        elif end.startswith("failed"):
            end += ": " + _last_line(_content(output))
    return Trial(peer, workload, number, metrics, end)


def _environment(mark: str) -> dict[str, str]:
    own = dict(os.environ)
    # Workers of peers import the functions, and find commands beside this Python.
    own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH")]))
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    own[MARK] = mark
    return own


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Nothing of a trial may take time from the next one."""
    left = belonging(process.pid if process.poll() is None else None, mark)
    for one in left:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(left, STOP_LIMIT_S)
    process.wait()


def _content(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    return str(file.read().decode(errors="replace"))  # type: ignore[attr-defined]


def _read(report: str) -> tuple[dict[str, float], str | None]:
    """The metrics, and the end as the trial said it, ``None`` if it did not."""
    messages = [json.loads(line) for line in report.splitlines()]
    metrics = {m["metric"]: float(m["value"]) for m in messages if "metric" in m}
    said = [str(m["end"]) for m in messages if "end" in m]
    return metrics, said[-1] if said else None


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1][-_TAIL:] if lines else "no output"
