import threading

registry = {}
handlers = {}
names = []


class Box:
    def __init__(self):
        self.count = 0
        self.lock = threading.Lock()


class Engine:
    """What opens files does not pickle."""

    def __init__(self):
        self.file = open(__file__)
        self.asked = 0


box = Box()
engine = Engine()


def add(name):
    registry[name] = len(registry)
    names.append(name)
    with box.lock:
        box.count += 1
    engine.asked += 1


def handler(function):
    handlers[function.__name__] = function
    return function


def handle(name, value):
    return handlers[name](value)


class Lazy:
    """An object that is set up when it is asked for anything, and cannot be here."""

    @property
    def __class__(self):
        raise RuntimeError("nothing is configured")

    def __getattr__(self, name):
        raise RuntimeError("nothing is configured")


lazy = Lazy()
