"""`CallFuture`: a call as Python's own `concurrent.futures.Future`.

::

    pending ──► running (sent: `follow` was given its handle) ──► finished
        └──────────────┴──► cancelled, wherever the call is
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from pymonik.errors import WaitTimeoutError

if TYPE_CHECKING:
    from pymonik.handles.result_handle import ResultHandle

R = TypeVar("R")


class CallFuture(Future[R], Generic[R]):
    """A future of a call: `concurrent.futures.wait`, `as_completed` and asyncio take it.

    Unlike the futures of Python's own pools it can be cancelled while the call runs, since a
    cluster can end a running task. It therefore stays in the state PENDING of its base class until
    the call has ended: the base class refuses to cancel in the state RUNNING.
    """

    def __init__(self) -> None:
        super().__init__()
        self._handle: ResultHandle[R] | None = None

    def follow(self, handle: ResultHandle[R]) -> None:
        """The call was sent, and ``handle`` stands for it; whoever calls this calls `end` later."""
        self._handle = handle
        # After the assignment: a thread that cancels either finds the handle, or has cancelled
        # before this.
        if self.cancelled():
            handle.cancel()

    def end(self, handle: ResultHandle[R]) -> None:
        """Take over the value or the error of ``handle``, which has ended."""
        self._handle = None
        if not self.set_running_or_notify_cancel():
            return
        error = handle.exception()
        if error is None:
            try:
                self.set_result(handle.result())
            except BaseException as failed:  # noqa: BLE001 - whoever waits for this future gets it
                error = failed
        if error is not None:
            self.set_exception(error)

    def end_with(self, error: BaseException) -> None:
        """The call was not sent, or its error means another one."""
        self._handle = None
        if self.set_running_or_notify_cancel():
            self.set_exception(error)

    def running(self) -> bool:
        """Whether the call was sent and has not ended."""
        return self._handle is not None and not self.done()

    def cancel(self) -> bool:
        """Cancel the call, also while it runs; ``False`` if it has ended."""
        cancelled = super().cancel()
        if cancelled and (handle := self._handle) is not None:
            handle.cancel()
        return cancelled

    def result(self, timeout: float | None = None) -> R:
        """The value; see `concurrent.futures.Future.result`."""
        error = self.exception(timeout)
        if error is not None:  # Python before 3.13.1 does not raise one that is falsy
            raise error
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised; see `concurrent.futures.Future.exception`."""
        self.hurry()
        return super().exception(timeout)

    def hurry(self) -> None:
        """Tell the session that somebody waits: it then sends what it collects at once."""
        handle = self._handle
        if handle is not None and not handle.done():
            # A wait of no time: it has the session send what it collects, and nothing else.
            with contextlib.suppress(WaitTimeoutError):
                handle.wait(timeout=0)


def future_of(handle: ResultHandle[R]) -> CallFuture[R]:
    """A future that ends as ``handle`` does."""
    future: CallFuture[R] = CallFuture()
    future.follow(handle)
    handle._call_back(future.end, ends_future=True)
    return future
