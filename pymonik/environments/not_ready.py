"""Why an environment is not there: what runs calls must know, without all that makes one."""

from __future__ import annotations


class NotReady(Exception):  # noqa: N818 - no error: it is being made
    """The environment is being made; the listener is told when it is settled.

    Attributes:
        packages_id: Of the environment.
    """

    def __init__(self, packages_id: str) -> None:
        super().__init__(packages_id)
        self.packages_id = packages_id


class Unwanted(Exception):  # noqa: N818 - no error: everybody has left
    """The installer was ended, as nobody waits any more for what it makes."""
