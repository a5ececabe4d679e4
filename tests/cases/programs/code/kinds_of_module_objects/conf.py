import argparse
import collections
import dataclasses
import enum
import logging
import threading
import types


@dataclasses.dataclass
class Options:
    debug: bool = False
    names: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Size:
    width: int = 1


class Table(dict):
    tag = 0


class Restored:
    def __init__(self):
        self.value = 1
        self.lock = threading.Lock()

    def __getstate__(self):
        return {"value": self.value}

    def __setstate__(self, state):
        self.value = state["value"]
        self.lock = threading.Lock()


class Unset:
    """A lazy object that is not set up, and says so whatever it is asked."""

    def __getattribute__(self, name):
        raise RuntimeError(f"{name}: nothing is configured")


class Kind(enum.Enum):
    ONE = 1


options = Options()
size = Size()
space = types.SimpleNamespace(a=1)
arguments = argparse.Namespace(x=1)
log = logging.getLogger("conf.log")
lists = collections.defaultdict(list)
ordered = collections.OrderedDict(a=1)
last = collections.deque([1], maxlen=3)
counts = collections.Counter("aab")
table = Table(a=1)
restored = Restored()
unset = Unset()
kind = Kind.ONE
MISSING = object()
