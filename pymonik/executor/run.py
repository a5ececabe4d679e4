"""The child's side of a call: read the inputs, call the function, pack what it gave."""

from __future__ import annotations

import contextvars
import sys
import time
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.code import codec
from pymonik.code.finder import bundles
from pymonik.code.outcome import finished, is_lazy, outcome
from pymonik.code.outputs import Outputs
from pymonik.code.prepared import prepared
from pymonik.code.references import Referable
from pymonik.code.settings import applied
from pymonik.context.task_context import enter
from pymonik.errors import DependencyFailedError, SerializationError, UsageError
from pymonik.executor import files, task_logging
from pymonik.executor.back_off import back_off
from pymonik.executor.cache import BuiltInFunction
from pymonik.executor.call_context import ContextOf, have_own_decimals
from pymonik.executor.call_inputs import CallInputs, ElsewhereError
from pymonik.executor.endings import Failed, Retry, margin_s
from pymonik.executor.frames import Report
from pymonik.executor.measures import Measures, origin_of, with_printed
from pymonik.executor.submission import is_new
from pymonik.executor.subtasks import SubtaskSession
from pymonik.executor.telling import Teller
from pymonik.seeds import RandomNumbers
from pymonik.session.current import activate
from pymonik.wire import containers
from pymonik.wire.call import (
    ONE_BLOB,
    Command,
    FunctionRef,
    ItemMeta,
    LambdaHandler,
    PayloadMeta,
    ResultMeta,
    ResultRef,
)
from pymonik.wire.failure import Failure, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymonik.code.codec import Packed
    from pymonik.executor.beside import Beside
    from pymonik.executor.cache import FunctionCache, Runnable
    from pymonik.executor.frames import Created, Run
    from pymonik.executor.run_spans import CallSpan, RunSpans
    from pymonik.executor.share import Share
    from pymonik.executor.workplace import Workplace
    from pymonik.wire.call import BuiltIn, FileRef, Origin
    from pymonik.wire.command_lines import Ran
    from pymonik.wire.containers import Buffer

    Made = tuple[ItemMeta, Sequence[Buffer]]
    Ended = tuple[ItemMeta, Sequence[Buffer], bool]  # ... and whether that is all it gave
    _Chunk = tuple[list[ItemMeta], list[Buffer], list[ResultRef]]


_SMALL_OUTPUT = 64 * 1024  # bytes; a larger output is a result of its own


def execute(
    run: Run,
    functions: FunctionCache,
    share: Share,
    memory_error: Callable[[], MemoryError] | None = None,
) -> Report | Failed | Retry:
    """Run the calls of one task; whatever happens in them is told in the answer.

    Args:
        run: The task.
        functions: Those loaded before.
        share: Of the calls, if there are several.
        memory_error: Gives what to say of a `MemoryError`, where there is a limit.
    """
    teller = Teller(run, memory_error)
    attempt = None
    try:
        attempt = Attempt(run, functions, share, teller)
        return attempt.report()
    except _RetryWantedError as wanted:
        return Retry(_with_output(teller.failure(wanted.error), share))
    except BaseException as error:  # noqa: BLE001 - user code, SystemExit included
        return Failed(_with_output(teller.failure(error), share))
    finally:
        if attempt is not None:
            attempt.let_go()


def _with_output(failure: Failure, share: Share) -> Failure:
    """The failure of a task of one call with what that has printed: nothing else tells it."""
    share.call_ended(failure.seconds)
    if not share.printed.is_something:
        return failure
    output, turns = share.printed.last_of(0)
    return msgspec.structs.replace(failure, output=output, output_turns=turns)


