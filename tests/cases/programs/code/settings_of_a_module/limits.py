RATE = 1
NAMES = ["first"]
SEEN = []
_started = None


def start():
    global _started
    _started = object()
