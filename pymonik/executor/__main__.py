"""``python -m pymonik.executor``: the child process; its parent starts it, nobody else.

Arguments: the number of the socket, the memory limit in bytes (0: none), the folder of packages
(empty: none).
"""

from __future__ import annotations

import faulthandler
import io
import os
import select
import signal
import site
import socket
import sys
import threading
from typing import TYPE_CHECKING

from pymonik.core import modules
from pymonik.executor.cache import FunctionCache
from pymonik.executor.channel import Inbox, framed, run_decoder
from pymonik.executor.frames import Ready, Run
from pymonik.executor.limits import limit_reservations, memory_error
from pymonik.executor.mappings import IDLE_S, inputs
from pymonik.executor.run import execute

if TYPE_CHECKING:
    from pymonik.executor.channel import Answer

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer runs until the parent closes the socket."""
    fd, memory_limit, packages, parent = sys.argv[1:5]
    _die_with(int(parent), int(fd))
    _set_up_output()
    _set_up_path(packages)
    del sys.argv[1:]
    sock = socket.socket(fileno=int(fd))
    _serve(sock, int(memory_limit))
    # Threads that user code left behind must not keep the process.
    os._exit(0)


def _serve(sock: socket.socket, memory_limit: int) -> None:
    inbox = Inbox(sock)
    functions = FunctionCache()
    owner = os.getpid()
    sock.sendall(framed(Ready(memory=_peak_memory())))
    while True:
        while (run := inbox.take(run_decoder)) is None:
            if inputs and not _comes(sock, IDLE_S):
                inputs.clear()
            if not inbox.pump():
                return
        inputs.begin_call(run.inputs.values())
        answer = framed(_answer(run, functions, memory_limit))
        _flush()
        if os.getpid() != owner:
            os._exit(0)  # a fork that user code made came back: it is not the executor
        sock.sendall(answer)
        inputs.end_call()


def _comes(sock: socket.socket, limit_s: float) -> bool:
    """Whether there is something to read before the time is over."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


def _answer(run: Run, functions: FunctionCache, memory_limit: int) -> Answer:
    if not memory_limit:
        return execute(run, functions)
    limit_reservations(memory_limit, run.inputs.values())
    return execute(run, functions, lambda: memory_error(memory_limit))


def _set_up_output() -> None:
    """What is printed leaves line by line: it is there when the process dies."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):  # noqa: PERF203 - closed by user code
            continue


def _set_up_path(packages: str) -> None:
    """Packages of the environment first; the current folder last, so that it hides no module."""
    if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - compared as text
        sys.path.append(sys.path.pop(0))
    if packages:
        sys.path.insert(0, packages)
        site.addsitedir(packages)
        modules.installed_in(packages)  # else numpy's own functions would travel by value
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (packages, inherited)))


def _die_with(parent: int, fd: int) -> None:
    """End when the parent does, in the middle of a call too."""
    if not _signalled_by_kernel():
        threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:
        os._exit(0)


def _signalled_by_kernel() -> bool:
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)


def _watch(fd: int) -> None:
    """Wait until the other end is closed, without reading."""
    poll = select.poll()
    poll.register(fd, 0)
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _peak_memory() -> int:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
