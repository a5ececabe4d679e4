"""Failures that nobody looked at: a program that ends well should say so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.session.result import ResultState

_log = logging.getLogger("pymonik")
_MOST_TEXT = 500  # characters of the first error that the warning shows


def tell_unseen(unseen: Mapping[str, Sequence[ResultState]], how: str) -> None:
    """Warn of the calls, once for each function, or raise the first error.

    Args:
        unseen: By the name of the function.
        how: As in ``Pymonik(on_unseen=...)``.
    """
    if how == "ignore":
        return
    for name, states in unseen.items():
        error = states[0].error
        if how == "raise" and error is not None:
            raise error
        _log.warning("%s", _line(name, states))


def _line(name: str, states: Sequence[ResultState]) -> str:
    first, error = states[0], states[0].error
    item = f" (item {first.index})" if first.index >= 0 else ""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - of the user's class
        text = type(error).__name__
    calls = "1 call" if len(states) == 1 else f"{len(states)} calls"
    return (
        f"{calls} of {name} failed, and nobody looked at the errors; the first{item}: "
        f"{text[:_MOST_TEXT]}"
    )
