"""The handle of one of several outputs: ``handle["mean"]``."""

from __future__ import annotations

from typing import Any

from pymonik.errors import UsageError
from pymonik.handles.result_handle import ResultHandle
from pymonik.session.outputs import OutputState


class OutputHandle(ResultHandle[Any]):
    """Stands for one output of a call; waits for, fails and is cancelled with the call."""

    __slots__ = ("_of",)

    def __init__(self, of: ResultHandle[Any], output: str) -> None:
        super().__init__(OutputState(of, output))
        self._of = of

    def __reduce__(self) -> tuple[object, ...]:
        return output_of, (self._of, self._state.output)

    def __repr__(self) -> str:
        return f"{self._of!r}[{self._state.output!r}]"


def output_of(handle: ResultHandle[Any], output: object) -> ResultHandle[Any]:
    """One output of a call.

    Raises:
        UsageError: That is not what a call has.
    """
    if not isinstance(output, str) or not output:
        raise UsageError(
            f"a handle has outputs by name, handle['mean'], not {output!r}; its value is "
            "handle.get()"
        )
    if handle._state.output:
        raise UsageError(f"{handle!r} is one output already")
    return OutputHandle(handle, output)
