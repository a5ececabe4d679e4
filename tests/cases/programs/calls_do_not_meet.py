"""What a call changes in its process is as it was when the next one begins, in one task or another."""

import builtins
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import types
import warnings

from pymonik import Pymonik, task


def folder():
    os.chdir("/")


def variables():
    os.environ["LEFT_BEHIND"] = "1"
    os.environ.pop("HOME", None)
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def other_environ():
    os.environ = {"PATH": "/nowhere"}


def mask():
    os.umask(0o777)


def timer():
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def hidden_timer():
    faulthandler.dump_traceback_later(0.2, exit=True)


def handlers():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def settings():
    sys.setrecursionlimit(100)
    socket.setdefaulttimeout(0.001)
    sys.setswitchinterval(5)
    sys.settrace(lambda *_: None)
    threading.excepthook = sys.excepthook = None


def filters():
    warnings.simplefilter("error")


def names():
    builtins.sum = lambda _: -1
    sys.modules["json"] = None
    sys.modules["colorsys"] = types.SimpleNamespace(rgb_to_hls=None)  # imported by `look`
    sys.modules["wave"] = None  # imported by nobody
    sys.path.clear()


def limits():
    import resource

    for kind, limit in ((resource.RLIMIT_NOFILE, 12), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))


def output():
    sys.stdout.close()
    sys.stderr = None


def descriptors():
    os.close(0)
    os.close(1)
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def own_descriptors():
    for fd in os.listdir("/proc/self/fd"):
        place = f"/proc/self/fd/{fd}"
        if int(fd) > 2 and os.path.exists(place) and os.readlink(place).startswith("pipe:"):
            os.close(int(fd))


CHANGES = [
    folder, variables, other_environ, mask, timer, hidden_timer, handlers, settings, filters, names,
    limits, output, descriptors,
]  # fmt: skip


@task(max_retries=0)
def change(how):
    how()
    return os.getpid()


@task(max_retries=0)
def look():
    import colorsys
    import json  # noqa: F401
    import resource

    time.sleep(0.4)
    with open("/proc/self/status") as file:
        own_mask = [line for line in file if line.startswith("Umask")]
    ignored = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT).__qualname__
    print("shown")
    print("shown too", file=sys.stderr, flush=True)
    warnings.warn("nothing of note", stacklevel=1)
    with open("/dev/null") as file:
        first_free = file.fileno() > 2
    return [
        os.getcwd(), sorted(os.environ.items()), time.tzname, own_mask, str(ignored), first_free,
        sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), sys.getrecursionlimit(), sum([1, 2]),
        socket.getdefaulttimeout(), sys.getswitchinterval(), sys.gettrace(), sys.path,
        colorsys.rgb_to_hls is not None, "wave" in sys.modules,
        sys.excepthook.__name__, resource.getrlimit(resource.RLIMIT_NOFILE), sys.stdout.closed,
    ]  # fmt: skip


@task(max_retries=0)
def little(how):
    before = [os.getcwd(), sorted(os.environ.items()), sys.stdout.closed]
    how()
    return before


if __name__ == "__main__":
    with Pymonik():
        before = look.invoke().result(60)
        for how in CHANGES:
            change.invoke(how).result(60)
            after = look.invoke().result(60)
            changed = [pair for pair in zip(before, after) if pair[0] != pair[1]]
            assert not changed, (how, changed)
        items = [folder, variables, other_environ, output, folder]
        seen = little.map_invoke(items, chunk_size=5).result(60)
        assert [one == seen[0] for one in seen] == [True] * 5
        pid = change.invoke(folder).result(60)
        change.invoke(own_descriptors).result(60)
        assert change.invoke(folder).result(60) != pid
