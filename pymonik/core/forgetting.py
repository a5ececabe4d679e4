"""When nothing refers to a session any more, so that nobody can ask for its results.

Handles refer to the session that they belong to, as does whoever submits to it. What is written
into a pickle refers to it too, and cannot be seen: such a session is kept.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.core.session import Session

# By session; `None` for those that are kept whatever happens.
_ends: weakref.WeakKeyDictionary[Session, weakref.finalize[..., Session] | None]
_ends = weakref.WeakKeyDictionary()


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
