"""`OutputState`: one of several outputs of a call, as a state beside that of the call.

::

    machine ──► state of the call ──► observers: whoever waits for the call
                     └──► OutputState ──► observers: whoever waits for that output

The call ends once, so the machine knows one state only. The output has no ending of its own; it
differs in where its value stands, which is what references in payloads say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.session.again import Reference
from pymonik.session.result import ResultState
from pymonik.wire.call import ResultRef

if TYPE_CHECKING:
    from pymonik.code.references import Referable
    from pymonik.session.result import Observer


class OutputState(ResultState):
    """Says of everything what the state of the call says, but for its place and its observers.

    Args:
        of: The handle of the call: it points to another state when the call is run again.
        output: The name.
    """

    # The slots of the base stay empty: see `__getattr__`.
    __slots__ = ("_of", "observers", "output")

    def __init__(self, of: Referable, output: str) -> None:
        self._of = of
        self.output = output
        self.observers = ()

    def __getattr__(self, name: str) -> Any:
        # Called for each slot of the base that was never set, so the state of the call answers.
        return getattr(self._of._state, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in OutputState.__slots__:
            setattr(self.whole, name, value)
            return
        object.__setattr__(self, name, value)
        if name == "observers" and value and self not in self.whole.observers:
            # The thread of the session sets both, so no end comes between the two.
            self.whole.observers = (*self.whole.observers, self)

    @property
    def whole(self) -> ResultState:
        """The state of the call."""
        return self._of._state

    @property
    def place(self) -> ResultRef:
        """Where the value stands, or will."""
        place = self.whole.place
        return ResultRef(place.result_id, place.item, self.output)

    @property
    def is_moved(self) -> bool:
        """Whether its task has said that the value stands in another result."""
        return self.whole.is_moved

    def move(self, place: ResultRef) -> None:
        """Forward to the state of the call."""
        self.whole.move(place)

    def complete(self, now: float | None = None) -> None:
        """Forward to the state of the call."""
        self.whole.complete(now)

    def fail(self, error: BaseException) -> None:
        """Forward to the state of the call."""
        self.whole.fail(error)

    # -- as an observer of the call ------------------------------------------------------------

    def ended(self, state: ResultState) -> None:
        """The call has ended, and with it this output."""
        del state
        observers: tuple[Observer, ...] = self.observers
        self.observers = ()
        for observer in observers:
            observer.ended(self)

    def unanswered(self, error: BaseException) -> None:
        """The control plane has not answered for long; see `Observer`."""
        for observer in self.observers:
            observer.unanswered(error)


def output_of(state: ResultState, output: str) -> ResultState:
    """The state of one output of a call, or that of the call where ``output`` is ``""``."""
    return OutputState(Reference(state), output) if output else state
