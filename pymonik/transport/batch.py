"""One batch of tasks as requests: functions, outputs, payloads, tasks.

A batch may fail at any request and is sent again by the machine of the session. So each step leaves
what it has done on the tasks themselves (`result_id`, `payload`, `task_id`), and a step that is
done is not repeated.
"""

from __future__ import annotations

import logging
import operator
import threading
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from pymonik.content.uploads import Uploads
from pymonik.environments import local_packages
from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.session.labels import with_labels
from pymonik.session.records import records
from pymonik.session.tasks import RepeatedTask
from pymonik.transport.data import INLINE_BYTES, REQUEST_BYTES
from pymonik.transport.messages import TEXTS, NewTask
from pymonik.wire import containers
from pymonik.wire.call import (
    CallMeta,
    FunctionRef,
    PayloadMeta,
    archive_of,
    numbers,
    result_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.options import TaskOptions
    from pymonik.session.recording import Recording
    from pymonik.session.tasks import OutgoingTask
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.data import DataStore
    from pymonik.transport.turns import Turn
    from pymonik.wire.call import BuiltIn
    from pymonik.wire.containers import Buffer
    from pymonik.wire.environment import Environment

_log = logging.getLogger(__name__)

# Uploaded functions that a payload names; a task that submits others uploads them itself.
_MOST_FUNCTIONS = 32
_MOST_OPTIONS = 1000  # sets of options whose complete form is remembered
_RETRY = "###"  # in the id of a task that is a retry: the first one's id stands before it
_PLAIN = CallMeta(1)  # the head of every call with one blob and nothing else

_Kind = tuple[object, ...]  # see `_kind`
Refused = tuple["OutgoingTask", ControlPlaneError]


class Part(msgspec.Struct, frozen=True):
    """Tasks that go into one request, with the options of most of them."""

    options: TaskOptions
    tasks: list[OutgoingTask]
    new: list[NewTask]

    @property
    def repeats(self) -> bool:
        """Whether a payload among them is one of an earlier task, which may be asked for again."""
        return any(isinstance(task, RepeatedTask) for task in self.tasks)


class _Group:
    """Tasks whose options can go into one request, and the parts that they make."""

    def __init__(self, options: TaskOptions) -> None:
        self.options = options
        self.parts: list[Part] = []
        self._nbytes = 0

    def add(self, task: OutgoingTask, new: NewTask) -> None:
        """Put it into the last part, or into a new one if that would be too large."""
        if not self.parts or self._nbytes + new.nbytes > REQUEST_BYTES:
            self.parts.append(Part(self.options, [], []))
            self._nbytes = 0
        self.parts[-1].tasks.append(task)
        self.parts[-1].new.append(new)
        self._nbytes += new.nbytes


class _Heads:
    """Heads of the payloads of one batch; single calls that are alike share one.

    To make a head takes half of the time of sending a call in a loop of `invoke`.

    Args:
        meta_of: Makes one.
        functions: What payloads say of functions that are uploaded.
    """

    def __init__(
        self,
        meta_of: Callable[[OutgoingTask, dict[str, str]], PayloadMeta],
        functions: dict[str, str],
    ) -> None:
        self._meta_of = meta_of
        self._functions = functions
        # The parts of the last single call that others must share to share its head.
        self._like: tuple[object, ...] = ()
        self._head = b""
        self._dependencies: list[str] = []

    def container(self, task: OutgoingTask) -> list[Buffer]:
        """The payload of a task, which learns what it depends on."""
        (first, *others) = calls = task.calls
        if (
            others
            or first.refs
            or first.files
            or first.trace
            or task.chunked
            or task.states[0].index >= 0
        ):
            meta = self._meta_of(task, self._functions)
            task.dependencies = result_ids(meta)
            return containers.join(meta, [blob for call in calls for blob in call.blobs])
        like = (task.function, task.options, task.code, len(first.blobs))
        if not _is_same(like, self._like):
            meta = self._meta_of(task, self._functions)
            self._like = like
            self._head, self._dependencies = containers.encoded(meta), result_ids(meta)
        task.dependencies = self._dependencies
        return containers.join_encoded(self._head, first.blobs)


def _is_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether these are the very same objects: calls that follow each other share them."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


class BatchSender:
    """Sends batches of one session; remembers which functions it uploaded.

    The threads of the channel use it, several at a time.

    Attributes:
        board: The result in which the program tells its running tasks something, once there is one.
    """

    def __init__(
        self,
        plane: ControlPlane,
        session_id: str,
        data: DataStore,
        *,
        environment: Environment,
        options: TaskOptions,
        nonce: str,
        tells_locals: bool = True,
        recording: Recording | None = None,
    ) -> None:
        self._plane = plane
        self._session_id = session_id
        self._data = data
        self._environment = environment
        self._options = options
        self._nonce = nonce
        self._tells_locals = tells_locals
        self.board = ""
        self._recording = recording
        self._uploads = Uploads(data.store)
        self._functions: dict[str, str] = {}  # content id to result id
        self._wheels: dict[str, str] = {}  # digest to result id
        self._uploading = threading.Lock()  # two batches with the same function upload it once
        self._full: dict[tuple[TaskOptions, str], tuple[TaskOptions, _Kind]] = {}  # see `_complete`

    def send(
        self,
        batch: Sequence[OutgoingTask],
        created: Callable[[Sequence[OutgoingTask]], None],
        turn: Turn,
    ) -> list[Refused]:
        """Submit the tasks, and wait for it; those that the control plane refused.

        It may be called again for a batch that failed: what was done is not done again.

        Args:
            batch: The tasks.
            created: Called once the outputs have their ids, before news of them can come.
            turn: Of the batch, among all of the session.

        Raises:
            ControlPlaneError: Of a request; some tasks may have been submitted.
        """
        self._find_submitted([task for task in batch if task.is_doubtful])
        left = [task for task in batch if not task.task_id]
        try:
            refused = self._send(left, created, turn)
        except UnavailableError:
            raise  # the outputs are those of the next attempt
        except BaseException:
            self._delete_outputs([task for task in left if not task.task_id])
            raise
        self._delete_outputs([task for task, _ in refused])
        return refused

    def _send(
        self,
        left: Sequence[OutgoingTask],
        created: Callable[[Sequence[OutgoingTask]], None],
        turn: Turn,
    ) -> list[Refused]:
        self._upload_code(left)
        self._upload_wheels(left)
        if self._can_be_created_together(left):
            self._create_together(left)
        else:
            self._create_outputs(left)
            self._make_payloads(left)
        created(left)
        parts = self._parts(left)
        turn.wait()
        refused: list[Refused] = []
        for part in parts:
            turn.begin(len(left), self._plane.distance_s)
            refused += self._submit(part)
        return refused

    def _delete_outputs(self, tasks: Sequence[OutgoingTask]) -> None:
        """Outputs that no task will produce: who lists what is pending would wait for them.

        The session may have been cancelled between the request that made them and the one that was
        to submit their tasks. Where calls are recorded, such an output is an item that never left,
        and belongs to whoever sends it.
        """
        ids = [task.result_id for task in tasks if task.result_id]
        if not ids or self._recording is not None:
            return
        try:
            self._plane.delete_data(ids)
        except ControlPlaneError as error:
            _log.debug("%d outputs of tasks that were not sent stay: %s", len(ids), error)

    def quick_parts(self, batch: Sequence[OutgoingTask]) -> list[Part]:
        """The requests of a batch for which nothing has to be asked before."""
        heads = _Heads(self._meta, self._told_functions())
        for task in batch:
            if not isinstance(task, RepeatedTask):
                task.payload = b"".join(heads.container(task))
        return self._parts(batch)

    def _find_submitted(self, doubtful: Sequence[OutgoingTask]) -> None:
        """Tasks whose request was not answered own their outputs, if it was carried out."""
        if not doubtful:
            return
        found = self._plane.list_results([task.result_id for task in doubtful])
        for task in doubtful:
            info = found.get(task.result_id)
            owner = info.owner_task_id if info is not None else ""
            # An output without data has no owner until a task has claimed it; one that was created
            # with data would have the session for an owner.
            if owner and owner != self._session_id:
                task.give_task_id(owner.partition(_RETRY)[0])

    def _upload_code(self, batch: Sequence[OutgoingTask]) -> None:
        with self._uploading:
            # A repeated task comes with the payload of an earlier one, and its functions are there.
            functions = (t.function for t in batch if not isinstance(t, RepeatedTask))
            new = {f.content_id: f for f in functions if f.built_in is None}
            for content_id in self._functions:
                new.pop(content_id, None)
            if new:
                ids = self._data.store([(f.name, [f.container]) for f in new.values()])
                # A new object: another thread may go through the present one.
                self._functions = {**self._functions, **dict(zip(new, ids, strict=True))}
            for task in batch:
                if task.code.bundle is not None:
                    self._uploads.ref(task.code.bundle)

    def _upload_wheels(self, batch: Sequence[OutgoingTask]) -> None:
        """Packages that come with the tasks; each is uploaded once for the session."""
        environments = (self._environment_of(task.options) for task in batch)
        with self._uploading:
            files = {file.digest: file for one in environments for file in one.files}
            new = {digest: f for digest, f in files.items() if digest not in self._wheels}
            if new:
                wheels = [(f.name, local_packages.container(f)) for f in new.values()]
                ids = self._data.store(wheels)
                self._wheels = {**self._wheels, **dict(zip(new, ids, strict=True))}

    def _can_be_created_together(self, batch: Sequence[OutgoingTask]) -> bool:
        """Whether payloads can be made before the outputs have ids.

        They name their inputs, which may be outputs of the same batch; records name outputs. The
        direct socket is so near that it is not worth it.
        """
        if self._plane.takes_payloads or self._recording is not None:
            return False
        return all(ref._state.result_id for task in batch for ref in task.inputs)

    def _create_together(self, batch: Sequence[OutgoingTask]) -> None:
        """Outputs and payloads at the same time: far away, each request takes as long as all."""
        new = [task for task in batch if not task.result_id]
        names = [task.name for task in new]
        ids = self._plane.begin_results_metadata(self._session_id, names) if new else list
        try:
            self._make_payloads(batch)
        finally:  # or outputs that nobody produces would stay behind
            for task, result_id in zip(new, ids(), strict=True):
                task.give_id(result_id)

    def _create_outputs(self, batch: Sequence[OutgoingTask]) -> None:
        new = [task for task in batch if not task.result_id]
        if not new:
            return
        ids = self._plane.create_results_metadata(self._session_id, [task.name for task in new])
        for task, result_id in zip(new, ids, strict=True):
            task.give_id(result_id)

    def _make_payloads(self, batch: Sequence[OutgoingTask]) -> None:
        """Results with the payloads; what is small goes with its task, if that is possible."""
        heads = _Heads(self._meta, self._told_functions())
        large: list[tuple[OutgoingTask, list[Buffer]]] = []
        for task in batch:
            if task.payload:
                continue
            segments = heads.container(task)
            if self._takes_payloads and _nbytes(segments) <= INLINE_BYTES:
                task.payload = b"".join(segments)
            else:
                large.append((task, segments))
        items = [(f"{task.name} payload", segments) for task, segments in large]
        # Records go with payloads, in the same request, and so before the tasks.
        items += self._records(batch)
        if items:
            ids = self._data.store(items)[: len(large)]
            for (task, _), result_id in zip(large, ids, strict=True):
                task.payload = result_id

    @property
    def _takes_payloads(self) -> bool:
        """Whether small payloads go with their tasks: they go when these end, too."""
        return self._plane.takes_payloads and self._recording is None

    def _records(self, batch: Sequence[OutgoingTask]) -> list[tuple[str, list[Buffer]]]:
        if self._recording is None:
            return []
        functions: dict[str, str] = {}

        def meta_of(task: OutgoingTask) -> PayloadMeta:
            return task.meta if isinstance(task, RepeatedTask) else self._meta(task, functions)

        return records(batch, self._recording, meta_of)

    def _told_functions(self) -> dict[str, str]:
        # The ones uploaded last: these are what a program is at.
        return dict(islice(reversed(self._functions.items()), _MOST_FUNCTIONS))

    def _meta(self, task: OutgoingTask, functions: dict[str, str]) -> PayloadMeta:
        first, indexes = numbers([state.index for state in task.states])
        function = self._function(task.function)
        return PayloadMeta(
            function=function,
            calls=tuple(map(_call_meta, task.calls)),
            environment=self._environment_of(task.options).at(self._wheels),
            run=task.options.label or self._options.label or "",
            nonce=self._nonce,
            functions=functions,
            bundle=None if task.code.bundle is None else self._uploads.ref(task.code.bundle),
            settings=task.code.settings,
            chunked=task.chunked,
            locals=self._tells_locals,
            log_level=logging.getLogger().level,
            board=self.board,
            first=first,
            indexes=indexes,
            archive=archive_of(function),
            traces=_traces(task.calls),
        )

    def _function(self, function: PackedFunction) -> FunctionRef | BuiltIn:
        if function.built_in is not None:
            return function.placed()
        content_id = function.content_id
        place = self._functions[content_id]
        return FunctionRef(content_id, place, function.name, function.concurrency)

    def _parts(self, batch: Sequence[OutgoingTask]) -> list[Part]:
        """Requests that keep the order of calls that may be run by the same worker in that order.

        A task can have options of its own. They are merged over those of the request and, other
        than these, not validated: so a request has one partition, one priority, and the same
        labels, whatever their values.
        """
        groups: dict[_Kind, _Group] = {}
        given: TaskOptions | None = None
        name, options = "", self._options
        group = _Group(options)
        for task in batch:
            # Tasks that follow each other mostly share the object: its hash is not taken again.
            if task.options is not given or task.function.name != name:
                given, name = task.options, task.function.name
                options, kind = self._complete(given, name)
                group = groups.setdefault(kind, _Group(options))
            own = None if options is group.options else options
            new = NewTask(task.payload, task.result_id, task.dependencies, task.name, own)
            group.add(task, new)
        return [part for group in groups.values() for part in group.parts]

    def _complete(self, given: TaskOptions, name: str) -> tuple[TaskOptions, _Kind]:
        """All options of the tasks of a function, with the labels that ArmoniK's tools show."""
        full = self._full.get((given, name))
        if full is None:
            options = given.over(self._options)
            options = with_labels(options, name, self._environment_of(given))
            full = options, _kind(options)
            if len(self._full) >= _MOST_OPTIONS:
                self._full.clear()  # each is made again when it is needed
            self._full[given, name] = full
        return full

    def _environment_of(self, options: TaskOptions) -> Environment:
        own = options.environment
        return self._environment if own is None else own.over(self._environment)

    def _submit(self, part: Part) -> list[Refused]:
        """Submit; where the control plane refuses, halves until only the guilty are refused."""
        for task in part.tasks:
            task.is_doubtful = True
        try:
            ids = self._plane.submit_tasks(
                self._session_id,
                part.options,
                part.new,
                keeps_payloads=self._recording is not None or part.repeats,
            )
        except UnavailableError:  # the tasks stay doubtful: the request may have been carried out
            raise
        except ControlPlaneError as error:
            for task in part.tasks:
                task.is_doubtful = False
            # A refusal is of the request as a whole, unless it is about something that tasks have
            # for themselves: their inputs, or options of their own.
            is_of_all = not (_is_about_dependencies(error) or _has_own_options(part))
            if len(part.tasks) == 1 or is_of_all:
                return [(task, error) for task in part.tasks]
            middle = len(part.tasks) // 2
            halves = (
                Part(part.options, part.tasks[half], part.new[half])
                for half in (slice(middle), slice(middle, None))
            )
            return [refused for half in halves for refused in self._submit(half)]
        for task, task_id in zip(part.tasks, ids, strict=True):
            task.give_task_id(task_id)
        return []


def _nbytes(segments: Sequence[Buffer]) -> int:
    return sum(memoryview(segment).nbytes for segment in segments)


def _traces(calls: Sequence[Packed]) -> tuple[dict[str, str], ...]:
    """Contexts of the spans of calls: one where all have the same, as those of a map do."""
    first = calls[0].trace
    if first is calls[-1].trace and all(call.trace is first for call in calls):
        return () if first is None else (first,)
    return tuple(call.trace or {} for call in calls)


def _call_meta(call: Packed) -> CallMeta:
    if call.files:
        refs = tuple(ref._state.place for ref in call.refs)
        return CallMeta(len(call.blobs), refs, tuple(file.ref for file in call.files))
    if not call.refs:
        return _PLAIN if len(call.blobs) == 1 else CallMeta(len(call.blobs))
    return CallMeta(len(call.blobs), tuple(ref._state.place for ref in call.refs))


def _kind(options: TaskOptions) -> _Kind:
    """What options of tasks must have in common to go in one request."""
    # An empty text inherits that of the request, so a task without one cannot go with others that
    # have it.
    texts = tuple(bool(getattr(options, name)) for name in TEXTS)
    return options.partition_id, options.priority, frozenset(options.options), texts


def _has_own_options(part: Part) -> bool:
    return any(task.options is not None for task in part.new)


def _is_about_dependencies(error: ControlPlaneError) -> bool:
    return "Some dependencies" in error.detail
