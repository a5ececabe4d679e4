"""What an executor puts back after a task; in a process of its own, which it may change."""

from __future__ import annotations

import subprocess
import sys

_START = """
import os, sys
from pymonik.executor.surroundings import Surroundings
around = Surroundings([os.open(os.devnull, os.O_RDONLY)])
around.learn_handlers()
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
