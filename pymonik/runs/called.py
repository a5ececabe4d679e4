"""What a call was called with: read again from the arguments that are kept at its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.code import codec
from pymonik.errors import UsageError
from pymonik.files.client_reader import as_argument
from pymonik.runs.payloads import read_calls
from pymonik.session.run import Kept, KeptCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.seeds import Seed
    from pymonik.session.result import ResultState
    from pymonik.wire.containers import Buffer

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
ArgumentsAndSeed = tuple[tuple[Any, ...], dict[str, Any], "Seed | None"]


def arguments(
    state: ResultState,
    handle_of: Callable[[ResultState], object],
    value_of: Callable[[ResultState], object],
) -> Arguments:
    """Positional and keyword arguments, made anew at each call.

    Args:
        state: Of the call.
        handle_of: Gives what stands for a handle among them.
        value_of: Gives the value of an argument that was stored for several calls.

    Raises:
        UsageError: They are not kept.
    """
    args, kwargs, _ = arguments_and_seed(state, handle_of, value_of)
    return args, kwargs


def arguments_and_seed(
    state: ResultState,
    handle_of: Callable[[ResultState], object],
    value_of: Callable[[ResultState], object],
) -> ArgumentsAndSeed:
    """Arguments, and the seed of the call's random numbers; see `arguments`."""
    if state.run is not None and not state.run.has_pickles:
        raise UsageError(
            f"{state.name} is a command or a handler: it has no arguments of Python; "
            f"`pymonik replay {state.task_id}` runs it again on this machine"
        )
    if state.call is None:
        read_calls([state])
    call = state.call
    if call is None:
        raise UsageError(
            f"the arguments of {state.name or 'this call'} are not kept: they are large, or the "
            "handle was made from an id"
        )
    refs = call.refs if isinstance(call, KeptCall) else ()

    filled: dict[ResultState, object] = {}

    def fill(slot: int) -> object:
        needed = refs[slot]()
        if needed is None:
            raise UsageError(
                f"an argument of {state.name or 'this call'} was a handle that the program does "
                "not hold any more"
            )
        if needed not in filled:  # two parts of one stored value share what is in it
            give = value_of if isinstance(refs[slot], Kept) else handle_of
            filled[needed] = give(needed)
        return filled[needed]

    def file(slot: int) -> object:
        return as_argument(files[slot], state.session)

    files = call.files if isinstance(call, KeptCall) else ()
    return codec.arguments_of(codec.unpack(blobs(call), fill, file))


def blobs(call: KeptCall | bytes) -> Sequence[Buffer]:
    """The pickle of the arguments, then its buffers."""
    return call.blobs if isinstance(call, KeptCall) else (call,)


def named(state: ResultState, args: Sequence[object], kwargs: dict[str, object]) -> dict[str, Any]:
    """Arguments by the names of their parameters; what has no name is ``arg0``, ``arg1``..."""
    # Parameters in their order; ``*args`` have no names of their own.
    names = state.run.parameters if state.run is not None else ()
    by_position = {
        names[place] if place < len(names) else f"arg{place}": value
        for place, value in enumerate(args)
    }
    return by_position | kwargs
