"""What an executor says of a call that failed: the exception, the call, where and for how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from pymonik.code.failure import describe
from pymonik.code.short_reprs import ShortReprs
from pymonik.errors import DependencyFailedError, TaskFailedError
from pymonik.executor import usage
from pymonik.executor.measures import origin_of
from pymonik.wire.failure import dependent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymonik.executor.frames import Run
    from pymonik.wire.call import PayloadMeta
    from pymonik.wire.failure import Failure


class NeededFailedError(DependencyFailedError):
    """An argument of the call is the result of a call that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__("an argument is the result of a call that failed")
        self.failure = failure


class Teller:
    """Makes the failures of one task.

    Args:
        run: The task.
        memory_error: Gives what to say of a `MemoryError`, where there is a limit.

    Attributes:
        meta: The head of its payload, once that was read.
    """

    def __init__(self, run: Run, memory_error: Callable[[], MemoryError] | None) -> None:
        self._run = run
        self._memory_error = memory_error
        self._args: Sequence[object] = ()
        self._kwargs: Mapping[str, object] = {}
        self._began = self._monotonic = 0.0
        self.meta: PayloadMeta | None = None

    def beside(self) -> Teller:
        """One for another call of the task, which runs at the same time."""
        other = Teller(self._run, self._memory_error)
        other.meta = self.meta
        return other

    def begin(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """A call begins; its arguments are held until the next one does."""
        self._args, self._kwargs = args, kwargs
        self._monotonic = time.monotonic()

    def failure(self, error: BaseException) -> Failure:
        """What to send of ``error``, which ended the present call."""
        seconds = time.monotonic() - self._monotonic if self._monotonic else 0.0
        # Not `isinstance`, here and below: that asks the exception, which is the user's.
        if type(error) is NeededFailedError:
            return dependent(error.failure)
        with_locals = self.meta is None or self.meta.locals
        failure = describe(self._explained(error), with_locals=with_locals)
        return msgspec.structs.replace(
            failure,
            call=self._call() if self._monotonic else "",
            origin=origin_of(self._run, self._earlier, time.time() - seconds),
            seconds=seconds,
            peak_bytes=usage.peak() if seconds >= usage.MEASURED_S else 0,
        )

    def _call(self) -> str:
        name = self.meta.function.name if self.meta is not None else ""
        return ShortReprs().of_call(name, self._args, dict(self._kwargs))

    @property
    def _earlier(self) -> int:
        return self.meta.earlier if self.meta is not None else 0

    def _explained(self, error: BaseException) -> BaseException:
        """The error, or one of ours: for a limit, and for what would end the client's program."""
        if self._memory_error is not None and issubclass(type(error), MemoryError):
            return _because(self._memory_error(), error)
        if issubclass(type(error), Exception):
            return error
        shown = ShortReprs()
        if isinstance(error, SystemExit):
            what = f"sys.exit({shown.of(error.code)})"
        else:
            what = shown.of(error)
        return _because(TaskFailedError(f"the task ended with {what}"), error)


def _because(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error.with_traceback(cause.__traceback__)
