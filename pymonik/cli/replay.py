"""`pymonik replay`: run a call of the past here, with only its id.

What it ran with is read from the cluster and rebuilt: packages by uv, the files of the program from
its bundle, function and arguments from their pickles: this runs code of whoever has sent the task.
"""

from __future__ import annotations

import re
import sys
import traceback
from typing import TYPE_CHECKING, Any

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import PymonikError, UsageError

if TYPE_CHECKING:
    import argparse

    from pymonik.cli.rebuilt import RebuiltCall

_TARGET = re.compile(r"(?P<id>.+?)(?:\[(?P<item>\d+)\])?")  # an id, perhaps with ``[3]``


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument(
        "call",
        metavar="ID[ITEM]",
        help="of a task, or of its result; the number of a call in it, where several share it",
    )
    parser.add_argument("--pdb", action="store_true", help="open the debugger where it raises")


def run(options: argparse.Namespace) -> int:
    """Run it; gives 1 if it raises.

    Raises:
        UsageError: It cannot be run here.
    """
    from pymonik.cli.rebuilt import rebuilt

    found = _TARGET.fullmatch(options.call)
    assert found is not None
    item = None if found["item"] is None else int(found["item"])
    with connection.listing(options) as lists, rebuilt(lists, found["id"], item) as call:
        _tell(call)
        try:
            value = call.run()
        except PymonikError as error:
            if isinstance(error, UsageError):
                raise
            return _failed(error, call, options)
        except Exception as error:  # noqa: BLE001 - of the function
            return _failed(error, call, options)
        _tell(call)
    if options.json:
        print_json({"value": repr(value), "error": None})
    else:
        say(repr(value))
    return 0


def _tell(call: RebuiltCall) -> None:
    """Say what has been noted since it was said last."""
    while call.notes:
        sys.stderr.write(f"pymonik: {call.notes.pop(0)}\n")


def _failed(error: Exception, call: RebuiltCall, options: argparse.Namespace) -> int:
    _tell(call)
    trace: Any = error.__traceback__
    # The frames of this command and of the replay say nothing of the function.
    while trace is not None and trace.tb_next is not None and call.is_ours(trace.tb_frame):
        trace = trace.tb_next
    error = error.with_traceback(trace)
    if options.json:
        print_json({"value": None, "error": "".join(traceback.format_exception_only(error))})
    else:
        traceback.print_exception(error)
    if options.pdb:
        import pdb

        pdb.post_mortem(trace)
    return 1
