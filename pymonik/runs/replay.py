"""Runs a call again, in this process and with the same inputs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pymonik.code.remote_frames import remote_part
from pymonik.errors import UsageError
from pymonik.runs.called import arguments_and_seed
from pymonik.runs.inline import InlineSession
from pymonik.session.current import activate, entered_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pymonik.session.result import ResultState


def replay(
    state: ResultState,
    value_of: Callable[[ResultState], object],
    function: Callable[..., Any] | None = None,
    *,
    pdb: bool = False,
) -> Any:
    """What the call gives when it is run here, now.

    Args:
        state: Of the call.
        value_of: Gives the value of a result, for handles among the arguments.
        function: Another one to run instead.
        pdb: Whether to open the debugger where it raises, before that is raised here.

    Raises:
        UsageError: The function or the arguments are not known any more.
        BaseException: What the function raises.
    """
    __tracebackhide__ = True
    if function is None:
        if state.run is None:
            raise UsageError("it is not known which function this was: the handle has no call")
        function = state.run.function
    args, kwargs, seed = arguments_and_seed(state, value_of, value_of)
    session = InlineSession(state.session.session_id, value_of)
    # Put back afterwards: the program may be in a ``with`` of a session of its own.
    before = entered_session()
    activate(session)
    try:
        return session.call(function, args, kwargs, seed)
    except Exception as error:
        if pdb:
            _debug(error.__traceback__)
        raise
    finally:
        activate(before)


def locals_of(state: ResultState) -> dict[str, str]:
    """The local variables of the frame that raised, by name, as they were printed there.

    Raises:
        UsageError: The call has not ended or not failed, or they were not sent.
    """
    error = state.error
    trace = remote_part(error.__traceback__) if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        if not state.is_final:
            what = "has not ended yet"
        else:
            what = "has not failed" if error is None else "has left no variables behind"
        raise UsageError(f"{state.name or 'this call'} {what}")
    return {name: repr(value) for name, value in trace.tb_frame.f_locals.items()}


def _debug(traceback: TracebackType | None) -> None:
    """Open the debugger at the frame that raised: IPython's, where that is what runs."""
    ipython: Any = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from IPython.core.debugger import Pdb

        debugger: Any = Pdb()
        debugger.reset()
        debugger.interaction(None, traceback)
        return
    import pdb

    pdb.post_mortem(traceback)
