"""Measure pymonik and its peers: ``python -m benchmarks --quick``."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import picture, report
from benchmarks.peer import PEERS
from benchmarks.run import Trial, run_all
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a table, write what was asked for; 1 if a peer failed."""
    options = _parser().parse_args(arguments)
    wanted = options.peers or [name for name, peer in PEERS.items() if peer.default]
    peers = [name for name in wanted if PEERS[name].is_installed]
    missing = [name for name in wanted if name not in peers]
    for name in missing:
        print(f"{PEERS[name].label}: skipped, {PEERS[name].package} is not installed")
    if not peers:
        print("nothing to run")
        return 1
    scale = "quick" if options.quick else "full"
    trials: list[Trial] = []

    def keep(trial: Trial) -> None:
        trials.append(trial)
        _tell(trial)

    with suppress(KeyboardInterrupt):  # what was measured until then is worth a table
        run_all(
            peers,
            options.only or list(WORKLOADS),
            rounds=options.rounds or (1 if options.quick else 3),
            scale=scale,
            progress=keep,
        )
    hundredth = "a hundredth of the calls, arrays up to 1 MB" if options.quick else ""
    print(f"\n{hundredth}\n{report.table(trials, peers)}")
    found = report.as_json(trials, peers, missing, scale)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.picture:
        options.picture.write_text(picture.draw(found))
    return int(any(trial.end.startswith("failed") for trial in trials))


def _tell(trial: Trial) -> None:
    values = ", ".join(f"{name} {report.number(v)}" for name, v in trial.metrics.items())
    words = " · ".join(filter(None, [values, trial.end]))
    print(f"{trial.round + 1} {trial.workload:<11} {trial.peer:<14} {words}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the calls, one round")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), help="these workloads")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), help="these peers")
    parser.add_argument("--rounds", type=int, help="how often each is run; 3, or 1 with --quick")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    parser.add_argument("--picture", type=Path, help="draw bars and curves into this SVG file")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
