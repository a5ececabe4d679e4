"""``python -m tests.odd_plane TARGET [--delay S] …``: writes its endpoint, serves until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from tests.odd_plane.network import Network
from tests.odd_plane.plane import Oddities, Plane


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.odd_plane", description=__doc__)
    parser.add_argument("target", help="host:port or unix:/path of a control plane")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds, each way")
    parser.add_argument("--cut-every", type=float, default=0.0, help="seconds")
    parser.add_argument("--late", type=float, default=0.0, help="seconds rows are behind events")
    parser.add_argument("--doubled", action="store_true")
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--pod-max", type=int)
    parser.add_argument("--cancel", type=float, default=0.0, help="seconds that cancelling takes")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    oddities = Oddities(
        given.late, given.doubled, given.shuffled, pod_max=given.pod_max, cancel_s=given.cancel
    )
    with (
        Plane(given.target, oddities, given.seed) as plane,
        Network(
            plane.endpoint, delay_s=given.delay, cut_every_s=given.cut_every, port=given.port
        ) as network,
    ):
        sys.stdout.write(f"{network.endpoint}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
