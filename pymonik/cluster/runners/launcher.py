"""Starts a command that must not outlive the cluster; run by its path, imports nothing of ours.

A foreign worker knows nothing of our pipes, so on Linux the kernel is asked to kill it when the
thread that started it is gone, even by ``kill -9``; elsewhere the command simply runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Become the command: ``launcher.py PARENT_PID COMMAND [ARGUMENT ...]``."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it ended before the kernel was asked
            sys.exit(0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot start {command[0]!r}: {error}")


if __name__ == "__main__":
    main()
