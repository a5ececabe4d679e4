"""The `pymonik` command. One file here is one of its commands.

A command's module has `add_arguments`, which says what the command takes, and `run`, which gives
the exit code: 0, or 1 where the command found what it looks for wanting. Errors end with code 2.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED: Final = 2  # the exit code of argparse for wrong arguments, too
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_INTERRUPTED: Final = 130  # as shells say it of a process that Ctrl-C ended

# By name: the module, and the line that `pymonik --help` shows.
_COMMANDS: Final = {
    "cluster": ("pymonik.cli.cluster", "run an embedded cluster until Ctrl-C"),
    "bundle": ("pymonik.cli.bundle", "pack a Lambda handler and its packages into a zip"),
    "code": ("pymonik.cli.code", "the files of a program that go with its calls"),
    "ps": ("pymonik.cli.ps", "tasks that workers have now"),
    "runs": ("pymonik.cli.runs", "what map_invoke and invoke started"),
    "tasks": ("pymonik.cli.tasks", "tasks, the newest first"),
    "sessions": ("pymonik.cli.sessions", "sessions, the newest first"),
    "monitors": ("pymonik.cli.monitors", "monitors that go on, and what they said last"),
    "workers": ("pymonik.cli.workers", "workers that have or had tasks"),
    "partitions": ("pymonik.cli.partitions", "partitions, and what waits and runs in them"),
    "logs": ("pymonik.cli.logs", "what tasks have printed"),
    "why": ("pymonik.cli.why", "why tasks have not ended"),
    "top": ("pymonik.cli.top", "what the cluster does, until Ctrl-C"),
    "dashboard": ("pymonik.cli.dashboard", "a page that shows all of it, until Ctrl-C"),
    "doctor": ("pymonik.cli.doctor", "check what stands between a program and its cluster"),
    "env": ("pymonik.cli.env", "environments kept on this machine: list, show, clean"),
    "rerun": ("pymonik.cli.rerun", "run calls of a session again that failed"),
    "replay": ("pymonik.cli.replay", "run a call of the past here, with only its id"),
    "cancel": ("pymonik.cli.cancel", "cancel sessions or tasks"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    # Read when grpc is imported, which a command does: an error is one line, and none of gRPC's.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(wanted=next((word for word in words if not word.startswith("-")), ""))
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 0
    # The shell has closed it, as in `pymonik ps >&-`: what is printed goes nowhere.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - until the process ends
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=options.log_level)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return _INTERRUPTED
    # As in `pymonik tasks | head`. Standard error is closed, since Python would complain there that
    # it cannot flush standard output.
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except PymonikError as error:
        return _failed(error)
    except OSError as error:  # such as a full disk behind standard output
        with contextlib.suppress(OSError):
            sys.stdout.close()  # or Python tries again when it ends, and tells of it at length
        return _failed(error)


def _failed(error: Exception) -> int:
    sys.stderr.write(f"pymonik: {' '.join(str(error).split())}\n")
    return _FAILED


def _parser(wanted: str) -> argparse.ArgumentParser:
    """All commands; only the wanted one is imported, since some load gRPC and the cluster."""
    parser = argparse.ArgumentParser(prog="pymonik", description="Run and look at tasks.")
    version = importlib.metadata.version("pymonik")
    parser.add_argument("--version", action="version", version=f"pymonik {version}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for name, (module, line) in _COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line)
        if name != wanted:
            continue
        implementation = importlib.import_module(module)
        implementation.add_arguments(command)
        command.add_argument(
            "--log-level",
            default="WARNING",
            type=str.upper,
            choices=_LEVELS,
            metavar="LEVEL",
            help="such as INFO or DEBUG; default: WARNING",
        )
        command.set_defaults(run=implementation.run)
    return parser
