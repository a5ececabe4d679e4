"""One batch of calls as requests: functions, outputs, payloads, tasks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pymonik.core import codec
from pymonik.core.call import CallMeta, FunctionRef, PayloadMeta, ResultRef, result_ids
from pymonik.core.result import Status
from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError
from pymonik.options import TaskOptions
from pymonik.transport.aborts import dependency_failed
from pymonik.transport.data import REQUEST_BYTES
from pymonik.transport.messages import NewTask
from pymonik.transport.outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.core.environment import Environment
    from pymonik.core.result import ResultState
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.data import DataStore
    from pymonik.transport.outbox import OutgoingCall

_MOST_FUNCTIONS = 32  # that a payload tells of; subtasks upload others themselves
LABEL = "pymonik.function"  # the option that tells ArmoniK's tools which function a task runs


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
        watch: Callable[[Iterable[ResultState]], None],
    ) -> None:
        self._plane = plane
        self._session_id = session_id
        self._data = data
        self._environment = environment
        self._options = options
        self._watch = watch
        self._outputs = Outputs(plane, session_id)
        self._functions: dict[str, str] = {}  # content id to result id

    def __call__(self, batch: Sequence[OutgoingCall]) -> None:
        """Send; a call whose dependency failed fails alone, an error of a request is raised."""
        self._upload_functions(batch)
        self._create_outputs(batch)
        sent = [call for call in batch if self._can_run(call)]
        metas = [self._meta(call) for call in sent]
        containers = [
            (call.function.name, codec.join(meta, call.call.blobs))
            for call, meta in zip(sent, metas, strict=True)
        ]
        payloads = self._data.store(containers)
        tasks = [
            NewTask(payload, call.state.result_id or "", result_ids(meta))
            for call, payload, meta in zip(sent, payloads, metas, strict=True)
        ]
        self._watch(call.state for call in sent)  # before its events can come
        for options, group in _by_options(sent, tasks, self._options):
            for part in _by_size(group):
                runnable = [pair for pair in part if self._can_run(pair[0])]
                if runnable:
                    self._submit(options, runnable)
        self._drop_orphans(sent)

    def _upload_functions(self, batch: Sequence[OutgoingCall]) -> None:
        new = {call.function.content_id: call.function for call in batch}
        for content_id in self._functions:
            new.pop(content_id, None)
        if new:
            ids = self._data.store([(f.name, [f.container]) for f in new.values()])
            self._functions.update(zip(new, ids, strict=True))

    def _create_outputs(self, batch: Sequence[OutgoingCall]) -> None:
        ids = self._outputs.take([call.state.name for call in batch])
        for call, result_id in zip(batch, ids, strict=True):
            call.state.result_id = result_id

    def _can_run(self, call: OutgoingCall) -> bool:
        for ref in call.call.refs:
            state = ref._state
            if state.status is Status.FAILED:
                original = state.error or ControlPlaneError("SubmitTasks", "unknown")
                call.state.fail(dependency_failed(original, "", call.state.result_id or ""))
                return False
        return True

    def _drop_orphans(self, sent: Sequence[OutgoingCall]) -> None:
        """Cancel tasks that would wait for ever, since one that they need was refused."""
        if not any(call.state.status is Status.FAILED for call in sent):
            return
        pending = [call for call in sent if not call.state.is_final]
        orphans = [call.state.task_id for call in pending if not self._can_run(call)]
        if orphans:
            self._plane.cancel_tasks(orphans)

    def _meta(self, call: OutgoingCall) -> PayloadMeta:
        refs = tuple(ResultRef(ref._state.result_id or "", ref._item) for ref in call.call.refs)
        content_id = call.function.content_id
        return PayloadMeta(
            function=FunctionRef(content_id, self._functions[content_id], call.function.name),
            calls=(CallMeta(len(call.call.blobs), refs),),
            environment=self._environment,
            functions=dict(islice(reversed(self._functions.items()), _MOST_FUNCTIONS)),
        )

    def _submit(self, options: TaskOptions, group: Sequence[tuple[OutgoingCall, NewTask]]) -> None:
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
            for (call, _), task_id in zip(group, ids, strict=True):
                call.state.task_id = task_id


def _fail(group: Iterable[tuple[OutgoingCall, NewTask]], error: BaseException) -> None:
    for call, _ in group:
        call.state.fail(error)


def _fail_with_dependency(call: OutgoingCall, error: ControlPlaneError) -> None:
    """Fail a refused call with the reason of the dependency that failed.

    The control plane may know of the failure before its event has come: then this waits for it.
    """
    waiting = [state for ref in call.call.refs if not (state := ref._state).is_final]
    left = len(waiting)

    def one_is_final(state: ResultState) -> None:
        nonlocal left
        left -= 1
        if state.error is not None:
            reason = dependency_failed(state.error, "", call.state.result_id or "")
            call.state.fail(reason)
        elif left <= 0:
            call.state.fail(error)

    for ref in call.call.refs:
        if ref._state.error is not None:
            one_is_final(ref._state)
    if not waiting:
        call.state.fail(error)
    for state in waiting:
        state.when_final(one_is_final)


def _is_about_dependencies(error: ControlPlaneError) -> bool:
    return "Some dependencies" in error.detail


def _by_options(
    calls: Sequence[OutgoingCall], tasks: Sequence[NewTask], base: TaskOptions
) -> Iterable[tuple[TaskOptions, list[tuple[OutgoingCall, NewTask]]]]:
    """Calls in one request share their options; in the order of the first call of each."""
    groups: dict[object, tuple[TaskOptions, list[tuple[OutgoingCall, NewTask]]]] = {}
    keys: dict[tuple[int, str], object] = {}
    for call, task in zip(calls, tasks, strict=True):
        short = (id(call.options), call.function.name)
        if short not in keys:
            full = TaskOptions(options={LABEL: call.function.name}).over(call.options.over(base))
            keys[short] = key = _key(full)
            groups.setdefault(key, (full, []))
        groups[keys[short]][1].append((call, task))
    return groups.values()


def _key(options: TaskOptions) -> object:
    fields = (getattr(options, name) for name in options.__slots__ if name != "options")
    return (*fields, tuple(sorted(options.options.items())))


def _by_size(
    group: Sequence[tuple[OutgoingCall, NewTask]],
) -> Iterable[list[tuple[OutgoingCall, NewTask]]]:
    part: list[tuple[OutgoingCall, NewTask]] = []
    nbytes = 0
    for pair in group:
        if part and nbytes + pair[1].nbytes > REQUEST_BYTES:
            yield part
            part, nbytes = [], 0
        part.append(pair)
        nbytes += pair[1].nbytes
    if part:
        yield part
