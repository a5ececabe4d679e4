"""Keywords of `invoke` and `map_invoke` that are options and not arguments of the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pymonik.tasks.arguments import Parameters

# Keywords that need no prefix. An option that many functions have as a parameter does not belong
# here: it would mean the one thing for one function and the other for the next.
UNPREFIXED: Final = frozenset(
    {"cache", "label", "max_queued", "memory", "resume", "save_to", "seed"}
)


def with_prefix(keywords: dict[str, Any], parameters: Parameters) -> None:
    """Rename ``label`` to ``pmk_label`` and so on, unless the function takes that keyword.

    Args:
        keywords: Of a call; changed in place.
        parameters: Of the function.
    """
    for name in UNPREFIXED & keywords.keys():
        if not parameters.takes(name):
            keywords[f"pmk_{name}"] = keywords.pop(name)
