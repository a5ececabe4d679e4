"""What stands for a result in arguments: the pickler writes a reference in its place.

The same for files: a pickle has their numbers, their bytes travel beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.result import ResultState
    from pymonik.wire.call import FileRef
    from pymonik.wire.command_lines import Ran


class Referable:
    """Base of a handle; two that share a state are the same reference.

    Attributes:
        is_kept_by_calls: It stands for a value that the program gave, not for a handle: calls that
            have it as an argument keep it.
    """

    __slots__ = ()

    is_kept_by_calls: ClassVar[bool] = False
    _state: ResultState


class Known(Referable):
    """Base of a handle whose value is here and in no result: it travels as that value."""

    __slots__ = ()

    def known_value(self) -> object:
        """The value."""
        raise NotImplementedError


class ReferableGroup:
    """Base of a sequence of `Referable`; it arrives in the task as a list of their values."""

    __slots__ = ()

    def _members(self) -> Sequence[Referable]:
        raise NotImplementedError


class Sealed:
    """A file as it was when it was packed.

    Attributes:
        ref: Where its bytes are; without a result until a session has uploaded them.
        path: Where they lie on this machine, if they do.
        data: They themselves, where they are few.
        mark: Of the file when its digest was taken: another one means that it was changed since.
        owner: Held, so that what lies at ``path`` stays there.
    """

    __slots__ = ("data", "mark", "owner", "path", "ref")

    def __init__(
        self,
        ref: FileRef,
        *,
        path: str = "",
        data: bytes | None = None,
        mark: object = None,
        owner: object = None,
    ) -> None:
        self.ref = ref
        self.path = path
        self.data = data
        self.mark = mark
        self.owner = owner

    @property
    def is_uploaded(self) -> bool:
        """Whether nothing is left to be done: an empty file is nowhere."""
        return bool(self.ref.result_id) or not self.ref.size


class Enclosed:
    """Base of a file that travels beside the pickle in which it occurs."""

    __slots__ = ()

    def _seal(self) -> Sealed:
        """The file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        raise NotImplementedError


class Reader(Protocol):
    """Makes of values what is no pickle; another for clients than for tasks."""

    def file(self, ref: FileRef, data: Any) -> object:
        """A file of a value; ``data`` are its bytes where they came with it."""

    def completed(self, ran: Ran, files: dict[str, object]) -> object:
        """What a command gave."""


class Named:
    """Base of what a module may have in place of a function: it travels by that name."""

    def wrapped(self) -> object:
        """The function."""
        raise NotImplementedError

    def parts(self) -> tuple[object, ...]:
        """All that its pickle has, the function included."""
        raise NotImplementedError

    def essence(self) -> tuple[object, ...]:
        """What of it decides which value a call gives: neither its name nor its options."""
        raise NotImplementedError
