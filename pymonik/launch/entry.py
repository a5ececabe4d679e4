"""The first file of every process that pymonik starts: run by its path, before the package.

::

    python .../pymonik/launch/entry.py CONTROL FOLDER LAST MODULE ARGUMENT ...

CONTROL is the number of the socket to the owner, for a process with a supervisor; FOLDER the
current folder; LAST are folders for `sys.path`, as in ``PYTHONPATH``. Without a MODULE the
arguments are a command. An empty argument stands for none. `pymonik.launch.python` writes all this.

A script that is run by its path leaves the current folder out of `sys.path`, on every Python. The
interpreter starts without ``PYTHONPATH``, so that no ``sitecustomize`` and no module of another
interpreter is met; the variable is put back here, for what the program starts in turn.

Nothing of pymonik is imported before a supervisor has forked: it needs none of it.
"""

import gc
import os
import signal
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib takes 3 ms
ROOT = os.path.dirname(os.path.dirname(HERE))  # noqa: PTH120 - where the package lies
MARK = "PYMONIK_LAUNCH"  # set while a Python of ours starts; see `pymonik.launch.python`
OPEN_FILES = "PYMONIK_OPEN_FILES"  # the soft limit to set, where the owner has raised its own
ASIDE = f"{MARK}_"  # before the names of variables that the interpreter must not see
# Modules that are loaded without a look for garbage, of which loading makes none: the looks take a
# twelfth of a start. They enable it again once they are loaded.
ENABLE_COLLECTION = ("pymonik.cluster", "pymonik.executor")
# Python ignores them, and raises an exception instead.
OF_PYTHON = {
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name)
}


def main() -> None:
    """Become what the arguments say."""
    control, folder, last, module, *arguments = sys.argv[1:]
    _isolate()
    _lower_limit()
    _reset_signals()
    if control:
        _sibling("supervisor").supervise(int(control))
    if folder:
        _enter(folder)
    if not module:
        _become(arguments)
    _extend_path(_entries(last))
    sys.argv[1:] = arguments
    if module in ENABLE_COLLECTION:
        gc.disable()
    import runpy

    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _enter(folder: str) -> None:
    """Make it the current folder; one that was removed is no reason not to start."""
    try:
        os.chdir(folder)
    except OSError:
        return


def _entries(text: str) -> list[str]:
    return text.split(os.pathsep) if text else []


def _isolate() -> None:
    """Forget the folder of this file, and put the variables back that were set aside."""
    if sys.path and os.path.abspath(sys.path[0]) == HERE:  # noqa: PTH100 - not with PYTHONSAFEPATH
        del sys.path[0]
    os.environ.pop(MARK, None)
    for name in [name for name in os.environ if name.startswith(ASIDE)]:
        os.environ[name[len(ASIDE) :]] = os.environ.pop(name)


def _lower_limit() -> None:
    """Have as few files open at most as the program that started the owner; see `open_files`."""
    if soft := os.environ.pop(OPEN_FILES, ""):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), hard))


def _reset_signals() -> None:
    """Signals do what they do in a terminal, whatever the program does with its own.

    A program that ignores or blocks a signal hands that on to all that it starts.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in OF_PYTHON:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _sibling(name: str) -> Any:
    """A module of this folder, by its path."""
    from importlib.machinery import SourceFileLoader

    loader = SourceFileLoader(f"pymonik.launch.{name}", os.path.join(HERE, f"{name}.py"))  # noqa: PTH118
    module = type(sys)(loader.name)
    module.__file__ = loader.path
    loader.exec_module(module)
    return module


def _extend_path(last: list[str]) -> None:
    """Add folders behind what is installed.

    The package is found where this file lies, not where another copy of it is installed.
    """
    places = [i for i, entry in enumerate(sys.path) if _is_of_packages(entry)]
    start = places[0] if places else len(sys.path)
    if ROOT not in sys.path:
        sys.path.insert(start, ROOT)
    sys.path += [entry for entry in last if entry not in sys.path]


def _is_of_packages(entry: str) -> bool:
    return os.path.basename(entry.rstrip(os.sep)) in ("site-packages", "dist-packages")  # noqa: PTH119


def _become(command: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in OF_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot start {command[0]!r}: {error}")


if __name__ == "__main__":
    main()
