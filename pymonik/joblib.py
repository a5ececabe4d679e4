"""pymonik as a backend of joblib, and so of scikit-learn's ``n_jobs``.

::

    import pymonik.joblib

    pymonik.joblib.register()
    with Pymonik(), joblib.parallel_config("pymonik"):
        joblib.Parallel()(joblib.delayed(square)(n) for n in range(200))
"""

from __future__ import annotations

import os
import time
import uuid
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import joblib
from joblib._parallel_backends import FallbackToBackend, SequentialBackend, ThreadingBackend
from joblib.parallel import ParallelBackendBase

from pymonik.client.pymonik_client import Pymonik
from pymonik.cluster.local import LocalCluster
from pymonik.context.task_context import in_task
from pymonik.neighbours.once import initialised
from pymonik.neighbours.storing import stored
from pymonik.session.current import active_session
from pymonik.tasks.decorator import task
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.handles.call_future import CallFuture
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.session.protocol import Session, SessionOwner

_BATCH_S = 0.1  # seconds of work in one task; several of them wait for each worker
_STORED_FROM = 1_000_000  # bytes of an argument, as joblib's own `max_nbytes`
_LIBRARIES = {"numpy", "pandas", "scipy", "polars", "pyarrow", "torch"}  # whose values are sized
_SMALL = frozenset({int, float, bool, str, type(None), complex})  # types that are never stored
_ELSEWHERE = 256  # workers that a cluster which is not on this machine is taken to have


def register(*, make_default: bool = False) -> None:
    """Make ``"pymonik"`` a backend that joblib knows.

    Args:
        make_default: Use it wherever the program names no other backend.
    """
    joblib.register_parallel_backend("pymonik", PymonikBackend, make_default=make_default)


