"""`Executor`: pymonik in the form of Python's own `concurrent.futures`."""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import math
import os
import sys
import threading
import time
import uuid
import weakref
from collections import deque
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pymonik.client.pymonik_client import Pymonik
from pymonik.cluster.local import LocalCluster
from pymonik.handles.call_future import CallFuture
from pymonik.neighbours.backlog import Backlog, Waiting, Window
from pymonik.neighbours.once import InitializerError, initialised
from pymonik.tasks.arguments import Arguments
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger(__name__)
# The words of Python's own executors, which programs and tests look for.
_SHUT = "cannot schedule new futures after shutdown"
_AT_EXIT = "cannot schedule new futures after interpreter shutdown"
_MOST_TASKS = 256  # functions of modules whose pickles an executor keeps; the first ones


class Executor(concurrent.futures.Executor):
    """Runs calls on a cluster, as `concurrent.futures.ProcessPoolExecutor` does on this machine.

    ::

        with Executor() as pool:
            print(list(pool.map(square, range(100))))

    Functions need no decorator, and may be tasks. Handles in the arguments arrive as their values.
    A future can also be cancelled while its call runs.

    On a cluster of this machine no more calls are sent than keep it busy, so that
    ``shutdown(cancel_futures=True)`` withdraws the others and lets those that run end. To a cluster
    elsewhere all calls are sent at once: there it cancels whatever has not ended.

    Args:
        where: A `Pymonik`, which stays open; a `LocalCluster` or an endpoint; or the number of
            workers, as Python's own executors take it first. Without it, what `Pymonik()` finds.
        max_workers: Workers of a cluster of its own on this machine; on a cluster that is given,
            the most calls that are under way at a time.
        initializer: Called once in each executor process before its first call. If it fails, all
            futures raise `BrokenExecutor`.
        initargs: Arguments of the initializer.
        options: Of the `Pymonik` that it opens, such as ``environment`` or ``partition``.
    """

    def __init__(
        self,
        where: Pymonik | LocalCluster | str | int | None = None,
        *,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        if isinstance(where, int):
            where, max_workers = None, where
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._place = _Place(where, max_workers, options)
        self._tasks = _Tasks(initializer, initargs)
        # Whoever drops the executor without `shutdown` still gets what was submitted.
        # At the end of the interpreter `_Unfinished` does it, before threads can no longer be
        # started.
        weakref.finalize(self, self._place.finish_later).atexit = False

    @property
    def _max_workers(self) -> int:
        """Under the name that other libraries read on Python's own executors."""
        return self._place.workers

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[R]:
        """Have ``fn(*args, **kwargs)`` run; gives its future at once.

        Raises:
            RuntimeError: The executor was shut down, or the interpreter ends.
            BrokenExecutor: The initializer failed.
        """
        call = self._call(fn, Arguments(args, kwargs))
        self._place.backlog().add([call])
        return call.future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """The values of ``fn`` for the items of the iterables, in order.

        Args:
            fn: Takes as many arguments as there are iterables.
            iterables: All are read at once, unless there is a ``buffersize``.
            timeout: Seconds from this call to the last value.
            chunksize: Calls that share a task and end together; with 1, short calls come to share
                tasks by themselves, and each ends alone.
            buffersize: Most calls whose values were not consumed; the iterables are read as values
                are.

        Raises:
            TimeoutError: From the iterator, when ``timeout`` seconds have passed.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        items: Iterator[tuple[Any, ...]] = zip(*iterables)  # noqa: B905 - as `map` does
        if chunksize == 1:
            return self._mapped(fn, items, buffersize, deadline)
        chunks = iter(lambda: tuple(itertools.islice(items, chunksize)), ())
        each: Callable[..., list[R]] = partial(_call_each, fn)
        lists = self._mapped(each, ((chunk,) for chunk in chunks), buffersize, deadline)
        return itertools.chain.from_iterable(lists)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Python has it
        """Take no more calls; see `concurrent.futures.Executor.shutdown`.

        Args:
            wait: Return when all calls have ended; otherwise they end while the program goes on.
            cancel_futures: Cancel calls that were not sent.
        """
        self._place.shut()
        if cancel_futures:
            self._place.withdraw()
        if wait:
            self._place.finish()
        else:
            self._place.finish_later()

    # -- inside --------------------------------------------------------------------------------

    def _call(self, fn: Callable[..., R], arguments: Arguments) -> Waiting:
        return Waiting(self._tasks.of(fn), arguments, CallFuture())

    def _mapped(
        self,
        fn: Callable[..., R],
        items: Iterator[tuple[Any, ...]],
        buffersize: int | None,
        deadline: float | None,
    ) -> Iterator[R]:
        """The values of all calls in order; the calls past ``buffersize`` are submitted later."""
        backlog = self._place.backlog()
        first = [
            self._call(fn, Arguments(item, {})) for item in itertools.islice(items, buffersize)
        ]
        backlog.add(first)
        executor = weakref.ref(self)  # the iterator does not keep it from being shut down

        def one_more() -> CallFuture[R] | None:
            owner, item = executor(), next(items, None)
            return None if owner is None or item is None else owner.submit(fn, *item)

        return _values(deque(call.future for call in first), one_more, deadline)


def _values(
    futures: deque[CallFuture[R]],
    one_more: Callable[[], CallFuture[R] | None],
    deadline: float | None,
) -> Iterator[R]:
    """The values in order; calls that were not sent are cancelled when the iteration is left."""
    try:
        while futures:
            # One is submitted for each value that is taken: as many are under way as ``buffersize``
            # allows.
            if (future := one_more()) is not None:
                futures.append(future)
            del future
            # The value must be referred to by nobody here once the caller has it.
            yield _value(futures.popleft(), deadline)
    finally:
        for future in futures:
            if not future.running():
                future.cancel()


def _value(future: CallFuture[R], deadline: float | None) -> R:
    try:
        return future.result(None if deadline is None else deadline - time.monotonic())
    finally:
        # A traceback would keep this frame, and with it the future.
        del future


def _call_each(fn: Callable[..., R], items: Iterable[tuple[Any, ...]]) -> list[R]:
    return [fn(*item) for item in items]


class _Tasks:
    """The tasks of the functions that an executor was given, so that each is pickled once.

    Those of modules are kept. Others are found again only as long as a call of them has not ended:
    the executor must not keep alive what a closure or a method refers to.
    """

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> None:
        self._before = None if initializer is None else (uuid.uuid4().hex, initializer, initargs)
        self._kept: dict[Callable[..., Any], Task[..., Any]] = {}
        # By the id of a function that the task itself keeps alive.
        self._in_use: weakref.WeakValueDictionary[int, Task[..., Any]]
        self._in_use = weakref.WeakValueDictionary()

    def of(self, fn: Callable[..., Any]) -> Task[..., Any]:
        """The task that runs ``fn``, after the initializer if there is one."""
        if (task := self._in_use.get(id(fn))) is not None:
            return task
        self._in_use[id(fn)] = task = self._new(fn)
        if _is_of_a_module(fn) and len(self._kept) < _MOST_TASKS:
            self._kept[fn] = task
        return task

    def _new(self, fn: Callable[..., Any]) -> Task[..., Any]:
        if self._before is None:
            return fn if isinstance(fn, Task) else Task(fn)
        name = str(getattr(fn, "__name__", type(fn).__name__))
        options = fn.options if isinstance(fn, Task) else None
        return Task(partial(initialised, *self._before, fn), func_name=name, task_options=options)


def _is_of_a_module(fn: Callable[..., Any]) -> bool:
    """Whether ``fn`` lives as long as its module does."""
    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    return module is not None and getattr(module, getattr(fn, "__name__", ""), None) is fn


# -- where calls go ------------------------------------------------------------------------------


class _Place:
    """Where the calls of one executor go: opened by the first call, closed after the last one.

    Attributes:
        workers: How many calls can run at a time there, as far as this machine knows.
    """

    def __init__(
        self,
        where: Pymonik | LocalCluster | str | None,
        max_workers: int | None,
        options: dict[str, Any],
    ) -> None:
        cluster = where.endpoint if isinstance(where, Pymonik) else where
        is_here = isinstance(cluster, LocalCluster) or (
            cluster is None and not os.environ.get("AKCONFIG")
        )
        self._cluster: LocalCluster | None = None  # of its own
        if is_here and where is None and max_workers is not None:
            self._cluster = cluster = LocalCluster(workers=max_workers)
        self._is_own = not isinstance(where, Pymonik)
        self._client = (
            where if isinstance(where, Pymonik) else Pymonik(self._cluster or where, **options)
        )
        here = cluster if isinstance(cluster, LocalCluster) else LocalCluster()
        self.workers = max_workers or sum(here.partitions.values())
        self._window = _window(is_here, self.workers, None if self._cluster else max_workers)
        self._lock = threading.RLock()
        self._backlog: Backlog | None = None
        self._is_shut = False

    def backlog(self) -> Backlog:
        """Where to add calls.

        Raises:
            RuntimeError: The executor was shut down.
            BrokenExecutor: The initializer failed.
        """
        with self._lock:
            if self._is_shut:
                raise RuntimeError(_AT_EXIT if _unfinished.has_ended else _SHUT)
            if self._backlog is None:
                self._backlog = self._open()
            if self._backlog.broken is not None:
                raise self._backlog.broken
            return self._backlog

    def _open(self) -> Backlog:
        _unfinished.add(self)
        if self._cluster is not None:
            self._cluster.start()
        return Backlog(self._client, self._window, _broken_by)

    def shut(self) -> None:
        """Take no more calls."""
        with self._lock:
            self._is_shut = True

    def withdraw(self) -> None:
        """Cancel the calls that were not sent."""
        if self._backlog is not None:
            self._backlog.withdraw()

    def finish(self) -> None:
        """Wait for all calls, then close what the executor opened."""
        self.shut()
        if self._backlog is not None:
            self._backlog.wait()
        self._close()

    def finish_later(self) -> None:
        """Like `finish`, without waiting; the calls still end."""
        self.shut()
        if self._backlog is not None:
            self._backlog.when_idle(self._close_elsewhere)

    def _close_elsewhere(self) -> None:
        """Close in a thread of its own: the session cannot end in the thread that ends handles."""
        try:
            threading.Thread(target=self._close, name="pymonik-executor-end").start()
        except RuntimeError:  # the interpreter ends and starts no threads
            self._close()

    def _close(self) -> None:
        with self._lock:
            _unfinished.discard(self)
            if self._is_own:
                self._client.close()
            if self._cluster is not None:
                self._cluster.stop()


def _window(is_here: bool, workers: int, most: int | None) -> Window:  # noqa: FBT001
    """How many calls may be under way: see `Executor`."""
    if most is not None:
        return Window(most, most)
    return Window(2 * workers) if is_here else Window(math.inf)


def _broken_by(error: BaseException | None) -> BrokenExecutor | None:
    if not isinstance(error, InitializerError):
        return None
    _log.critical("the initializer failed", exc_info=error)
    broken = BrokenExecutor(f"the initializer failed, so no call can run: {error}")
    broken.__cause__ = error
    return broken


class _Unfinished:
    """The places with calls, which the interpreter waits for before it ends.

    Attributes:
        has_ended: The interpreter ends.
    """

    def __init__(self) -> None:
        self._places: set[_Place] = set()
        self._is_registered = False
        self.has_ended = False

    def add(self, place: _Place) -> None:
        """The place has calls from now on.

        Raises:
            RuntimeError: The interpreter ends.
        """
        if not self._is_registered:
            self._is_registered = True
            # `atexit` would be too late: threads cannot be started any more by then. Python's own
            # executors wait here too.
            try:
                threading._register_atexit(self._end)  # type: ignore[attr-defined]
            except RuntimeError:  # from then on Python takes no such function any more
                self.has_ended = True
        if self.has_ended:
            raise RuntimeError(_AT_EXIT)
        self._places.add(place)

    def discard(self, place: _Place) -> None:
        self._places.discard(place)

    def _end(self) -> None:
        self.has_ended = True
        for place in list(self._places):
            place.finish()


_unfinished = _Unfinished()
