"""`SubtaskSession`: what a running task submits, kept until it ends well.

ArmoniK's agent does the same: nothing that a task creates exists before the task succeeds. Ids are
therefore stand-ins (``"new:0"``), which the parent replaces; see `pymonik.executor.submission`.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import msgspec

from pymonik.code import codec, opened_result
from pymonik.code.packed_function import PackedFunction
from pymonik.errors import UsageError
from pymonik.executor import files
from pymonik.executor.frames import Created, Subtask
from pymonik.executor.identity import packed_identity
from pymonik.options import TaskOptions
from pymonik.session.labels import with_labels
from pymonik.session.result import ResultState
from pymonik.wire import containers
from pymonik.wire.call import (
    MOST_CALLS,
    NEW,
    WHOLE,
    BuiltIn,
    CallMeta,
    FileRef,
    FunctionRef,
    PayloadMeta,
    ResultRef,
    archive_of,
    fails_as_value,
    rebound,
    result_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.opened_result import OpenedResult
    from pymonik.code.references import Referable, Sealed
    from pymonik.executor.frames import Run
    from pymonik.executor.outgoing import Outgoing
    from pymonik.session.protocol import Drawn, Submission
    from pymonik.session.result import Observer
    from pymonik.wire.containers import Buffer
    from pymonik.wire.environment import Environment

# Functions that a payload names, so that its subtasks need not upload them again. A chain of tasks
# that submit tasks would otherwise carry a list that only grows.
_MAX_FUNCTIONS = 64


class _Pending(msgspec.Struct):
    """A subtask whose output may still become that of the running task."""

    payload: str
    output: str
    name: str
    meta: PayloadMeta
    blobs: Sequence[Buffer]
    options: TaskOptions


class SubtaskSession:
    """Implements `pymonik.session.protocol.Session` inside a task.

    Attributes:
        delegated: The result that takes the place of this call's own, if there is one.
        is_changed: Whether anything was submitted, put or delegated since `begin_call`.
        forgotten: Results whose data nobody needs once the task has ended well.
        is_output_given: Whether the function has sent the task's output itself, or has had a task
            promise it, through ArmoniK's handler.
        trace: The context that the running call came with, where somebody follows it: an executor
            that makes no spans passes it on to subtasks.
        span: Gives that of the span of the running call, where there is one.
    """

    trace: dict[str, str] | None = None
    span: Callable[[], dict[str, str]] | None = None

    def __init__(self, run: Run, meta: PayloadMeta, prefix: str = "") -> None:
        """Nothing is submitted.

        Args:
            run: The task.
            meta: The head of its payload.
            prefix: Of stand-ins: several sessions of one task must not give the same ones.
        """
        self._prefix = prefix
        self._run = run
        self._meta = meta
        known = dict(meta.functions)
        if isinstance(meta.function, FunctionRef):
            known[meta.function.content_id] = meta.function.result_id
        self._functions = known
        self._created: list[Created] = []
        self._subtasks: list[_Pending] = []
        self._count = 0
        self.delegated: ResultState | None = None
        self.is_changed = False
        self.is_output_given = False
        self._wheels: dict[str, str] = {}  # stand-ins of packages that were added, by digest
        self._files: dict[str, str] = {}  # stand-ins of files, by digest
        # By the stand-in of a subtask's output: the task's own output, where that is delegated to
        # it.
        self._aliases: dict[str, str] = {}
        self.forgotten: list[str] = []

    @property
    def session_id(self) -> str:
        """The session of the running task, to which its subtasks belong too."""
        return self._run.session_id

    @property
    def environment(self) -> Environment:
        """Inherited from the running task."""
        return self._meta.environment

    @property
    def options(self) -> TaskOptions:
        """The options of the running task."""
        return self._run.options

    @property
    def running(self) -> PackedFunction:
        """The function of the running task, to be submitted again: it is uploaded."""
        function = self._meta.function
        if not isinstance(function, FunctionRef):
            raise UsageError("this task runs no function")
        return PackedFunction(function.content_id, function.name, b"")

    @property
    def references(self) -> Sequence[ResultRef]:
        """Where the values of the handles stand that the running call was given, in their order."""
        return self._meta.calls[0].refs

    # -- what user code calls, through tasks and handles ---------------------------------------

    def submit(self, submission: Submission) -> list[ResultState]:
        """Keep the calls until the task ends; their handles can be passed on or returned."""
        if submission.delegate:
            self._check_delegation(len(submission.calls))
        function = self._upload(submission.function)
        own = submission.options.environment
        environment = (
            self.environment if own is None else self._uploaded(own.over(self.environment))
        )
        # The label of a run travels in the payload, not in the options of the task.
        inherited = msgspec.structs.replace(self.options, label=self._meta.run or None)
        options = submission.options.over(inherited)
        options = with_labels(options, submission.function.name, environment)
        states: list[ResultState] = []
        for calls in _together(submission.calls, submission.chunk_size):
            states += self._add(function, calls, options, environment)
        if submission.delegate:
            self._delegate(states[0])
        return states

    def before_end(self, drawn: Drawn) -> None:
        """Have everything submitted now: the task may end at once."""
        drawn.draw_all()
        drawn.raise_error()

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        """Keep the values until the task ends."""
        return [self._put(value, name) for value, name in zip(values, names, strict=True)]

    def open_file(self, result_id: str) -> IO[bytes]:
        """Refuse: files of the task's arguments lie in its folder, others are not here."""
        del result_id
        _refuse("read a file that is none of its arguments")

    def send(self) -> None:
        """Do nothing: every state has its id from the start."""

    def wait(
        self,
        states: Sequence[ResultState],
        timeout: float | None,
        *,
        until_failure: bool = False,
        alarms: Sequence[ResultState] = (),
    ) -> None:
        """Refuse: a task that waits for another may wait for ever."""
        del states, timeout, until_failure, alarms
        _refuse("wait for a result")

    def observe(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Refuse, as `wait` does."""
        del states, observer
        _refuse("wait for a result")

    def ignore(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Do nothing: nobody observes."""

    def call_back(
        self, state: ResultState, callback: Callable[[], object], *, ends_future: bool = False
    ) -> None:
        """Refuse, as `wait` does."""
        del state, callback, ends_future
        _refuse("wait for a result")

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        """Refuse: the results of subtasks exist after this task only."""
        del states
        _refuse("get the value of a result")

    def cancel(self, states: Sequence[ResultState]) -> None:
        """Refuse: subtasks start after this task only."""
        del states
        raise UsageError("a task cannot cancel its subtasks: they start when it has ended")

    # -- what the executor calls ----------------------------------------------------------------

    def file_id(self, digest: str) -> str | None:
        """The stand-in of a file of this content, if one was added."""
        return self._files.get(digest)

    def add_file(self, name: str, path: str, digest: str) -> str:
        """Have a file, which is ours from now on, become a raw result; its stand-in."""
        self.is_changed = True
        stand_in = self._stand_in()
        self._created.append(Created(stand_in=stand_in, name=name, path=path))
        if digest:
            self._files[digest] = stand_in
        return stand_in

    def add(self, created: Sequence[Created]) -> None:
        """Have results that are made already exist when the task has ended well."""
        self._created += created

    def begin_call(self) -> tuple[int, int, int]:
        """Start one of the calls; give what `undo` needs."""
        self.delegated = None
        self.is_changed = False
        return len(self._created), len(self._subtasks), len(self._functions)

    def undo(self, mark: tuple[int, int, int]) -> None:
        """The call failed: what it submitted since is not sent."""
        created, subtasks, functions = mark
        for one in self._created[created:]:
            if one.path is not None:
                Path(one.path).unlink(missing_ok=True)
        # Stand-ins that were given are not given again: `_count` goes on, so handles that the call
        # kept name nothing.
        del self._created[created:], self._subtasks[subtasks:]
        # Dicts keep the order of insertion, so the first ones are those of before the call.
        self._functions = dict(list(self._functions.items())[:functions])
        left = {one.stand_in for one in self._created}
        self._files = {digest: one for digest, one in self._files.items() if one in left}

    def delegate_to(self, handle: Referable) -> None:
        """The value of this call is that of ``handle``."""
        own = {pending.output for pending in self._subtasks}
        # A whole result of a subtask of ours can become our output itself. For anything else, an
        # item of a chunk, say, a task that gives the value back produces it.
        if (
            handle._state.session is self
            and handle._state.item < 0
            and not handle._state.output
            and handle._state.result_id in own
        ):
            self._check_delegation(1)
            self._delegate(handle._state)
        else:
            self.delegate_value(handle)

    def delegate_value(self, value: object) -> None:
        """The value of this call is ``value`` with the values of the handles in it."""
        self._check_delegation(1)
        function = self._upload(packed_identity())
        calls = [codec.pack_call((value,), {})]
        self._delegate(self._add(function, calls, self.options, self.environment)[0])

    def reroute(
        self,
        refs: dict[ResultRef, ResultRef],
        call: int,
        blobs: Sequence[Buffer],
        files: Sequence[FileRef] = (),
        outputs: Sequence[ResultRef] = (),
    ) -> None:
        """Run one of the calls later: what it needs stands elsewhere than it was told.

        Args:
            refs: Where the values of some references stand.
            call: Its number.
            blobs: Its arguments.
            files: In the values of its references.
            outputs: Results in which outputs stand that belong to such values. They fill no slot
                of the pickle; as references they are inputs of the task.
        """
        self._check_delegation(1)
        meta = self._meta.calls[call]
        known = (*(refs.get(ref, ref) for ref in meta.refs), *outputs)
        again = CallMeta(len(blobs), known, (*meta.files, *files))
        self._pend_again(call, again, blobs, self._meta.earlier, self.options)

    def again(self, call: int, blobs: Sequence[Buffer]) -> None:
        """Try one of the calls again, in a task of its own that has the attempts that are left."""
        attempts = self._run.attempt
        left = TaskOptions(max_retries=max(0, self._run.max_retries - attempts))
        earlier = self._meta.earlier + attempts
        options = left.over(self.options)
        self._pend_again(call, self._meta.calls[call], blobs, earlier, options)

    def has_news(self) -> bool:
        """Whether anything was submitted or put."""
        return bool(self._created or self._subtasks or self.forgotten)

    def created(self) -> list[Created]:
        """Everything created, data and payloads included."""
        outputs = [
            Created(stand_in=pending.output, name=pending.name)
            for pending in self._subtasks
            if pending.output not in self._aliases
        ]
        return [*self._created, *outputs, *(self._payload(pending) for pending in self._subtasks)]

    def subtasks(self) -> list[Subtask]:
        """The subtasks, in the order of their submission."""
        return [
            Subtask(
                payload=pending.payload,
                output=self._aliases.get(pending.output, pending.output),
                dependencies=result_ids(rebound(pending.meta, self._aliases)),
                options=_travelling(pending.options),
            )
            for pending in self._subtasks
        ]

    # -- inside ----------------------------------------------------------------------------------

    def _stand_in(self) -> str:
        self.is_changed = True
        self._count += 1
        return f"{NEW}{self._prefix}{self._count - 1}"

    def _check_delegation(self, calls: int) -> None:
        if calls != 1:
            raise UsageError(f"delegate=True takes one call, not {calls}")
        if self.delegated is not None:
            raise UsageError(
                "this task has delegated its result already; only one subtask can produce it"
            )
        if not self._run.output_id:
            raise UsageError("this task has no expected output, so it cannot delegate it")

    def _delegate(self, state: ResultState) -> None:
        self.is_changed = True
        self.delegated = state
        # In a chunk the output is that of all calls: the item refers to the subtask's result
        # instead.
        if not self._meta.chunked and state.result_id is not None:
            self._aliases[state.result_id] = self._run.output_id

    def _upload(self, function: PackedFunction) -> FunctionRef | BuiltIn:
        if function.built_in is not None:
            for file in function.files:
                file.ref = self._file_ref(file)
            return function.placed()
        result_id = self._functions.get(function.content_id)
        if result_id is None:
            result_id = self._stand_in()
            self._functions[function.content_id] = result_id
            data, path = files.store(self._run.folder, [function.container])
            self._created.append(
                Created(stand_in=result_id, name=function.name, data=data, path=path)
            )
        return FunctionRef(function.content_id, result_id, function.name, function.concurrency)

    def _uploaded(self, environment: Environment) -> Environment:
        """The environment with the places of its wheels: those of the task, or new ones.

        Raises:
            UsageError: A wheel is not on this machine: only the client's is sure to have it.
        """
        from pymonik.environments import local_packages  # few tasks send packages

        places = {file.digest: file.result_id for file in self._meta.environment.files}
        for file in environment.files:
            place = places.get(file.digest) or self._wheels.get(file.digest)
            if place is None:
                place = self._wheels[file.digest] = self._stand_in()
                data, path = files.store(self._run.folder, local_packages.container(file))
                created = Created(stand_in=place, name=file.name, data=data, path=path)
                self._created.append(created)
            places[file.digest] = place
        return environment.at(places)

    def _add(
        self,
        function: FunctionRef | BuiltIn,
        calls: Sequence[Packed],
        options: TaskOptions,
        environment: Environment,
    ) -> list[ResultState]:
        """One task for all of the calls; the states of their values."""
        meta = PayloadMeta(
            function=function,
            calls=tuple(self._call_meta(packed) for packed in calls),
            environment=environment,
            bundle=self._meta.bundle,
            settings=self._meta.settings,
            run=options.label or "",
            nonce=self._meta.nonce,
            chunked=len(calls) > 1 or fails_as_value(function),
            locals=self._meta.locals,
            log_level=self._meta.log_level,
            archive=archive_of(function),
            board=self._meta.board,
            traces=self._traces(),
        )
        output = self._pend(meta, [blob for packed in calls for blob in packed.blobs], options)
        places = range(len(calls)) if meta.chunked else (WHOLE,)
        return [ResultState(self, function.name, output, item) for item in places]

    def _traces(self) -> tuple[dict[str, str], ...]:
        """The context that subtasks carry which are submitted now."""
        carried = self.trace if self.span is None else self.span()
        return (carried,) if carried else ()

    def _call_meta(self, packed: Packed) -> CallMeta:
        refs = (
            ResultRef(self._id_of(ref), ref._state.item, ref._state.output) for ref in packed.refs
        )
        files = tuple(map(self._file_ref, packed.files)) if packed.files else ()
        return CallMeta(len(packed.blobs), tuple(refs), files)

    def _file_ref(self, file: Sealed) -> FileRef:
        """A file that a subtask needs: of the task's own inputs, or a new result."""
        return file.ref if file.is_uploaded else self._outgoing.alone(file)

    @property
    def _outgoing(self) -> Outgoing:
        from pymonik.executor.outgoing import Outgoing  # few subtasks are given files

        # `None` for the folder, so that files are copied and not taken away: the call may go on
        # with them.
        return Outgoing(self._run, self, None)

    def _pend_again(
        self,
        index: int,
        call: CallMeta,
        blobs: Sequence[Buffer],
        earlier: int,
        options: TaskOptions,
    ) -> None:
        """Have one of the calls of this task run as another one, in whose result its value is."""
        first, indexes = self._meta.numbers_of(index, index + 1)
        meta = PayloadMeta(
            function=self._meta.function,
            calls=(call,),
            environment=self._meta.environment,
            bundle=self._meta.bundle,
            settings=self._meta.settings,
            run=self._meta.run,
            nonce=self._meta.nonce,
            chunked=self._meta.chunked,
            earlier=earlier,
            locals=self._meta.locals,
            log_level=self._meta.log_level,
            board=self._meta.board,
            first=first,
            indexes=indexes,
            archive=self._meta.archive,
            traces=self._meta.traces_of([index]),
        )
        output = self._pend(meta, blobs, options)
        item = 0 if meta.chunked else WHOLE
        self._delegate(ResultState(self, self._meta.function.name, output, item))

    def _pend(self, meta: PayloadMeta, blobs: Sequence[Buffer], options: TaskOptions) -> str:
        output = self._stand_in()
        name = meta.function.name
        self._subtasks.append(_Pending(self._stand_in(), output, name, meta, blobs, options))
        return output

    def _id_of(self, handle: Referable) -> str:
        result_id = handle._state.result_id
        if result_id is None or (result_id.startswith(NEW) and handle._state.session is not self):
            raise UsageError("a handle of another session or task was passed; pass its value")
        return result_id

    def _put(self, value: Packed, name: str) -> ResultState:
        if value.refs:
            raise UsageError("a value with handles in it cannot be put; put the handles' values")
        stand_in = self._stand_in()
        data, path = files.store(self._run.folder, opened_result.join_value(value))
        self._created.append(Created(stand_in=stand_in, name=name, data=data, path=path))
        return ResultState(self, name, stand_in)

    def _payload(self, pending: _Pending) -> Created:
        known = dict(list(self._functions.items())[-_MAX_FUNCTIONS:])
        meta = rebound(msgspec.structs.replace(pending.meta, functions=known), self._aliases)
        data, path = files.store(self._run.folder, containers.join(meta, pending.blobs))
        name = f"{pending.name} payload"
        return Created(stand_in=pending.payload, name=name, data=data, path=path)


def _together(calls: Sequence[Packed], size: int) -> Iterator[Sequence[Packed]]:
    """Calls for each task: as many as asked for, unless they wait for different results."""
    # Without a size one call each: a task hears nothing of how long its subtasks take.
    size = min(size, MOST_CALLS) or 1
    group: list[Packed] = []
    needed: set[int] = set()
    for call in calls:
        # A task starts when all that its calls need is there, so a call would wait for its
        # neighbours' inputs too.
        needs = {id(ref._state) for ref in call.refs}
        if group and (len(group) >= size or needs != needed):
            yield group
            group = []
        group.append(call)
        needed = needs
    if group:
        yield group


def _travelling(options: TaskOptions) -> TaskOptions:
    """What the parent needs of a subtask's options: the payload has the other two."""
    return msgspec.structs.replace(options, environment=None, label=None)


def _refuse(what: str) -> NoReturn:
    raise UsageError(
        f"a task cannot {what}: return the handle, pass it to another task, "
        "or submit that task with delegate=True"
    )
