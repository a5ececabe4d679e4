"""What an executor puts back after a task; in a process of its own, which it may change."""

from __future__ import annotations

import subprocess
import sys

_START = """
import os, sys
from pymonik.executor.surroundings import Surroundings
around = Surroundings([os.open(os.devnull, os.O_RDONLY)])
around.handlers.learn()
"""


def _printed(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _START + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_limits_are_looked_at_only_after_a_call_that_could_change_them() -> None:
    assert _printed("around.put_back(); print('resource' in sys.modules)") == "False"


def test_a_limit_that_a_call_has_changed_is_put_back() -> None:
    code = """
import resource
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
print(repr(around.put_back()), resource.getrlimit(resource.RLIMIT_NOFILE) == before)
"""
    assert _printed(code) == "'' True"


def test_a_redirected_standard_output_is_put_back() -> None:
    code = """
before = os.fstat(1).st_ino
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
print(repr(around.put_back()), os.fstat(1).st_ino == before)
"""
    assert _printed(code) == "'' True"


def test_a_descriptor_of_the_executor_that_was_replaced_is_noticed() -> None:
    code = """
own = os.open(os.devnull, os.O_RDONLY)
around = Surroundings([own])
os.dup2(os.open(os.devnull, os.O_WRONLY), own)
print(around.put_back())
"""
    assert _printed(code) == "descriptors of the executor were closed or replaced"


def test_a_standard_stream_that_stands_for_another_is_put_back() -> None:
    code = """
before = [os.fstat(fd).st_ino for fd in (0, 1, 2)]
os.dup2(2, 1)
os.dup2(0, 2)
around.put_back()
print([os.fstat(fd).st_ino for fd in (0, 1, 2)] == before)
"""
    assert _printed(code) == "True"


def test_handlers_are_put_back_however_they_were_set() -> None:
    code = """
import signal, _signal
before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
around.put_back()
_signal.signal(signal.SIGUSR1, lambda *_: None)
around.put_back()
print((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before)
"""
    assert _printed(code) == "True"


def test_what_stands_in_the_place_of_a_module_or_a_built_in_name_goes() -> None:
    code = """
import builtins, json
around.put_back()
sys.modules["json"], builtins.len = object(), None
around.put_back()
print(sys.modules["json"] is json, len("ab"))
"""
    assert _printed(code) == "True 2"


def test_variables_are_put_back_however_they_were_changed() -> None:
    code = """
os.environ["PATH"], os.environ["NEW"] = "elsewhere", "1"
around.put_back_little(are_there=True)
print(os.environ["PATH"] != "elsewhere", os.getenv("NEW"))
os.environb.pop(b"PATH")
around.put_back_little(are_there=True)
os.environ.update(OTHER="2")
around.put_back_little(are_there=True)
print("PATH" in os.environ, "OTHER" in os.environ)
"""
    assert _printed(code) == "True None\nTrue False"
