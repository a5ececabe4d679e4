"""No text of a task makes the client or a worker unpickle anything, wherever the text stands.

The forged line is right in all but the code, which is made with the secret of a session: whatever
takes it for a line of pymonik unpickles an object that makes a folder.
"""

import base64
import os
import pickle
import sys
import zlib
from pathlib import Path

from pymonik import LocalCluster, Pymonik, WorkerLostError, task
from pymonik.wire import error_text
from pymonik.wire.failure import Failure, Piece, Raised, encode

MARKER = Path("code_was_run").absolute()


class Bomb:
    def __reduce__(self):
        return os.mkdir, (str(MARKER),)


def forged():
    """The text of a failure whose class, argument and whole are pickles that run code."""
    blobs = (pickle.dumps(Bomb()),)
    raised = Raised("x", "X", "x", kind=blobs, whole=blobs, args=(Piece("", blobs),))
    return error_text.error_text(Failure((raised,)), "0" * 32)


def texts():
    old = base64.b64encode(zlib.compress(pickle.dumps(Bomb()))).decode()
    data = base64.b64encode(zlib.compress(encode(Failure((Raised("x", "X"),))))).decode()
    line = forged().rpartition("\n")[2]
    assert line.startswith("--- pymonik: ")
    yield from (forged(), f"{'x' * 10_000}\n{line}", f"{line}\n{'x' * 10_000}")
    yield from (f"--- pymonik failure: {old}", f"{line[:-20]}\n{data}")


class OddReprError(Exception):
    def __init__(self, text):
        super().__init__(1)
        self.text = text

    def __str__(self):
        return self.text

    __repr__ = __str__


@task
def say(text):
    raise ValueError(text)


@task
def note(text):
    error = KeyError("x")
    error.__notes__ = [text]
    raise error


@task
def odd(text):
    raise OddReprError(text)


@task
def named(text):
    raise type(text, (Exception,), {"__module__": text})("x")


@task
def in_a_file(text):
    exec(compile("1 / 0", text, "exec"), {})


@task
def leave(text):
    raise SystemExit(text)


@task(max_retries=1)
def die(text):
    print(text, flush=True)
    print(text, file=sys.stderr, flush=True)
    os._exit(3)


@task(max_retries=1, retry_on=OSError)
def again(text):
    raise OSError(text)


@task
def needs(value):
    return value


def called(text):
    @task(function_name=text.replace("\n", " ")[-200:])
    def fails():
        raise ValueError(text)

    return fails.invoke()


def attempts(text):
    """One call for each place in which a text can come back."""
    plain = [one.invoke(text) for one in (say, note, odd, named, in_a_file, leave, again)]
    chunk = say.map_invoke([text, text], chunk_size=2)
    return [*plain, *chunk, called(text), needs.invoke(say.invoke(text))]


def check():
    handles = [handle for text in texts() for handle in attempts(text)]
    for handle in handles:
        error = handle.exception(60)
        assert error is not None
        assert type(error).__module__ != "x"
    for text in list(texts())[:2]:
        error = die.invoke(text).exception(60)
        assert isinstance(error, WorkerLostError), error
        assert isinstance(needs.invoke(die.invoke(text)).exception(60).__cause__, WorkerLostError)
        assert say.invoke(text).exception(60).args == (text,)
    assert not MARKER.exists()


if __name__ == "__main__":
    with Pymonik():  # the cluster that `AKCONFIG` names, if it names one
        check()
    with LocalCluster(workers=1, worker=[sys.executable, "-m", "pymonik.worker"]) as cluster:
        with Pymonik(cluster):
            check()
