"""What runs the coroutine that awaits a handle: asyncio, or trio; anyio is one of both.

Whatever else it is, a coroutine waits on a `Wake`, which any thread ends.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Generator


class Wake(Protocol):
    """One wait of a coroutine."""

    def end(self, error: BaseException | None = None) -> None:
        """Have the coroutine go on, or raise the error there; from any thread, once or more."""

    def __await__(self) -> Generator[Any, None, None]: ...


def wake(timeout: float | None = None) -> Wake:
    """A wait of the running coroutine, which ends by itself after ``timeout`` seconds.

    Raises:
        RuntimeError: No event loop runs here.
    """
    import asyncio  # a third of an executor's start, and only who awaits needs it

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if _trio_runs():
            return _WakeOfTrio(timeout)
        raise
    return _WakeOfAsyncio(loop, timeout)


def in_thread(function: Callable[..., object], *args: object) -> Awaitable[Any]:
    """Run a function that takes long beside the event loop."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if _trio_runs():
            return _trio().to_thread.run_sync(function, *args)  # type: ignore[no-any-return]
        raise
    return loop.run_in_executor(None, function, *args)


def _trio() -> Any:
    return sys.modules["trio"]  # trio runs, so it was imported; pymonik does not need it


def _trio_runs() -> bool:
    return "trio" in sys.modules and bool(_trio().lowlevel.in_trio_run())


class _WakeOfAsyncio:
    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] = loop.create_future()
        self._alarm = None if timeout is None else loop.call_later(timeout, self._end, None)

    def end(self, error: BaseException | None = None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody awaits
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: BaseException | None) -> None:
        # Ended before, by the alarm or by another thread: a future takes one result only.
        if self._future.done():
            return
        if error is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(error)

    def __await__(self) -> Generator[Any, None, None]:
        try:
            yield from self._future
        finally:
            if self._alarm is not None:
                self._alarm.cancel()


class _WakeOfTrio:
    def __init__(self, timeout: float | None) -> None:
        trio = _trio()
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()
        self._error: BaseException | None = None
        self._timeout = timeout

    def end(self, error: BaseException | None = None) -> None:
        with contextlib.suppress(_trio().RunFinishedError):  # nobody awaits
            self._token.run_sync_soon(self._end, error)

    def _end(self, error: BaseException | None) -> None:
        if not self._event.is_set():
            self._error = error
            self._event.set()

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        if self._timeout is None:
            await self._event.wait()
        else:
            with _trio().move_on_after(self._timeout):
                await self._event.wait()
        if self._error is not None:
            raise self._error
