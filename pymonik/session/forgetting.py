"""When nothing refers to a session any more, or to one of its results: nobody can ask for it.

Handles refer to the session that they belong to, as does whoever submits to it. What is written
into a pickle refers to it too, and cannot be seen: such a session is kept, with all of its results.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session.protocol import Session

# The finalizer of each session that is to be deleted; `None` for sessions that are kept whatever
# happens.
_ends: weakref.WeakKeyDictionary[Session, weakref.finalize[..., Session] | None]
_ends = weakref.WeakKeyDictionary()
_keeping: weakref.WeakSet[Session] = weakref.WeakSet()  # sessions whose results are kept


class Hold:
    """The data of a result, for as long as somebody in this process may ask for them.

    All states whose values stand in the result share it.

    Args:
        result_id: Of the result.
        forgotten: Gets the id once the last of them is gone. The garbage collector calls it, at any
            moment and in any thread: it must take no lock.
    """

    __slots__ = ("_forgotten", "_result_id")

    def __init__(self, result_id: str, forgotten: Callable[[str], object]) -> None:
        self._result_id = result_id
        self._forgotten = forgotten

    def __del__(self) -> None:
        self._forgotten(self._result_id)


def when_forgotten(session: Session, callback: Callable[..., object], *arguments: object) -> None:
    """Call ``callback`` once nothing in this process refers to ``session``, unless it is kept.

    The garbage collector calls it, at any moment and in any thread: it must take no lock.
    """
    if session not in _ends:
        end = weakref.finalize(session, callback, *arguments)
        end.atexit = False
        _ends[session] = end


def keep(session: Session) -> None:
    """Somebody who is not seen here may ask for results of ``session`` later."""
    end = _ends.get(session)
    if end is not None:
        end.detach()
    _ends[session] = None
    keep_results(session)


def is_kept(session: Session) -> bool:
    """Whether somebody who is not seen here may ask for results after this program."""
    return session in _ends and _ends[session] is None


def keep_results(session: Session) -> None:
    """Somebody who is not seen here may ask for results of ``session`` until it is forgotten."""
    _keeping.add(session)


def keeps_results(session: Session) -> bool:
    """Whether somebody may who is not seen here."""
    return session in _keeping
