"""Objects of code that are one thing wherever they arrive: classes, type and context variables.

The process that made such an object gives it an id; every other process makes the object once for
that id. The id therefore also says whether a process defined an object itself, and a process never
changes what it defined.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.wire.definitions import Definition

# Objects that have arrived and stay although nothing refers to them between two calls: a class that
# is made anew for each call would lose what tasks keep on it.
_KEPT: Final = 512
_lock = threading.RLock()
# A getter of the object, and its id, by the object's address; `id_of` checks that it is that object
# still.
_ids: dict[int, tuple[Callable[[], Any], str]] = {}
_objects: dict[str, Callable[[], Any]] = {}  # by id
_arrived: dict[str, Definition] = {}  # of the objects that another process defined
_kept: OrderedDict[str, object] = OrderedDict()


def id_of(obj: object) -> str:
    """The id of ``obj``; one that has none yet was defined by this process."""
    known = _ids.get(id(obj))
    if known is not None and known[0]() is obj:
        return known[1]
    uid = uuid.uuid4().hex
    remember(uid, obj)
    return uid


def remember(uid: str, obj: object) -> None:
    """Let ``obj`` be the one with this id."""
    address = id(obj)

    def forget(_: object = None) -> None:
        if address in _ids and _ids[address][1] == uid:
            del _ids[address]
        _objects.pop(uid, None)
        _arrived.pop(uid, None)

    try:
        get: Callable[[], Any] = weakref.ref(obj, forget)
    except TypeError:  # a ContextVar, for example: a few, which stay for the life of the process

        def get() -> object:
            return obj

    _ids[address] = (get, uid)
    _objects[uid] = get


def adopt(uid: str, obj: object) -> None:
    """Let an id that another process gave stand for ``obj``, which this process defined."""
    if uid not in _objects:
        _objects[uid] = weakref.ref(obj, lambda _: _objects.pop(uid, None))


def find(uid: str) -> Any:
    """The object with this id, or ``None``."""
    get = _objects.get(uid)
    return None if get is None else get()


def is_own(uid: str) -> bool:
    """Whether this process defined the object with this id."""
    return uid in _objects and uid not in _arrived


def note_arrival(uid: str, definition: Definition) -> None:
    """Remember what the object with this id was made of, and keep it for the calls to come."""
    with _lock:
        _arrived[uid] = definition
        _kept[uid] = find(uid)
        _kept.move_to_end(uid)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)


def arrival(uid: str) -> Definition | None:
    """What the object was made of, if another process defined it."""
    return _arrived.get(uid)
