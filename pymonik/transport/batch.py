"""One batch of calls as requests: functions, outputs, payloads, tasks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError
from pymonik.session.labels import with_labels
from pymonik.session.result import Status
from pymonik.transport.aborts import dependency_failed
from pymonik.transport.data import INLINE_BYTES, REQUEST_BYTES
from pymonik.transport.messages import NewTask
from pymonik.transport.outputs import Outputs
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta, result_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.options import TaskOptions
    from pymonik.session.result import ResultState
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.data import DataStore
    from pymonik.transport.outbox import OutgoingTask
    from pymonik.wire.containers import Buffer
    from pymonik.wire.environment import Environment

_MOST_FUNCTIONS = 32  # that a payload tells of; subtasks upload others themselves
_MOST_OPTIONS = 256  # that are kept complete
_PLAIN = CallMeta(1)  # the same for all that are alike


class BatchSender:
    """Sends batches of one session; remembers which functions it uploaded."""

    def __init__(
        self,
        plane: ControlPlane,
        session_id: str,
        data: DataStore,
        *,
        environment: Environment,
        options: TaskOptions,
        nonce: str,
        watch: Callable[[Iterable[ResultState]], None],
    ) -> None:
        self._plane = plane
        self._session_id = session_id
        self._data = data
        self._environment = environment
        self._options = options
        self._nonce = nonce
        self._watch = watch
        self._outputs = Outputs(plane, session_id)
        self._functions: dict[str, str] = {}  # content id to result id
        self._full: dict[tuple[TaskOptions, str], TaskOptions] = {}  # see `_complete`

    def __call__(self, batch: Sequence[OutgoingTask]) -> None:
        """Send; a call whose dependency failed fails alone, an error of a request is raised."""
        self._upload_functions(batch)
        self._create_outputs(batch)
        for task in batch:
            _drop_failed_calls(task)
        sent = [task for task in batch if self._can_run(task)]
        metas = [self._meta(task) for task in sent]
        packed = [
            (
                task.function.name,
                containers.join(meta, [blob for call in task.calls for blob in call.blobs]),
            )
            for task, meta in zip(sent, metas, strict=True)
        ]
        payloads = self._payloads(packed)
        new = [
            NewTask(payload, task.state.result_id or "", result_ids(meta))
            for task, payload, meta in zip(sent, payloads, metas, strict=True)
        ]
        self._watch(task.state for task in sent)  # before its events can come
        for options, group in self._by_options(sent, new):
            for part in _by_size(group):
                runnable = [pair for pair in part if self._can_run(pair[0])]
                if runnable:
                    self._submit(options, runnable)
        self._drop_orphans(sent)

    def _payloads(self, containers: Sequence[tuple[str, list[Buffer]]]) -> list[str | bytes]:
        """Results with the payloads; what is small goes with its task, if that is possible."""
        if not self._plane.takes_payloads:
            return list(self._data.store(containers))
        large = [one for one in containers if _nbytes(one[1]) > INLINE_BYTES]
        ids = iter(self._data.store(large) if large else ())
        return [
            next(ids) if _nbytes(segments) > INLINE_BYTES else b"".join(segments)
            for _, segments in containers
        ]

    def _upload_functions(self, batch: Sequence[OutgoingTask]) -> None:
        new = {task.function.content_id: task.function for task in batch}
        for content_id in self._functions:
            new.pop(content_id, None)
        if new:
            ids = self._data.store([(f.name, [f.container]) for f in new.values()])
            self._functions.update(zip(new, ids, strict=True))

    def _create_outputs(self, batch: Sequence[OutgoingTask]) -> None:
        ids = self._outputs.take([task.state.name for task in batch])
        for task, result_id in zip(batch, ids, strict=True):
            task.state.result_id = result_id
            for item in task.items:
                item.result_id = result_id

    def _can_run(self, task: OutgoingTask) -> bool:
        """Whether there is a call of which nothing that it needs has failed; else it fails."""
        error = _failed_dependency(task.calls[0])
        if error is not None and all(map(_failed_dependency, task.calls)):
            task.state.fail(dependency_failed(error, "", task.state.result_id or ""))
        return not task.state.is_final

    def _by_options(
        self, tasks: Sequence[OutgoingTask], new: Sequence[NewTask]
    ) -> Iterable[tuple[TaskOptions, list[tuple[OutgoingTask, NewTask]]]]:
        """Tasks in one request share their options; in the order of the first task of each."""
        groups: dict[TaskOptions, list[tuple[OutgoingTask, NewTask]]] = {}
        given: TaskOptions | None = None
        name, group = "", []
        for task, one in zip(tasks, new, strict=True):
            # Tasks that follow each other mostly share the object: its hash is not taken again.
            if task.options is not given or task.function.name != name:
                given, name = task.options, task.function.name
                group = groups.setdefault(self._complete(given, name), [])
            group.append((task, one))
        return groups.items()

    def _complete(self, given: TaskOptions, name: str) -> TaskOptions:
        """All options of the tasks of a function, with the labels that ArmoniK's tools show."""
        full = self._full.get((given, name))
        if full is None:
            options = given.over(self._options)
            full = with_labels(options, name, self._environment_of(given))
            if len(self._full) >= _MOST_OPTIONS:
                self._full.clear()  # each is made again when it is needed
            self._full[given, name] = full
        return full

    def _environment_of(self, options: TaskOptions) -> Environment:
        own = options.environment
        return self._environment if own is None else own.over(self._environment)

    def _drop_orphans(self, sent: Sequence[OutgoingTask]) -> None:
        """Cancel tasks that would wait for ever, since one that they need was refused."""
        if not any(task.state.status is Status.FAILED for task in sent):
            return
        pending = [task for task in sent if not task.state.is_final]
        orphans = [task.state.task_id for task in pending if not self._can_run(task)]
        if orphans:
            self._plane.cancel_tasks(orphans)

    def _meta(self, task: OutgoingTask) -> PayloadMeta:
        content_id = task.function.content_id
        return PayloadMeta(
            function=FunctionRef(content_id, self._functions[content_id], task.function.name),
            calls=tuple(_call_meta(call) for call in task.calls),
            environment=self._environment_of(task.options),
            run=task.options.label or self._options.label or "",
            nonce=self._nonce,
            functions=dict(islice(reversed(self._functions.items()), _MOST_FUNCTIONS)),
            chunked=bool(task.items),
        )

    def _submit(self, options: TaskOptions, group: Sequence[tuple[OutgoingTask, NewTask]]) -> None:
        """Submit; where the control plane refuses, halves until only the guilty are refused."""
        try:
            ids = self._plane.submit_tasks(self._session_id, options, [task for _, task in group])
        except (UnavailableError, SessionClosedError) as error:
            _fail(group, error)
        except ControlPlaneError as error:
            if not _is_about_dependencies(error):
                _fail(group, error)
                return
            if len(group) == 1:
                _fail_with_dependency(group[0][0], error)
                return
            middle = len(group) // 2
            self._submit(options, group[:middle])
            self._submit(options, group[middle:])
        else:
            for (task, _), task_id in zip(group, ids, strict=True):
                task.state.task_id = task_id
                for item in task.items:
                    item.task_id = task_id


