"""pymonik as a scheduler of dask.

::

    from pymonik.dask import get

    with Pymonik():
        dask.compute(total, scheduler=get)

Each node of the graph becomes a task whose inputs are the results of other tasks: intermediate
values stay in the cluster and are deleted when no node needs them any more.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    convert_legacy_graph,
    cull,
    fuse_linear_task_spec,
)
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten
from dask.order import order
from dask.sizeof import sizeof
from dask.threaded import get as get_in_threads
from dask.utils import ensure_dict

from pymonik.client.pymonik_client import Pymonik
from pymonik.context.task_context import in_task
from pymonik.errors import DependencyFailedError
from pymonik.handles.multi_result_handle import MultiResultHandle, as_completed
from pymonik.handles.result_handle import ResultHandle
from pymonik.neighbours.storing import stored
from pymonik.session.current import active_session, session_of
from pymonik.tasks.decorator import task

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pymonik.session.protocol import Session

# Bytes from which a value in the graph is stored once, if several nodes need it; smaller ones
# travel with each node.
_STORED_FROM = 16 * 1024
# Seconds to wait for the failure that others come from: it is told about when theirs are.
_ROOT_S = 5.0


def get(
    dsk: Mapping[Any, Any],
    keys: Any,
    *,
    pymonik: Pymonik | None = None,
    optimize_graph: bool = True,
    callbacks: Any = None,
    **_: Any,
) -> Any:
    """The values of ``keys`` in the graph ``dsk``; lists of keys give tuples of values.

    Args:
        dsk: The graph, as dask makes it.
        keys: One key, or lists of them.
        pymonik: The client to use; by default the current one, else one for this call.
        optimize_graph: Make one task of nodes that follow each other without a branch.
        callbacks: As dask has them; values that stay in the cluster are told as ``None``.

    Raises:
        KeyError: A key is not in the graph.
        BaseException: What a node raised.
    """
    if in_task():  # where nothing can be waited for
        return get_in_threads(dsk, keys)
    wanted = list(flatten([keys]))
    graph = _nodes(dsk, wanted, optimize_graph=optimize_graph)
    if pymonik is None and active_session() is None:
        with Pymonik() as own:
            values = _compute(graph, wanted, session_of(own), callbacks)
    else:
        values = _compute(graph, wanted, session_of(pymonik), callbacks)
    return _nested(keys, values)


@task(function_name="dask")
def run_node(node: GraphNode, inputs: dict[Hashable, Any]) -> Any:
    """The value of a node, given those of the nodes that it names."""
    return node(inputs)


def _nodes(
    dsk: Mapping[Any, Any], wanted: list[Any], *, optimize_graph: bool
) -> dict[Any, GraphNode]:
    """The nodes that ``wanted`` need."""
    if hasattr(dsk, "__dask_graph__"):
        dsk = dsk.__dask_graph__()
    graph: dict[Any, GraphNode] = convert_legacy_graph(ensure_dict(dsk))
    for key in wanted:
        if key not in graph:
            raise KeyError(f"{key!r} is not a key in the graph")
    needed = cull(graph, set(wanted))
    if optimize_graph:
        needed = cull(fuse_linear_task_spec(needed, set(wanted)), set(wanted))
    return dict(needed)


def _compute(
    graph: dict[Any, GraphNode], wanted: list[Any], session: Session, callbacks: Any
) -> dict[Any, Any]:
    """The values of the wanted keys."""
    with local_callbacks(callbacks) as active:
        told = _Told(graph, active)
        submission = _Submission(graph, set(wanted), session)
        errored = True
        try:
            # In dask's own order, which has few intermediate values stay at a time.
            # Each node comes after those that it needs.
            for key in sorted(graph, key=order(graph).__getitem__):
                told.submitted(key, submission.submit(key))
            told.follow()
            values = submission.values()
            errored = False
        finally:
            told.finished(errored=errored)
    return values


class _Submission:
    """The calls of one graph.

    A handle is kept until all nodes that need it were submitted; the cluster then keeps the value
    until those have run.
    """

    def __init__(self, graph: dict[Any, GraphNode], wanted: set[Any], session: Session) -> None:
        self._graph = graph
        self._wanted = wanted
        self._session = session
        self._uses = Counter(need for node in graph.values() for need in node.dependencies)
        self._values: dict[Any, Any] = {}  # a handle, or the value of a node that is data
        self._root: BaseException | None = None
        self._has_root = threading.Event()

    def submit(self, key: Any) -> ResultHandle[Any] | None:
        """Submit a node whose inputs were submitted; ``None`` where nothing has to be run."""
        node = self._graph[key]
        if isinstance(node, Alias):
            self._values[key] = self._use(node.target)
            return None
        if isinstance(node, DataNode):
            self._values[key] = self._data(key, node.value)
            return None
        inputs = {need: self._use(need) for need in node.dependencies}
        handle = run_node.invoke(node, inputs, pymonik=self._session)
        handle.add_done_callback(self._look_for_failure)
        self._values[key] = handle
        return handle

    def values(self) -> dict[Any, Any]:
        """The values of the wanted keys, waiting for them."""
        keys = [key for key in self._wanted if isinstance(self._values[key], ResultHandle)]
        try:
            values = MultiResultHandle([self._values[key] for key in keys]).get()
        except DependencyFailedError:
            # dask raises what a node raised; which node failed first is not said by the failures of
            # those that needed it.
            if self._has_root.wait(_ROOT_S) and self._root is not None:
                raise self._root from None
            raise
        return {
            **{key: self._values[key] for key in self._wanted},
            **dict(zip(keys, values, strict=True)),
        }

    def _use(self, key: Any) -> Any:
        value = self._values[key]
        self._uses[key] -= 1
        if not self._uses[key] and key not in self._wanted:
            del self._values[key]
        return value

    def _data(self, key: Any, value: Any) -> Any:
        if self._uses[key] > 1 and key not in self._wanted and sizeof(value) >= _STORED_FROM:
            return stored(value, self._session)
        return value

    def _look_for_failure(self, handle: ResultHandle[Any]) -> None:
        error = handle.exception()
        if error is not None and not isinstance(error, DependencyFailedError):
            self._root = self._root or error
            self._has_root.set()


class _Told:
    """Tells dask's callbacks (a progress bar, a profiler) how far a graph is."""

    def __init__(self, graph: dict[Any, GraphNode], callbacks: Any) -> None:
        start, start_state, self._pre, self._post, self._finish = unpack_callbacks(callbacks)
        self._is_heard = bool(callbacks)
        self._graph = graph
        self._handles: dict[ResultHandle[Any], Any] = {}
        self._state: dict[str, Any] = {
            "finished": set(), "running": set(), "ready": set(graph), "waiting": set()
        }  # fmt: skip
        for callback in start:
            callback(graph)
        for callback in start_state:
            callback(graph, self._state)

    def submitted(self, key: Any, handle: ResultHandle[Any] | None) -> None:
        """A node was submitted, or had nothing to run."""
        if not self._is_heard:
            return
        self._state["ready"].discard(key)
        self._state["running"].add(key)
        for callback in self._pre:
            callback(key, self._graph, self._state)
        if handle is None:
            self._ended(key)
        else:
            self._handles[handle] = key

    def follow(self) -> None:
        """Tell of each node as it ends."""
        for handle in as_completed(self._handles):
            if handle.exception() is None:
                self._ended(self._handles[handle])

    def finished(self, *, errored: bool) -> None:
        """The graph has ended."""
        for callback in self._finish:
            callback(self._graph, self._state, errored)

    def _ended(self, key: Any) -> None:
        self._state["running"].discard(key)
        self._state["finished"].add(key)
        for callback in self._post:
            callback(key, None, self._graph, self._state, "pymonik")


def _nested(keys: Any, values: dict[Any, Any]) -> Any:
    if isinstance(keys, list):
        return tuple(_nested(key, values) for key in keys)
    return values[keys]
