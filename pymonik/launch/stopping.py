"""How a process of ours is told to end: signals, and the end of whoever started it.

::

    SIGTERM, SIGINT ──► pipe ──┐
                               ├──► thread "stopping" ──► requested; at the second one: hurried
    standard input ends ───────┘                     └──► orders: lines of standard input

The interpreter writes the signal to the pipe at once, whatever thread the system interrupts and
whatever that holds. A handler in Python would run in the main thread only, between two of its
steps: while that waits, or with a lock held that is needed to stop.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """What this process was told about its end; made once, in the main thread.

    Args:
        signals: Those that tell it.
        lifeline: A file whose end tells it too, and that nobody waits for what runs.

    Attributes:
        requested: Set when it is to end.
        hurried: Set when it is to end at once, with what still runs.
        orders: Lines of the lifeline, then ``None`` when this process is to end.
    """

    def __init__(
        self, *, signals: Sequence[signal.Signals] = _SIGNALS, lifeline: int | None = None
    ) -> None:
        self.requested = threading.Event()
        self.hurried = threading.Event()
        self.orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._unread = b""
        self._lifeline = lifeline
        self._told, teller = os.pipe()
        # A handler of the interpreter writes to it: it must never wait, and more signals than fit
        # say no more.
        os.set_blocking(teller, False)
        thread = threading.Thread(target=self._listen, name="stopping", daemon=True)
        thread.start()
        # After the thread: a signal from here on has somebody who reads.
        signal.set_wakeup_fd(teller, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: None)  # the pipe has it

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        if self._lifeline is not None:
            poll.register(self._lifeline, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._told:
                    for number in os.read(fd, 4096):
                        self._tell(signal.Signals(number))
                elif not self._read(fd):
                    poll.unregister(fd)
                    self.hurried.set()
                    self._request()

    def _read(self, fd: int) -> bool:
        """Take the orders that have come; whether there may be more."""
        data = os.read(fd, 4096)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self.orders.put(line.decode(errors="replace"))
        return bool(data)

    def _tell(self, number: signal.Signals) -> None:
        if number not in _SIGNALS:
            return
        if self.requested.is_set():
            self.hurried.set()
        self._request()

    def _request(self) -> None:
        self.requested.set()
        self.orders.put(None)


def end_by_force(after_s: float) -> None:
    """Have the kernel end this process if it still runs after this time.

    No thread is needed for it, which a system that is short of them would refuse.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, after_s)
