"""Values that are stored once for many calls, for whoever has a session and no client."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pymonik.code import codec
from pymonik.handles.result_handle import ResultHandle
from pymonik.session.current import session_of

if TYPE_CHECKING:
    from pymonik.session.protocol import Session, SessionOwner

T = TypeVar("T")


def stored(value: T, where: Session | SessionOwner) -> ResultHandle[T]:
    """A handle for ``value``, which is stored when this returns."""
    state = session_of(where).put([codec.pack(value, copy=False)], ["argument"])[0]
    return ResultHandle(state)
