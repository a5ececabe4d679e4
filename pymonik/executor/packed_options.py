"""Options of tasks on their way to executors: packed once for all tasks that have the same.

Tasks of one request share their options, and most calls never look at them. To write and read them
for each run took a tenth of the time of a tiny call.
"""

from __future__ import annotations

import functools

import msgspec

from pymonik.options import TaskOptions

_KEPT = 64  # different options that are kept decoded: calls of several functions take turns

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TaskOptions).decode


def packed(options: TaskOptions) -> msgspec.Raw:
    """``options`` as a run has them."""
    return msgspec.Raw(_encode(options))


def unpacked(options: msgspec.Raw) -> TaskOptions:
    """The inverse of `packed`. The same object for all runs: give user code `copied`."""
    return _known(bytes(options))


def copied(options: TaskOptions) -> TaskOptions:
    """The options with labels of their own, which a call may change without others seeing it."""
    return msgspec.structs.replace(options, options=dict(options.options))


_known = functools.lru_cache(maxsize=_KEPT)(_decode)
