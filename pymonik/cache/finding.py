"""`Finding`: the cache as one `invoke` or `map_invoke` uses it."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.cache.entries import entries_of
from pymonik.cache.keys import arguments_key, environment_key, keys
from pymonik.cache.walk import CannotDigestError
from pymonik.errors import ControlPlaneError
from pymonik.session.cached import CachedCall
from pymonik.session.remote import RemoteSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.cache.entries import Entry
    from pymonik.code.codec import Packed
    from pymonik.code.references import Named
    from pymonik.code.with_calls import Code
    from pymonik.session.protocol import Submission

_log = logging.getLogger("pymonik")
_told: set[tuple[str, str]] = set()  # function and reason: each is told once


class Finding:
    """Finds the values of calls of one task.

    Args:
        task: The task.
        name: Of its function.
        session: Where the calls are submitted; only that of a client has a cache.
    """

    def __init__(self, task: Named, name: str, session: object) -> None:
        self._task = task
        self._name = name
        self._session = session if isinstance(session, RemoteSession) else None
        code = getattr(task.wrapped(), "__code__", None)
        # Only a function with ``**kwargs`` can see in which order keywords were given.
        self._sees_order = code is None or bool(code.co_flags & inspect.CO_VARKEYWORDS)

    def packed(
        self, call: Packed, args: tuple[Any, ...], kwargs: Mapping[str, Any], seed: object
    ) -> Packed:
        """The call, with the digest of its arguments; the same without one where there is none."""
        if self._session is None:
            return call
        # The value may hold one of these files, whose bytes may be deleted before it is.
        if call.files or getattr(self._task, "has_folder", False):
            self._tell("it has files")
            return call
        if not self._sees_order:
            # ``f(a=1, b=2)`` and ``f(b=2, a=1)`` are the same call then.
            kwargs = dict(sorted(kwargs.items()))
        try:
            key = arguments_key(args, kwargs, seed)
        except CannotDigestError as error:
            self._tell(f"of its arguments {error}")
            return call
        return msgspec.structs.replace(call, digest=key)

    def found(self, submission: Submission, code: Code) -> Sequence[CachedCall]:
        """One for each call; see `Finder`."""
        session = self._session
        if session is None:
            return ()
        try:
            starts = self._starts(submission, code, session)
        except CannotDigestError as error:
            self._tell(str(error))
            return [CachedCall(why=str(error))] * len(submission.calls)
        whole = [
            start + call.digest.decode() if call.digest else ""
            for start, call in zip(starts, submission.calls, strict=True)
        ]
        entries = self._look(session, starts, whole)
        observer = entries_of(session)
        return [self._one(key, entries.get(key), observer) for key in whole]

    def _one(self, key: str, entry: Entry | None, observer: Any) -> CachedCall:
        if not key:
            return CachedCall(why="its arguments cannot be compared with those of other calls")
        if entry is None:
            return CachedCall(key, observer=observer)
        return CachedCall(key, entry.place, entry.seconds)

    def _starts(self, submission: Submission, code: Code, session: RemoteSession) -> list[str]:
        """For each call, what its key starts with: it differs where arguments bring modules."""
        environment = environment_key(submission.options, session.environment)
        by_modules: dict[frozenset[str], str] = {}
        entries = entries_of(session)
        for call in submission.calls:
            if call.modules not in by_modules:
                key = keys.code(self._task, submission.function, call, code)
                entries.will_compute(key, self._name)
                by_modules[call.modules] = f"{key.digest}.{environment}."
        return [by_modules[call.modules] for call in submission.calls]

    def _look(
        self, session: RemoteSession, starts: Sequence[str], whole: Sequence[str]
    ) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        try:
            # Mostly one, so a map of any length is looked up with two lists.
            for start in dict.fromkeys(starts):
                some = [key for key in whole if key.startswith(start)]
                found |= entries_of(session).find(start, some)
        except ControlPlaneError as error:
            self._tell(f"earlier values cannot be looked for: {error}")
        return found

    def _tell(self, why: str) -> None:
        if (self._name, why) not in _told:
            _told.add((self._name, why))
            _log.warning("%s is computed without the cache: %s", self._name, why)