@task(function_name="joblib")
def run_batch(batch: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    """The results of the calls of a batch, after the seconds that they took."""
    register()  # nested calls may name the backend
    begin = time.perf_counter()
    results = batch()
    return time.perf_counter() - begin, results


# joblib has no types.
class PymonikBackend(ParallelBackendBase):  # type: ignore[misc]
    """Runs batches of calls as tasks; nested calls use threads, as with joblib's own processes.

    Arrays and tables of a megabyte or more that come again are stored once; each call has its own
    view of them, which it may change.

    ``initializer`` and ``initargs`` are as joblib documents them: called once in each executor
    process.

    Args:
        client: Where to run; without it the current session, else a `Pymonik` of its own.
        workers: What ``n_jobs=-1`` means; without it, the number of workers of a cluster on this
            machine, and a number above those of most clusters elsewhere.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    supports_sharedmem = False
    uses_threads = False
    default_n_jobs = -1

    def __init__(
        self, client: Pymonik | None = None, workers: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._client = client
        self._workers = workers
        self._own: Pymonik | None = None
        self._where: Session | SessionOwner | None = None
        self._sizes = BatchSizes()
        self._stored = StoredArguments(self._session)
        self._under_way: weakref.WeakSet[CallFuture[Any]] = weakref.WeakSet()
        self._run: Task[..., tuple[float, list[Any]]] = run_batch

    def __reduce__(self) -> tuple[object, ...]:
        # In a task it is only named, by nested calls that then use another backend.
        return type(self), (None, self._workers)

    # -- what joblib asks for ------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls can run at a time."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(self._count_workers() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Prepare for a call of `joblib.Parallel`; gives the number of workers."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        # A task cannot wait for other tasks, which nested calls would have to.
        if in_task():
            raise FallbackToBackend(ThreadingBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._where = self._find_session()
        self._run = _after_initializer({**self.backend_kwargs, **options})
        return count

    def start_call(self) -> None:
        """A call of `joblib.Parallel` begins."""
        self._sizes = BatchSizes()

    def stop_call(self) -> None:
        """The call of `joblib.Parallel` has ended."""
        self._stored.forget()

    def terminate(self) -> None:
        """Close what was opened here."""
        self._stored.forget()
        own, self._own, self._where = self._own, None, None
        if own is not None:
            own.close()

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> CallFuture[Any]:
        """Have a batch of calls run."""
        func.items = [self._stored.in_call(*item) for item in func.items]
        future = self._run.invoke(func, pymonik=self._session()).future()
        future.hurry()  # joblib looks at results now and then, and waits for none
        self._under_way.add(future)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # the name that joblib had for it before 1.5

    def retrieve_result_callback(self, out: CallFuture[tuple[float, list[Any]]]) -> list[Any]:
        """The results of a batch that has ended."""
        seconds, results = out.result()
        self._sizes.ended(len(results), seconds)
        return results

    def compute_batch_size(self) -> int:
        """How many calls the next batch has."""
        return self._sizes.next()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: FBT001, FBT002 - joblib's
        """Cancel all batches that have not ended."""
        for future in list(self._under_way):
            future.cancel()
        self._under_way.clear()
        if not ensure_ready:
            self.terminate()

    # -- where ---------------------------------------------------------------------------------

    def _find_session(self) -> Session | SessionOwner:
        if self._client is not None:
            return self._client
        if (session := active_session()) is not None:
            return session
        if self._own is None:
            self._own = Pymonik()
        return self._own

    def _session(self) -> Session | SessionOwner:
        """The session of the thread that called `joblib.Parallel`; batches come from others too."""
        if self._where is None:
            self._where = self._find_session()
        return self._where

    def _count_workers(self) -> int:
        if self._workers is not None:
            return self._workers
        cluster = None if self._client is None else self._client.endpoint
        if isinstance(cluster, LocalCluster):
            return sum(cluster.partitions.values())
        if cluster is not None or os.environ.get("AKCONFIG"):
            return _ELSEWHERE
        return sum(LocalCluster().partitions.values())


def _after_initializer(options: dict[str, Any]) -> Task[..., tuple[float, list[Any]]]:
    """The task that runs batches, after the ``initializer`` of the options if they have one."""
    if (initializer := options.get("initializer")) is None:
        return run_batch
    initargs = tuple(options.get("initargs") or ())
    run = partial(initialised, uuid.uuid4().hex, initializer, initargs, run_batch.func)
    return Task(run, func_name=run_batch.name)


class BatchSizes:
    """How many calls share a task: as many as take a tenth of a second, by what they took so far.

    The executors measure it, so a cluster that is far away does not make calls look long.
    """

    def __init__(self) -> None:
        self._size = 1
        self._seconds = 0.0  # of one call; recent ones count more

    def ended(self, count: int, seconds: float) -> None:
        """A batch of ``count`` calls ran for ``seconds``."""
        of_one = seconds / max(count, 1)
        self._seconds = of_one if not self._seconds else 0.5 * self._seconds + 0.5 * of_one

    def next(self) -> int:
        """The size of the next batch; at most twice that of the one before."""
        if self._seconds:
            self._size = max(1, min(2 * self._size, int(_BATCH_S / self._seconds)))
        return self._size


class StoredArguments:
    """Large arguments that came more than once, stored in the cluster.

    An object is known by its identity, which a weak reference makes safe: a number that is given
    to another object is not taken for the first one. As with joblib's own memory-mapped arrays, a
    program must not change such an argument while `joblib.Parallel` runs.
    """

    def __init__(self, session: Callable[[], Session | SessionOwner]) -> None:
        self._session = session
        self._seen: dict[int, weakref.ref[Any]] = {}
        self._handles: dict[int, ResultHandle[Any]] = {}

    def in_call(
        self, function: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[object, tuple[Any, ...], dict[str, Any]]:
        """The call with handles for those of its arguments that are stored."""
        if not _SMALL.issuperset(map(type, args)):
            args = tuple(map(self._of, args))
        if kwargs:
            kwargs = {name: self._of(value) for name, value in kwargs.items()}
        return function, args, kwargs

    def forget(self) -> None:
        """Let go of all of them."""
        self._seen.clear()
        self._handles.clear()

    def _of(self, value: Any) -> Any:
        if bytes_of(value) < _STORED_FROM:
            return value
        key = id(value)
        known = self._seen.get(key)
        if known is None or known() is not value:
            self._handles.pop(key, None)
            self._seen[key] = weakref.ref(value)
            return value
        if key not in self._handles:
            self._handles[key] = stored(value, self._session())
        return self._handles[key]


def bytes_of(value: object) -> int:
    """About how large an array, a table or a sparse matrix is; 0 for anything else."""
    sized: Any = value
    if isinstance(value, type) or type(value).__module__.partition(".")[0] not in _LIBRARIES:
        return 0
    if hasattr(value, "nbytes"):
        return int(sized.nbytes)
    if hasattr(value, "memory_usage"):  # a DataFrame of pandas
        return int(sized.memory_usage().sum())
    return int(getattr(getattr(value, "data", None), "nbytes", 0))  # a sparse matrix of scipy