def _nbytes(segments: Sequence[Buffer]) -> int:
    return sum(memoryview(segment).nbytes for segment in segments)


def _failed_dependency(call: Packed) -> BaseException | None:
    for ref in call.refs:
        if ref._state.status is Status.FAILED:
            return ref._state.error or ControlPlaneError("SubmitTasks", "unknown")
    return None


def _drop_failed_calls(task: OutgoingTask) -> None:
    """Of several calls, the others go without those given up and those that need what failed."""
    if not task.items:
        return
    errors = [item.error for item in task.items]
    if any(call.refs for call in task.calls):
        errors = [
            error or _failed_dependency(call)
            for error, call in zip(errors, task.calls, strict=True)
        ]
    if not any(errors) or all(errors):
        return
    left: list[tuple[Packed, ResultState]] = []
    for call, item, error in zip(task.calls, task.items, errors, strict=True):
        if error is None:
            item.item = len(left)
            left.append((call, item))
        else:
            item.fail(dependency_failed(error, "", item.result_id or ""))
    task.calls, task.items = [call for call, _ in left], [item for _, item in left]


def _call_meta(call: Packed) -> CallMeta:
    if not call.refs:
        return _PLAIN if len(call.blobs) == 1 else CallMeta(len(call.blobs))
    return CallMeta(len(call.blobs), tuple(ref._state.place for ref in call.refs))


def _fail(group: Iterable[tuple[OutgoingTask, NewTask]], error: BaseException) -> None:
    for task, _ in group:
        task.state.fail(error)


def _fail_with_dependency(task: OutgoingTask, error: ControlPlaneError) -> None:
    """Fail a refused task with the reason of the dependency that failed.

    The control plane may know of the failure before its event has come: then this waits for it.
    """
    refs = {id(ref._state): ref._state for call in task.calls for ref in call.refs}
    waiting = [state for state in refs.values() if not state.is_final]
    left = len(waiting)

    def one_is_final(state: ResultState) -> None:
        nonlocal left
        left -= 1
        if state.error is not None:
            reason = dependency_failed(state.error, "", task.state.result_id or "")
            task.state.fail(reason)
        elif left <= 0:
            task.state.fail(error)

    for state in refs.values():
        if state.error is not None:
            one_is_final(state)
    if not waiting:
        task.state.fail(error)
    for state in waiting:
        state.when_final(one_is_final)


def _is_about_dependencies(error: ControlPlaneError) -> bool:
    return "Some dependencies" in error.detail


def _by_size(
    group: Sequence[tuple[OutgoingTask, NewTask]],
) -> Iterable[list[tuple[OutgoingTask, NewTask]]]:
    part: list[tuple[OutgoingTask, NewTask]] = []
    nbytes = 0
    for pair in group:
        if part and nbytes + pair[1].nbytes > REQUEST_BYTES:
            yield part
            part, nbytes = [], 0
        part.append(pair)
        nbytes += pair[1].nbytes
    if part:
        yield part
