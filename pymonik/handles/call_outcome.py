"""`Outcome`: how a call has ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R_co]):
    """How a call has ended: what `ResultHandle.outcome` gives, which raises nothing of the call.

    Attributes:
        status: ``"ok"``, ``"failed"`` or ``"cancelled"``.
        value: What it gave; ``None`` if it gave nothing.
        error: What `ResultHandle.get` would raise; ``None`` if it ended well.
    """

    status: str
    value: R_co | None = None
    error: BaseException | None = None

    @property
    def is_ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def unwrap(self) -> R_co:
        """The value.

        Raises:
            BaseException: The error, if there is no value.
        """
        if self.error is not None:
            raise self.error
        return cast("R_co", self.value)


def outcome_of(handle: Any, timeout: float | None) -> Outcome[Any]:
    """The outcome of a call; waits for its end."""
    error = handle.exception(timeout)
    if error is not None:
        return Outcome(handle.status, error=error)
    return Outcome(handle.status, value=handle.result())
