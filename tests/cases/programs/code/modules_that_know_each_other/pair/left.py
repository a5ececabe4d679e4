import threading

import pair

_lock = threading.Lock()


class Left:
    def other(self):
        with _lock:
            return pair.right.Right()
