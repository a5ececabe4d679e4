"""What `map_invoke` does with its items.

::

    list ──► large arguments that come again: put once ──► packed ──► submitted at once
    iterator ──► the first `DRAWN_AT_FIRST` ─────────────► packed ──► submitted at once
                 the others, as handles of earlier ones are consumed by `as_completed`
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from pymonik.code import codec, sharing
from pymonik.content.sealing import one_moment
from pymonik.errors import ArgumentsError, UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.handles.stored_argument import StoredArgument
from pymonik.runs import held
from pymonik.seeds import Seed
from pymonik.session.again import note_dependants
from pymonik.session.bulk import no_collections
from pymonik.tasks.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.cache.finding import Finding
    from pymonik.code.codec import Packed
    from pymonik.code.pickler import Place
    from pymonik.session.protocol import Session, Submission
    from pymonik.session.result import ResultState
    from pymonik.tasks.arguments import Parameters
    from pymonik.tasks.resumed import Batch

    Pack = Callable[..., Packed]

R = TypeVar("R")

DRAWN_AT_FIRST = 20_000  # calls of an iterator; a longer one is drawn as results are consumed
_DRAWN_TOGETHER = 4096  # calls that are drawn and submitted at a time after that
_SHARED_FROM = 16 * 1024  # bytes from which an argument of several calls is stored once
_refs_of = attrgetter("refs")  # in C: it is asked of each call of a map
_SMALL = frozenset({int, float, bool, type(None), complex})  # types that are never worth sharing


class Items:
    """The items of one `map_invoke`, to be packed in order.

    Args:
        iterable: The items.
        name: Of the function.
        parameters: Of the function.
        common: Keyword arguments of each call.
        seed: Of the random numbers of all calls.
        finding: Digests arguments, where values of earlier calls are looked for.
        pack: Packs the arguments of one.
        batch: Saves files of the calls, and knows which need not run again.
    """

    def __init__(
        self,
        iterable: object,
        name: str,
        parameters: Parameters,
        common: dict[str, object],
        seed: int | None = None,
        finding: Finding | None = None,
        pack: Pack = codec.pack_call,
        batch: Batch | None = None,
    ) -> None:
        self.batch = batch
        self._seed = seed
        self._finding = finding
        self._pack = pack
        self._name = name
        self._parameters = parameters
        self._common = common
        if not isinstance(iterable, Iterable):
            kind = type(iterable).__name__
            raise ArgumentsError(
                f"{name}.map_invoke() takes an iterable of arguments, not a {kind}"
            )
        self._iterable = iterable
        self.is_drawn = isinstance(iterable, Iterator)

    def packed(
        self, share: Callable[[list[object]], dict[int, Place]] | None = None
    ) -> Iterator[Packed]:
        """The calls, one by one.

        Args:
            share: Puts values that come again, and tells where, by address; small ones it leaves.

        Raises:
            UsageError: The message has the index of the item.
        """
        __tracebackhide__ = True
        common, parameters, seed = self._common, self._parameters, self._seed
        finding, batch = self._finding, self.batch
        shared: dict[int, Place] = {}
        is_pickled = self._pack is codec.pack_call
        if share is not None and is_pickled and (values := self._repeated()):
            shared = share(values)
        for index, item in enumerate(self._iterable):
            try:
                args, kwargs = parameters.of_item(item, common)
                parameters.check(self._name, args, kwargs)
                own_seed = None if seed is None else Seed(seed, index)
                packed = self._pack(args, kwargs, shared, own_seed)
                if finding is not None:
                    packed = finding.packed(packed, args, kwargs, own_seed)
                if batch is not None:
                    packed = batch.packed(packed, args, kwargs, own_seed)
            except UsageError as error:
                hint = parameters.hint(item) if isinstance(error, ArgumentsError) else ""
                raise type(error)(f"item {index}: {error}{hint}") from error.__cause__
            yield packed

    def _repeated(self) -> list[object]:
        """Values that more than one call has as an argument.

        Only a list has the same values whenever one looks: an iterator may give an array again
        that it has changed.
        """
        found = {id(value): value for value in self._common.values()}
        if isinstance(self._iterable, list | tuple):
            seen: set[int] = set()
            for value in self._arguments_in(self._iterable):
                # By identity: the list keeps its items, so no address is used twice meanwhile.
                if id(value) in seen:
                    found[id(value)] = value
                seen.add(id(value))
        return [value for value in found.values() if _may_be_large(value)]

    def _arguments_in(self, items: Sequence[Any]) -> Iterator[object]:
        for item in items:
            kind = type(item)
            if kind in _SMALL or (kind is tuple and _SMALL.issuperset(map(type, item))):
                continue  # as in most maps: nothing of it can be worth sharing
            with suppress(UsageError):  # the error is raised for its call
                args, kwargs = self._parameters.of_item(item, {})
                yield from args
                yield from kwargs.values()


def map_items(
    items: Items, session: Session, submission: Submission, most: int | None = None
) -> MultiResultHandle[Any]:
    """Submit all calls, or the first ones of an iterator that does not end soon.

    Args:
        items: Of the map.
        session: Where they are submitted.
        submission: Of all of them.
        most: Calls that may be under way; others follow as these end.
    """
    __tracebackhide__ = True

    def share(values: list[object]) -> dict[int, Place]:
        name = f"{submission.function.name} argument"
        return _put_large(values, session, name, with_inner=not items.is_drawn)

    if most is not None:
        return _bounded(items, items.packed(share), session, submission, most)
    drawing = Drawing(items.packed(share), session, submission, items.batch)
    if not items.is_drawn:
        with no_collections():
            return _held(MultiResultHandle(drawing.draw_first(None)))
    handles = drawing.draw_first(DRAWN_AT_FIRST)
    if drawing.is_exhausted:
        return _held(MultiResultHandle(handles))
    session.before_end(drawing)
    return _held(MultiResultHandle(handles, more=drawing))


def _bounded(
    items: Items, calls: Iterator[Packed], session: Session, submission: Submission, most: int
) -> MultiResultHandle[Any]:
    from pymonik.tasks.bounded import BoundedDrawing  # few maps are bounded

    __tracebackhide__ = True
    drawing = BoundedDrawing(calls, session, submission, items.batch, most)
    handles = drawing.begin()
    if drawing.is_exhausted:
        return _held(MultiResultHandle(handles))
    session.before_end(drawing)
    return _held(MultiResultHandle(handles, more=drawing))


def _held(handles: MultiResultHandle[Any]) -> MultiResultHandle[Any]:
    """What the program gets; a page that shows what it does finds it as long as it is kept."""
    held.add(handles)
    return handles


class Drawing:
    """Submits calls piece by piece; thread-safe, and safe to be interrupted anywhere."""

    def __init__(
        self,
        calls: Iterator[Packed],
        session: Session,
        submission: Submission,
        batch: Batch | None = None,
    ) -> None:
        self._batch = batch
        self._calls = calls
        self._session = session
        self._submission = submission
        # Reentrant: a signal handler may ask for the map whose drawing it has interrupted.
        self._lock = threading.RLock()
        self._is_drawing = False
        self._is_over = False  # nothing more is drawn
        self._ready: list[ResultHandle[Any]] = []  # drawn, and not taken
        self._error: BaseException | None = None

    @property
    def is_exhausted(self) -> bool:
        """Whether there are no more handles to take."""
        return self._is_over and not self._ready

    def draw_first(self, count: int | None) -> list[ResultHandle[Any]]:
        """The handles of the first ``count`` calls, or of all; of fewer if there are no more.

        Raises:
            Exception: What an item, or the iterator, raised; nothing is submitted then.
        """
        __tracebackhide__ = True
        with one_moment():
            calls = list(islice(self._calls, count))
        self._is_over = count is None or len(calls) < count
        return self._submit(calls)

    def draw(self) -> list[ResultHandle[Any]]:
        """The handles of some more calls; those before an error, which `raise_error` raises."""
        if not self._ready:
            self._draw()
        handles: list[ResultHandle[Any]] = []
        self.take(handles)
        return handles

    def draw_all(self) -> None:
        """Submit all calls that are left; those before an error, as in `draw`.

        Whoever ends a session draws all: the handles wait for whoever has the map.
        """
        while not self._is_over:
            self._draw()

    def take(self, into: list[ResultHandle[Any]]) -> None:
        """Append the handles that were drawn; each is taken once."""
        # CPython runs signal handlers at calls and jumps only: none comes between these lines.
        into += self._ready
        self._ready = []

    def raise_error(self) -> None:
        """Raise what ended the calls early, if something did."""
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """Submit no more."""
        self._is_over = True
        self._ready = []

    def _draw(self) -> None:
        with self._lock:
            if self._is_over:
                return
            if self._is_drawing:
                raise UsageError(
                    "the items of this map are being drawn by the very code that was interrupted "
                    "to ask for it, or that draws them: ask later"
                )
            self._is_drawing = True
            try:
                self._draw_some()
            except BaseException as error:  # an interrupt, or nothing is submitted any more
                self._error = error if isinstance(error, Exception) else _interrupted(error)
                self._is_over = True  # calls that were drawn are lost
                raise
            finally:
                self._is_drawing = False

    def _draw_some(self) -> None:
        calls: list[Packed] = []
        try:
            with one_moment():
                calls.extend(islice(self._calls, _DRAWN_TOGETHER))
        except Exception as error:  # noqa: BLE001 - of the user's iterator, or of an item
            self._error = error
        self._ready += self._submit(calls)
        self._is_over = self._is_over or len(calls) < _DRAWN_TOGETHER

    def _submit(self, calls: Sequence[Packed]) -> list[ResultHandle[Any]]:
        if not calls:
            return []
        if self._batch is not None:
            handles = self._batch.submit(self._submission, calls, self._states)
        else:
            handles = [ResultHandle(state) for state in self._states(calls)]
        if any(map(_refs_of, calls)):
            note_dependants(handles, calls)
        return handles

    def _states(self, calls: Sequence[Packed]) -> list[ResultState]:
        return self._session.submit(self._submission.of(calls))


def _interrupted(error: BaseException) -> UsageError:
    """What whoever has the map is told from now on."""
    interrupted = UsageError(
        f"drawing the items of this map was interrupted by {type(error).__name__}: those that "
        "follow were not submitted, and a generator cannot go on; call map_invoke again"
    )
    interrupted.__cause__ = error
    return interrupted


def bound_items(
    iterable: Iterable[object], instance: object, parameters: Parameters, common: dict[str, object]
) -> Iterable[Arguments]:
    """Items for a function whose first argument is ``instance``."""
    items = _bound(iterable, instance, parameters, common)
    return items if isinstance(iterable, Iterator) else list(items)


def _bound(
    iterable: Iterable[object], instance: object, parameters: Parameters, common: dict[str, object]
) -> Iterator[Arguments]:
    for index, item in enumerate(iterable):
        try:
            args, kwargs = parameters.of_item(item, common)
        except UsageError as error:
            raise type(error)(f"item {index}: {error}") from error
        yield Arguments((instance, *args), kwargs)


# -- what comes again ----------------------------------------------------------------------------


def _may_be_large(value: object) -> bool:
    if isinstance(value, str | bytes):
        return len(value) >= _SHARED_FROM
    return type(value) not in _SMALL


def _put_large(
    values: list[object], session: Session, name: str, *, with_inner: bool
) -> dict[int, Place]:
    """Where those are that are large."""
    parts = sharing.parts_of(values, with_inner=with_inner)
    if not parts:
        return {}
    states = session.put([part.packed for part in parts], [name] * len(parts))
    return {
        address: place
        for part, state in zip(parts, states, strict=True)
        for address, place in part.places(StoredArgument(state))
    }
