"""Calls that cannot run because one that they need has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code.short_reprs import ShortReprs, cut
from pymonik.errors import ControlPlaneError, DependencyFailedError, TaskFailedError
from pymonik.session.result import Status

if TYPE_CHECKING:
    from pymonik.code.codec import Packed

_MOST_SAID = 2_000  # characters of the failed call's text in the error of one that needed it


def failed_input(call: Packed) -> BaseException | None:
    """Why one of the results that the call needs will never be there, if one will not."""
    for ref in call.refs:
        if ref._state.status is Status.FAILED:
            return ref._state.error or ControlPlaneError("SubmitTasks", "unknown")
    return None


def dependency_failed(
    original: BaseException, task_id: str = "", result_id: str = ""
) -> DependencyFailedError:
    """For a task that did not run because of ``original``.

    In a chain of calls each error names the first failure, not the error of the call before: or
    texts would grow with the chain.
    """
    while issubclass(type(original), DependencyFailedError) and original.__cause__ is not None:
        original = original.__cause__
    # Not `str`: that would be code of the user's, in a thread of ours.
    if isinstance(original, TaskFailedError):
        said = original.message
    else:
        said = ShortReprs().text_of(original)
    error = DependencyFailedError(
        "the task did not run, since one that it needs failed: "
        f"{type(original).__name__}: {cut(said, _MOST_SAID)}",
        task_id,
        result_id,
    )
    error.__cause__ = original
    return error
