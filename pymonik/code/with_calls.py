"""What of the program goes with calls; `pymonik.code.program` finds it.

Executors submit too, and have no program to look through: what looks is not imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pymonik.code.bundle import Bundle


class Code(msgspec.Struct, frozen=True):
    """The program as calls need it that are submitted now.

    Attributes:
        bundle: Its files; ``None`` where the calls need none.
        settings: Variables that it has set in its modules, pickled; empty where there are none.
    """

    bundle: Bundle | None = None
    settings: bytes = b""


NO_CODE: Final = Code()