class _RetryWantedError(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Attempt:
    """One attempt at a task: at its call, or at its calls one after the other."""

    _spans: RunSpans | None = None  # of calls that are followed
    _span: CallSpan | None = None  # of the present one

    def __init__(
        self,
        run: Run,
        functions: FunctionCache,
        share: Share,
        teller: Teller,
    ) -> None:
        self._run = run
        self._share = share
        self._teller = teller
        self._inputs = CallInputs(run, self)
        self._meta, self._blobs = _payload(run)
        self._starts = [0, *accumulate(call.blobs for call in self._meta.calls)]
        teller.meta = self._meta
        task_logging.level.follow(self._meta.log_level)
        bundles.enter(run.code)
        self._sessions: list[SubtaskSession] = []  # of calls that run at the same time
        self._session = SubtaskSession(run, self._meta)
        self._mark = self._session.begin_call()
        self._random = RandomNumbers()
        # The context is the same for all calls of the task, the numbers are of one.
        self._context = ContextOf(run, self._meta, self._session, share, self._random.generator)
        self._context_of_calls: contextvars.Context | None = None
        self._workplace: Workplace | None = None
        self._made = self._way_of(self._meta.function)
        self._started = time.monotonic()
        self._faults: dict[str, int] = {}  # calls that failed among others, by kind
        self._function = self._runnable(functions)
        applied.apply(self._meta.settings)
        if run.code:
            share.is_loaded()
        if self._function.retry_backoff_s:
            back_off(self._function.retry_backoff_s, run.attempt + self._meta.earlier)
        if (setup := self._function.setup) is not None:
            self._context().setup = self._surroundings().copy().run(prepared, setup)
        if self._meta.traces:  # last: what was imported until now may have set a provider
            self._follow()
        is_function = isinstance(self._meta.function, FunctionRef)
        self._is_plain = is_function and not self._function.has_folder and self._spans is None

    def _follow(self) -> None:
        """Have calls make spans, if there is anywhere to send them."""
        from pymonik.executor import run_spans  # most programs are not followed

        self._session.trace = self._meta.traces[0]
        self._spans = run_spans.of(self._run, self._meta, self._share)
        if self._spans is not None:
            self._made = partial(self._followed, self._made)

    def _followed(self, made_by: Callable[[int], Made | None], index: int) -> Made | None:
        """What a call gives that runs within a span."""
        assert self._spans is not None
        with self._spans.call(index, self._session) as self._span:
            made = made_by(index)
            if made is not None and made[0].failed:
                self._span.failed(decode(made[1][0]).raised[0].name)
            return made

    def _runnable(self, functions: FunctionCache) -> Runnable:
        function = self._meta.function
        if not isinstance(function, FunctionRef):
            return BuiltInFunction(function.name)
        place = function.result_id
        return functions.get(function.content_id, lambda: files.load(self._run.input(place)))

    def let_go(self) -> None:
        """Cut what refers back to the attempt, so that its arguments go with it.

        The collector of cycles counts objects, not bytes: sixty tasks with an argument of 3 MB each
        do not make it run, and would keep 180 MB until something else does.
        """
        del self._made, self._inputs

    def report(self) -> Report:
        """Run the calls; gives what the parent is to know.

        Raises:
            BaseException: What the only call raises; of several calls none does.
        """
        output = self._chunk() if self._meta.chunked else self._single()
        data, path = output
        sessions = [one for one in (self._session, *self._sessions) if one.has_news()]
        if not self._faults and not sessions:
            return Report(task_id=self._run.task_id, output=data, output_path=path)
        return Report(
            task_id=self._run.task_id,
            output=data,
            output_path=path,
            created=[
                *(created for one in sessions for created in one.created()),
                *self._told_faults(),
            ],
            subtasks=[subtask for one in sessions for subtask in one.subtasks()],
            forgotten=tuple(result_id for one in sessions for result_id in one.forgotten),
            faults=self._faults,
        )

    def _told_faults(self) -> list[Created]:
        if not self._faults:
            return []
        from pymonik.executor import failed_calls  # most executors never need it

        return [failed_calls.told(self._meta, self._faults)]

    # -- one call ------------------------------------------------------------------------------

    def _single(self) -> tuple[bytes | None, str | None]:
        measures = Measures()
        try:
            made = self._outcome(0)
        except Exception as error:
            if issubclass(type(error), self._function.retry_on):
                raise _RetryWantedError(error) from error
            raise
        if made is None or not self._run.output_id:
            return None, None
        measures.ended(measures.began, time.monotonic())
        self._share.call_ended(measures.seconds)
        item, blobs = made
        meta = ResultMeta(
            items=(item,),
            seconds=measures.seconds,
            origin=self._origin(measures),
            figures=measures.figures(),
        )
        return self._stored(meta, blobs)

    def _stored(self, meta: ResultMeta, blobs: Sequence[Buffer]) -> tuple[bytes | None, str | None]:
        """A result with what its calls have printed, as bytes or as a file."""
        printed = self._share.printed
        if printed.is_something:
            parts, sizes = printed.columns(len(meta.items))
            meta, blobs = with_printed(meta, blobs, parts, sizes)
        segments = containers.join(meta, blobs)
        for item in meta.items:
            if item is not ONE_BLOB and is_new(item):
                return b"".join(segments), None  # the parent has ids to fill in
        return files.store(self._run.folder, segments)

    def _origin(self, measures: Measures) -> Origin:
        return origin_of(self._run, self._meta.earlier, measures.started)

    def _outcome(self, index: int) -> tuple[ItemMeta, Sequence[Buffer]] | None:
        """What a call gives, ``None`` when another result takes its place."""
        call = self._meta.calls[index]
        if self._is_plain and not (call.refs or call.files):
            return self._plainly(index)
        self._inputs.let_go_of_arrays()
        try:
            return self._made(index)
        except ElsewhereError as elsewhere:
            self._run_later(index, elsewhere)
            return None
        finally:
            if self._workplace is not None:
                self._workplace.leave()
                self._workplace = None

    def _way_of(self, function: FunctionRef | BuiltIn) -> Callable[[int], Made | None]:
        """How a call of such a function gives its value."""
        if isinstance(function, Command):
            return self._command
        return self._handled if isinstance(function, LambdaHandler) else self._called

    def _plainly(self, index: int) -> Made | None:
        """`_called` where no handle and no file is among the arguments, as in most calls."""
        packed = self._blobs.cut(self._starts[index], self._starts[index + 1])
        args, kwargs, seed = codec.arguments_of(codec.unpack(packed))
        self._random.begin(seed)
        self._teller.begin(args, kwargs)
        if self._function.require_context:
            args = (self._context(), *args)
        function, session = self._function, self._session
        context = self._context_of_call()
        value = context.run(function.func, *args, **kwargs)
        if type(value) in codec.PLAIN and not (session.is_changed or session.is_output_given):
            return ONE_BLOB, (codec.plain(value),)
        if is_lazy(value):
            value = context.run(finished, value, collects=function.collects)
        return self._given(value)

    def _called(self, index: int) -> Made | None:
        args, kwargs = self._arguments(index)
        if self._workplace is not None or self._function.has_folder:
            self._place.enter()
        return self._given(self._call(args, kwargs))

    def _arguments(self, index: int) -> tuple[Sequence[object], Mapping[str, object]]:
        """What the function is called with."""
        call = self._meta.calls[index]
        in_files = self._file_slots(call.files)
        packed_call = codec.unpack(self._blobs_of(index), self._inputs.slots(call.refs), in_files)
        args, kwargs, seed = codec.arguments_of(packed_call)
        self._random.begin(seed)
        self._teller.begin(args, kwargs)
        if self._function.require_context:
            args = (self._context(), *args)
        return args, kwargs

    def _given(self, value: object) -> Made | None:
        """The value of a call as it stands in the result; ``None`` when another takes its place."""
        if type(value) is Outputs:
            return self._several(value)
        packed = self._packed(value)
        if packed is None:
            return None
        if self._workplace is None and not packed.files:
            return ItemMeta(len(packed.blobs)), packed.blobs
        return self._with_files(packed)

    def _run_later(self, index: int, elsewhere: ElsewhereError) -> None:
        """Have a call run when what it needs is there.

        A result that was lost meanwhile makes the control plane refuse everything that this task
        did. So a call with neighbours first gets a task of its own, which finds out again.
        """
        blobs, retries = self._blobs_of(index), self._run.max_retries
        if len(self._meta.calls) > 1:
            self._session.reroute({}, index, blobs)
        elif 0 < retries < self._run.attempt:
            text = "an argument is the result of a call that failed, and stands nowhere any more"
            raise DependencyFailedError(text)
        else:
            self._session.reroute(elsewhere.refs, index, blobs, elsewhere.files, elsewhere.outputs)

    def _call(self, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        function = self._function
        context = self._context_of_call()
        if self._span is not None:
            context.run(self._span.enter)
        return context.run(outcome, function.func, args, kwargs, collects=function.collects)

    def _context_of_call(self) -> contextvars.Context:
        """Each call has a copy: variables that it sets are gone at the next call."""
        context = self._context_of_calls or self._surroundings()
        if not self._meta.chunked:  # it is the only call
            return context
        context = context.copy()
        context.run(have_own_decimals)
        return context

    def _surroundings(self) -> contextvars.Context:
        """The context of every call: session and task."""
        # No `cached_property`: its lock takes as long as all that stands here.
        if self._context_of_calls is None:
            self._context_of_calls = contextvars.copy_context()
            self._context_of_calls.run(self._enter)
        return self._context_of_calls

    def _enter(self) -> None:
        activate(self._session)
        enter(self._context)
        have_own_decimals()

    def _packed(self, value: object) -> Packed | None:
        if self._session.is_output_given:
            if value is None:
                return None
            raise UsageError(
                "the task gave its output through task_handler and returned a value too; "
                "return nothing"
            )
        delegated = self._session.delegated
        if delegated is not None:
            if value is None or (isinstance(value, Referable) and value._state is delegated):
                return None
            raise UsageError(
                "the task delegated its result and returned a value too; return nothing, or the "
                "handle of the subtask"
            )
        if isinstance(value, Referable):
            self._session.delegate_to(value)
            return None
        # An array that a call returns may be filled again by the next call of its chunk: then it is
        # copied.
        packed = codec.pack(value, label="result", copy=self._meta.chunked)
        if packed.refs:
            self._session.delegate_value(value)
            return None
        return packed

    # -- several outputs -----------------------------------------------------------------------

    def _several(self, values: Outputs) -> Made | None:
        """Small outputs together in the value of the call, each large one as its own result.

        Whoever is given one output downloads that and the small ones.
        """
        if self._session.delegated is not None or self._session.is_output_given:
            self._packed(values)  # raises: the value is given twice
        packed = {name: codec.pack(value, label=name, copy=True) for name, value in values.items()}
        if any(one.refs for one in packed.values()):
            # The outputs of the call that fills the handles in are told apart in turn.
            self._session.delegate_value(values)
            return None
        outputs: list[tuple[str, ItemMeta]] = []
        blobs: list[Buffer] = []
        for name, one in packed.items():
            if one.nbytes > _SMALL_OUTPUT and not one.files:
                (state,) = self._session.put([one], [f"{self._meta.function.name} {name}"])
                outputs.append((name, ItemMeta(0, ref=state.place)))
                continue
            item, more = self._with_own_files(one)
            outputs.append((name, item))
            blobs += more
        rest = ItemMeta(0)
        if self._workplace is not None:
            rest, more = self._with_files(codec.Packed((), 0), first_blob=len(blobs))
            blobs += more
        return ItemMeta(len(blobs), files=rest.files, outputs=tuple(outputs)), blobs

    def _with_own_files(self, packed: Packed) -> Made:
        """One output with the files that are in it."""
        if not packed.files:
            return ItemMeta(len(packed.blobs)), packed.blobs
        from pymonik.executor.outgoing import Outgoing  # few calls give files

        outgoing = Outgoing(self._run, self._session, None)  # copied: an output may be both
        refs, more = outgoing.send(packed.files, len(packed.blobs))
        return ItemMeta(len(packed.blobs) + len(more), files=refs), [*packed.blobs, *more]

    # -- arguments -----------------------------------------------------------------------------

    def _blobs_of(self, index: int) -> list[memoryview]:
        return self._blobs.cut(self._starts[index], self._starts[index + 1])

    def _untouched(self, index: int) -> list[memoryview]:
        """The arguments of a call as they came, whatever it did to its arrays."""
        _, blobs = _payload(self._run)
        return blobs.cut(self._starts[index], self._starts[index + 1])

    # -- files ---------------------------------------------------------------------------------

    @property
    def _place(self) -> Workplace:
        """The folder of the present call."""
        if self._workplace is None:
            from pymonik.executor.workplace import Workplace  # few calls have files

            self._workplace = Workplace(
                self._run, is_reused=isinstance(self._meta.function, Command)
            )
        return self._workplace

    def _file_slots(self, refs: Sequence[FileRef]) -> Callable[[int], object] | None:
        return (lambda slot: self._place.file(refs[slot])) if refs else None

    def file(self, ref: FileRef, data: Any) -> object:
        """A file in a value that is an argument; see `pymonik.code.references.Reader`."""
        return self._place.file(ref, data)

    def completed(self, ran: Ran, files: dict[str, Any]) -> object:
        """What a command gave, as an argument."""
        from pymonik.files.completed import Completed  # most executors never need it

        return Completed.of(ran, files)

    def _with_files(
        self, packed: Packed, first_blob: int | None = None
    ) -> tuple[ItemMeta, Sequence[Buffer]]:
        """A value with the files that are in it, and the outputs of the call.

        Args:
            packed: The value.
            first_blob: Number of a file's first blob; by default it is behind those of ``packed``.
        """
        from pymonik.executor.outgoing import Outgoing  # few calls give files

        place = self._workplace
        sealed = list(packed.files)
        if place is not None:
            place.check_linked()
            outputs, unmatched = place.matched(self._function.outputs)
            for pattern in unmatched:
                print(f"pymonik: no file matches the output {pattern!r}", file=sys.stderr)  # noqa: T201
            known = {(file.ref.name, file.ref.digest) for file in sealed}
            more = (place.output(name)._seal() for name in outputs)
            sealed += [file for file in more if (file.ref.name, file.ref.digest) not in known]
        outgoing = Outgoing(self._run, self._session, place)
        refs, blobs = outgoing.send(sealed, len(packed.blobs) if first_blob is None else first_blob)
        count = len(packed.blobs) + len(blobs)
        return ItemMeta(count, files=refs), [*packed.blobs, *blobs]

    def _handled(self, index: int) -> tuple[ItemMeta, Sequence[Buffer]]:
        # Most executors never need it.
        from pymonik.executor import lambda_call
        from pymonik.executor.lambda_context import LambdaContext

        definition = self._meta.function
        if not isinstance(definition, LambdaHandler):
            raise TypeError("the task runs no handler")
        self._teller.begin((), {})
        value = self._inputs.slots(self._meta.calls[index].refs)
        event, client_context = lambda_call.arguments(self._blobs_of(index), value)
        self._teller.begin((event,), {})
        context = LambdaContext(
            definition,
            self._run,
            index=index,
            started=self._started,
            client_context=client_context,
            pymonik=self._context,
        )
        handler = lambda_call.handler_of(definition.handler)
        surroundings = self._surroundings().copy()
        surroundings.run(have_own_decimals)
        if self._span is not None:
            surroundings.run(self._span.enter)
        given = surroundings.run(outcome, handler, (event, context), {}, collects=False)
        return lambda_call.answer(given)

    def _command(self, index: int) -> tuple[ItemMeta, Sequence[Buffer]]:
        # Most executors never need it.
        from pymonik.executor.command_call import CommandCall
        from pymonik.executor.outgoing import Outgoing

        self._teller.begin((), {})
        started = time.time()
        call, command, place = self._meta.calls[index], self._meta.function, self._place
        if not isinstance(command, Command):
            raise TypeError("the task runs no command")
        values = self._inputs.slots(call.refs)
        one = CommandCall(command, call, self._blobs_of(index), values, place, self._context)
        outgoing = Outgoing(self._run, self._session, place)
        return one.outcome(outgoing, lambda: origin_of(self._run, self._meta.earlier, started))

    # -- several calls, one result -------------------------------------------------------------

    def _chunk(self) -> tuple[bytes | None, str | None]:
        measures = Measures()
        self._share.claims.begin()
        if self._function.concurrency > 1 and len(self._meta.calls) > 1:
            items, blobs, elsewhere = self._all_together(measures)
        else:
            from pymonik.executor.in_turn import in_turn  # single calls never need it

            items, blobs, elsewhere = in_turn(
                self._item, len(self._meta.calls), self._share, measures
            )
        if self._faults:
            self._keep_failed(items)
        items += [ItemMeta(0, ref=ref) for ref in elsewhere]
        meta = ResultMeta(
            items=tuple(items),
            chunked=True,
            seconds=measures.seconds,
            origin=self._origin(measures),
            figures=measures.figures(),
        )
        return self._stored(meta, blobs)

    def _keep_failed(self, items: Sequence[ItemMeta]) -> None:
        from pymonik.executor.kept_calls import kept_calls  # few tasks have any

        _, blobs = _payload(self._run)  # as they came, whatever calls did to their arrays
        starts = self._starts
        self._session.add(
            kept_calls(
                self._run,
                self._meta,
                items,
                lambda place: blobs.cut(starts[place], starts[place + 1]),
            )
        )

    def _item(self, index: int) -> Ended:
        """What stands in the result for a call, and whether it left nothing besides."""
        if self._session.is_changed:
            self._mark = self._session.begin_call()
        try:
            made = self._outcome(index)
        except BaseException as error:  # noqa: BLE001 - user code, SystemExit included
            return self._failed(index, error)
        if made is not None and made[0] is ONE_BLOB:
            return *made, True
        return self._ended(made)

    def _failed(self, index: int, error: BaseException) -> Ended:
        """What stands in the result for a call that has raised something."""
        self._session.undo(self._mark)
        if issubclass(type(error), self._function.retry_on) and self._may_retry():
            self._session.again(index, self._untouched(index))
            return self._elsewhere()
        failure = self._teller.failure(error)
        self._count_fault(failure)
        return ItemMeta(1, failed=True), (encode(failure),), True

    def _ended(self, made: Made | None) -> Ended:
        """What stands in the result for a call that has ended well."""
        if made is None:
            return self._elsewhere()
        item, blobs = made
        if item.failed:  # a command says so itself
            self._count_fault(decode(blobs[0]))
        return item, blobs, not self._session.is_changed

    def _count_fault(self, failure: Failure) -> None:
        kind = failure.raised[0].name
        self._faults[kind] = self._faults.get(kind, 0) + 1

    # -- several calls at the same time --------------------------------------------------------

    def _all_together(self, measures: Measures) -> _Chunk:
        from pymonik.executor.together import Together  # asyncio is slow to import

        together = Together(
            self._share,
            self._beside,
            len(self._meta.calls),
            self._function.concurrency,
            self._time_s(),
        )
        ended = together.run()
        measures.ended_together(together.seconds)
        blobs = [blob for _, some, _ in ended for blob in some]
        return [item for item, _, _ in ended], blobs, together.elsewhere

    def _time_s(self) -> float | None:
        """Seconds until calls that have not ended run again alone: a moment before the parent acts.

        The parent ends the whole process then, and with it calls that are not late.
        """
        limit = self._run.options.max_duration
        if limit is None:
            return None
        seconds = limit.total_seconds()
        return seconds - 1.5 * margin_s(seconds)

    def _beside(self, index: int) -> Beside:
        """One of the calls, with what it has for itself."""
        from pymonik.executor.beside import Beside  # few tasks run calls at the same time

        one = Beside(self, index)
        self._sessions.append(one._session)
        return one

    def _elsewhere(self) -> Ended:
        delegated = self._session.delegated
        if delegated is None or delegated.result_id is None:
            raise SerializationError("a call gave neither a value nor a result")
        return ItemMeta(0, ref=ResultRef(delegated.result_id, delegated.item)), (), False

    def _may_retry(self) -> bool:
        return self._run.attempt <= self._run.max_retries


def _payload(run: Run) -> tuple[PayloadMeta, containers.Blobs]:
    return containers.split_payload(files.load(run.input(run.payload_id)))
