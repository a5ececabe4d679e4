"""Commands and handlers of the past, run here: of neither is anything unpickled."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from pymonik.code.exceptions import exception_of
from pymonik.content.archives import UnpackedArchives
from pymonik.context.task_context import get_context
from pymonik.executor import lambda_call
from pymonik.executor.command_call import CommandCall
from pymonik.executor.lambda_context import LambdaContext, lambda_variables
from pymonik.executor.measures import origin_of
from pymonik.files.completed import Completed
from pymonik.wire import lambda_events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.cli.rebuilt_place import RebuiltPlace
    from pymonik.runs.inline import InlineSession
    from pymonik.wire.call import CallMeta, Command, LambdaHandler
    from pymonik.wire.containers import Buffer


def command(
    given: Command,
    call: CallMeta,
    blobs: Sequence[Buffer],
    value: Callable[[int], Any],
    place: RebuiltPlace,
) -> Completed:
    """Run a command in the folder of its call, where its outputs stay.

    Raises:
        CommandError: It ended with an exit code that is not ok.
    """
    started = time.time()
    one = CommandCall(given, call, blobs, value, place)
    ran, problem, names = one.ended()
    if problem:
        raise exception_of(one.failure(ran, problem, origin_of(place.run, 0, started)))
    return Completed.of(ran, {name: place.output(name) for name in names})


def handler(
    given: LambdaHandler,
    blobs: Sequence[Buffer],
    value: Callable[[int], Any],
    place: RebuiltPlace,
    session: InlineSession,
) -> object:
    """Give the event to the handler, out of the zip as it was; what it answers.

    Raises:
        BaseException: What the handler raises, or its module.
    """
    event, client_context = lambda_call.arguments(blobs, value)
    with tempfile.NamedTemporaryFile(suffix=".zip") as zipped:
        zipped.write(place.source(given.files[0]))
        # The archive is opened by its path, in the next line.
        zipped.flush()
        folder = UnpackedArchives().get(given.files[0].digest, zipped.name)
    sys.path.insert(0, folder)  # for good: this process runs nothing else
    os.environ.update(lambda_variables(given, folder))
    context = LambdaContext(
        given,
        place.run,
        index=0,
        started=time.monotonic(),
        client_context=client_context,
        pymonik=get_context,
    )
    function = lambda_call.handler_of(given.handler)
    answer = session.call(function, (event, context), {}, None)
    return lambda_events.decoded(lambda_events.encoded(answer, "the answer of the handler"), "it")
