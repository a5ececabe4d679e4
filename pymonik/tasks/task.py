"""`Task`: a function whose calls can be sent.

A call of a task runs here; `Task.invoke` packs the arguments, hands a `Submission` to the session
and gives a handle. How it is sent is the session's business.
"""

from __future__ import annotations

import functools
import types
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

import msgspec

from pymonik.code import codec, packed_function, places
from pymonik.code.fingerprint import Fingerprint, fingerprint
from pymonik.code.packed_function import HEAVY_BYTES, PackedFunction
from pymonik.code.references import Named
from pymonik.code.settings import baselines
from pymonik.context.task_context import PymonikContext, get_context
from pymonik.errors import ArgumentsError, UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.options import TaskOptions, call_options, check_text, refuse_unknown
from pymonik.quantities import positive_s
from pymonik.seeds import Seed, checked_seed
from pymonik.session.again import note_dependants
from pymonik.session.current import session_of
from pymonik.session.protocol import Series, Session, SessionOwner, Submission
from pymonik.session.run import Run, SingleCalls
from pymonik.tasks.arguments import Parameters
from pymonik.tasks.given import (
    METHOD_HINTS,
    NOT_GIVEN,
    TASK_HINTS,
    TASK_KEYWORDS,
    args_list,
    checked_concurrency,
    checked_exceptions,
    checked_max_queued,
    checked_setup,
    chunk_size_of,
    gives_files,
    name_of,
    output_names,
)
from pymonik.tasks.keywords import with_prefix
from pymonik.wire.call import MOST_CALLS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta

    from pymonik.cache.finding import Finding
    from pymonik.code.codec import Packed
    from pymonik.session.remote import RemoteSession
    from pymonik.tasks.lambdas import LambdaTask
    from pymonik.tasks.methods import BoundTask
    from pymonik.tasks.resumed import Batch

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

# Types that may stand for an argument: its handle, or a container that holds handles.
Later: TypeAlias = "ResultHandle[Any] | MultiResultHandle[Any] | list[Any] | dict[Any, Any]"

_STATE: Final = (
    "func",
    "name",
    "require_context",
    "options",
    "retry_on",
    "of_class",
    "collects",
    "setup",
    "retry_backoff_s",
    "outputs",
    "has_folder",
    "concurrency",
)


class Task(Named, Generic[P, R]):
    """A function that can be invoked; calling it runs it here, as if it were not a task.

    Attributes:
        func: The function.
        name: What ArmoniK's tools show; two tasks may have the same.
        require_context: The function's first parameter is a `PymonikContext`, which callers omit.
        options: Those of the task; a call may say otherwise.
        retry_on: Exceptions after which the task is tried again.
        of_class: The function's first parameter is a class: ``@task`` above ``@classmethod``.
        collects: The value of a generator is the list of what it yields. So it is for a function
            under ``@task``; `Task` itself takes any callable, and sends what that returns.
        setup: Called once in each executor, before its first call; ``ctx.setup`` is what it gave.
        cache: Whether values of earlier calls are taken where code and arguments are the same.
        retry_backoff_s: Seconds before the second attempt, then twice as long each time.
        outputs: Names and patterns of files that a call leaves in its folder, and that are kept.
        has_folder: Each call has a folder of its own, even without files among its arguments.
        concurrency: How many calls of an ``async`` function one executor runs at the same time.
    """

    func: Callable[P, R]
    name: str
    require_context: bool
    options: TaskOptions
    retry_on: tuple[type[BaseException], ...]
    of_class: bool
    collects: bool
    setup: Callable[[], object] | None
    cache = False
    retry_backoff_s: float
    outputs: tuple[str, ...]
    has_folder: bool
    concurrency: int
    __name__: str
    _pack_call = staticmethod(codec.pack_call)

    def __init__(
        self,
        func: Callable[P, R],
        require_context: bool = False,  # noqa: FBT001, FBT002 - as older programs write it
        func_name: str | None = None,
        task_options: object = None,
        *,
        partition: str | None = None,
        max_duration: timedelta | float | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        environment: object = None,
        label: str | None = None,
        memory: int | str | None = None,
        retry_on: type[BaseException] | Iterable[type[BaseException]] = (),
        setup: Callable[[], object] | None = None,
        cache: bool = False,
        retry_backoff: timedelta | float | None = None,
        outputs: str | Iterable[str] = (),
        concurrency: int = 1,
        **unknown: NoReturn,
    ) -> None:
        refuse_unknown("@task", unknown, TASK_KEYWORDS, TASK_HINTS)
        function: Any = func.func if isinstance(func, Task) else func
        of_class = isinstance(function, classmethod)
        if of_class:
            function = function.__func__
        if not callable(function):
            kind = type(function).__name__
            raise UsageError(f"a task wraps a function or another callable, not a {kind}")
        options = TaskOptions.shortcuts(
            task_options,
            partition=partition,
            max_duration=max_duration,
            priority=priority,
            max_retries=max_retries,
            environment=environment,
            label=label,
            memory=memory,
        )
        name = func_name or name_of(function)
        check_text("function_name", name)
        exceptions = checked_exceptions(retry_on)
        made = output_names(outputs)
        has_folder = bool(made) or gives_files(function)
        state = (
            function,
            name,
            require_context,
            options,
            exceptions,
            of_class,
            False,
            checked_setup(setup),
            0.0 if retry_backoff is None else positive_s(retry_backoff, "retry_backoff"),
            made,
            has_folder,
            checked_concurrency(concurrency, function, made),
        )
        self.__setstate__(state)
        self.cache = bool(cache)
        baselines.look()

    @staticmethod
    def from_lambda(
        source: str | os.PathLike[str], handler: str, *, name: str | None = None, **options: Any
    ) -> LambdaTask:
        """Make a handler in the shape of AWS Lambda a `Task`: JSON in, JSON out.

        Each call has one event, which handles may stand in; each item of `map_invoke` is an event.
        The zip is uploaded once for a session and unpacked once on a machine. It stands first on
        the path of executors that serve no other zip, and what its modules keep stays for the next
        event. Nothing is pickled: client and worker may have different Pythons. Calling the task
        runs the handler here.

        Args:
            source: A zip, or a folder, which is packed as it is now.
            handler: ``"module.function"``.
            name: What ArmoniK's tools show, and ``context.function_name``; by default the function.
            options: As for `task`: ``max_duration``, ``max_retries``, ``environment`` and so on.
                A call also takes ``pmk_client_context``, a dict.

        Raises:
            UsageError: The zip is none, holds what it may not, or has no such handler.
        """
        from pymonik.tasks.lambdas import from_lambda  # most programs have none

        return from_lambda(source, handler, name=name, **options)

    # -- as PymoniK 0.2 had it -----------------------------------------------------------------

    @property
    def func_name(self) -> str:
        """The name under its older name."""
        return self.name

    @property
    def task_options(self) -> TaskOptions:
        """The options under their older name."""
        return self.options

    # -- as a value ----------------------------------------------------------------------------

    def __getstate__(self) -> tuple[object, ...]:
        return self.parts()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        functools.update_wrapper(self, state[0])
        for name, value in zip(_STATE, state, strict=True):
            setattr(self, name, value)
        self._cache: tuple[Fingerprint, PackedFunction] | None = None
        self._method: Task[..., R] | None = None
        self._signature: tuple[object, bool, Parameters] | None = None
        self.__dict__.pop("_single_calls", None)
        self.__dict__.pop("_series", None)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Plain pickle takes a task of a module as it takes a function: by its name there.
        qualname = getattr(self, "__qualname__", "")
        if qualname and places.found(self.__module__, qualname) is self:
            return qualname
        return super().__reduce_ex__(protocol)

    def wrapped(self) -> object:
        """The function."""
        return self.func

    def parts(self) -> tuple[object, ...]:
        """All that the task consists of, in the order of `_STATE`."""
        # Written out: it is asked for at each call.
        return (
            self.func,
            self.name,
            self.require_context,
            self.options,
            self.retry_on,
            self.of_class,
            self.collects,
            self.setup,
            self.retry_backoff_s,
            self.outputs,
            self.has_folder,
            self.concurrency,
        )

    def essence(self) -> tuple[object, ...]:
        """What decides which value a call gives."""
        return (
            self.func,
            self.require_context,
            self.retry_on,
            self.of_class,
            self.collects,
            self.setup,
            self.outputs,
        )

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    if not TYPE_CHECKING:  # a type checker is to refuse these names

        def __getattr__(self, name: str) -> Any:
            if name not in METHOD_HINTS:  # as Python says it, or the error of a property of ours
                return object.__getattribute__(self, name)
            text = f"a task has no {name!r}: write {self.name}.{METHOD_HINTS[name]}"
            raise AttributeError(text, name=name, obj=self)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Task[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> BoundTask[R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Task[P, R] | BoundTask[R]:
        if not isinstance(self.func, types.FunctionType):
            return self
        if instance is None and not self.of_class:
            return self
        from pymonik.tasks.methods import BoundTask  # few tasks are methods

        if self.of_class:
            return BoundTask(self._as_method(), type(instance) if owner is None else owner)
        return BoundTask(self._as_method(), instance)

    def _as_method(self) -> Task[..., R]:
        if not self.require_context:
            return self
        if self._method is None:
            from pymonik.tasks.methods import ContextSecond

            function = ContextSecond(self.func)
            options, retry_on = self.options, self.retry_on
            self._method = Task(
                function,
                require_context=True,
                func_name=self.name,
                task_options=options,
                retry_on=retry_on,
                setup=self.setup,
                cache=self.cache,
                retry_backoff=self.retry_backoff_s or None,
                outputs=self.outputs,
                concurrency=self.concurrency,
            )
        return self._method

    # -- calls ---------------------------------------------------------------------------------

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here; a context that it requires is added unless it is given."""
        __tracebackhide__ = True
        if self.require_context and not (args and isinstance(args[0], PymonikContext)):
            function = cast("Callable[..., R]", self.func)
            return function(_context(), *args, **kwargs)
        return self.func(*args, **kwargs)

    @overload
    def invoke(self, /, *args: P.args, **kwargs: P.kwargs) -> ResultHandle[R]: ...
    @overload
    def invoke(
        self,
        /,
        *,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,
        task_options: object = ...,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        **kwargs: Any,
    ) -> ResultHandle[R]: ...
    @overload
    def invoke(
        self: Task[Concatenate[A, Q], R],
        a: A | Later,
        /,
        *,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,
        task_options: object = ...,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        **kwargs: Any,
    ) -> ResultHandle[R]: ...
    @overload
    def invoke(
        self: Task[Concatenate[A, B, Q], R],
        a: A | Later,
        b: B | Later,
        /,
        *,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,
        task_options: object = ...,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        **kwargs: Any,
    ) -> ResultHandle[R]: ...
    @overload
    def invoke(
        self: Task[Concatenate[A, B, C, Q], R],
        a: A | Later,
        b: B | Later,
        c: C | Later,
        /,
        *,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,
        task_options: object = ...,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        **kwargs: Any,
    ) -> ResultHandle[R]: ...
    @overload
    def invoke(
        self: Task[Concatenate[A, B, C, D, Q], R],
        a: A | Later,
        b: B | Later,
        c: C | Later,
        d: D | Later,
        /,
        *args: Any,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,
        task_options: object = ...,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        **kwargs: Any,
    ) -> ResultHandle[R]: ...
    # A function may have parameters of these names; `_check_reserved` says so.
    def invoke(  # type: ignore[misc]
        self,
        /,
        *args: object,
        pymonik: Session | SessionOwner | None = None,
        delegate: bool = False,
        task_options: object = None,
        **kwargs: object,
    ) -> ResultHandle[R]:
        """Run the function as a task; gives at once a handle for its value.

        Args:
            args: Of the function; handles in them, at any depth, arrive as their values.
            pymonik: The client to use; by default the current one.
            delegate: In a task only: the value takes the place of the running task's own.
            task_options: Over those of the task; ``pmk_priority=2``, ``pmk_environment={...}``
                and the like go over both.
            kwargs: Of the function, and options: those of `keywords.UNPREFIXED` (``label``,
                ``seed``...) unless the function takes a keyword of that name, and ``pmk_label``,
                ``pmk_seed``... in any case. ``seed`` makes ``ctx.rng`` give the same numbers again,
                ``cache`` takes the value of an earlier call, see `task`.

        Raises:
            UsageError: No session is active, or an option is unknown.
            ArgumentsError: The arguments do not fit; also a `TypeError`.
            SerializationError: An argument or the function cannot be pickled.
        """
        __tracebackhide__ = True
        options, seed, cache = self.options, None, self.cache
        if kwargs or task_options is not None:
            self._check_reserved(pymonik, task_options, delegate=delegate)
            with_prefix(kwargs, self._parameters)
            seed = checked_seed(kwargs.pop("pmk_seed", None))
            cache = bool(kwargs.pop("pmk_cache", cache))
            options = self._call_options(task_options, kwargs)
        elif pymonik is not None or delegate:
            self._check_reserved(pymonik, task_options, delegate=delegate)
        # Before anything is pickled: a call with wrong arguments is an error at its own line.
        self._parameters.check(self.name, args, kwargs)
        call = self._pack_call(args, kwargs, seed=None if seed is None else Seed(seed, 0))
        session = session_of(pymonik)
        finding: Finding | None = None
        if cache and not delegate:
            finding = self._finding(session)
            call = finding.packed(call, args, kwargs, seed)
        elif call.nbytes > HEAVY_BYTES and not delegate:
            call = self._lighter(session, call, args, kwargs, seed)
        submission = Submission(
            self.packed(), (call,), options, delegate, run=self._single_calls, finder=finding
        )
        if self.concurrency > 1:
            submission = self._with_others(submission)
        handle: ResultHandle[R] = ResultHandle(session.submit(submission)[0])
        if call.refs:
            note_dependants((handle,), (call,))
        return handle

    def _lighter(
        self,
        session: Session,
        call: Packed,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        seed: int | None,
    ) -> Packed:
        """The call with references to its large arguments, which are stored once."""
        if not hasattr(session, "heavy"):  # in a task: its values go with it when it has ended
            return call
        from pymonik.tasks import heavy  # few calls are

        remote = cast("RemoteSession", session)
        remote.weights.look_at_arguments(self.name, call.nbytes)
        shared = heavy.places(remote, (*args, *kwargs.values()), self.name)
        if not shared:
            return call
        return self._pack_call(args, kwargs, shared, None if seed is None else Seed(seed, 0))

    def _with_others(self, submission: Submission) -> Submission:
        """A call that may share a task with others that are submitted in the same moment."""
        size = 1 if submission.delegate else min(self.concurrency, MOST_CALLS)
        return msgspec.structs.replace(submission, chunk_size=size, series=self._series)

    @functools.cached_property
    def _series(self) -> Series:
        return Series()

    @overload
    def map_invoke(
        self: Task[Concatenate[A, Q], R],
        /,
        iterable: Iterable[A | Later | tuple[Any, ...] | dict[str, Any]],
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,  # noqa: FBT001
        task_options: object = ...,
        *,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        pmk_max_queued: int | None = ...,
        max_queued: int | Later | None = ...,
        seed: int | Later | None = ...,
        chunk_size: int | Literal["auto"] = ...,
        **kwargs: Any,
    ) -> MultiResultHandle[R]: ...
    @overload
    def map_invoke(
        self,
        /,
        iterable: Iterable[tuple[Any, ...] | dict[str, Any]] = ...,
        pymonik: Session | SessionOwner | None = ...,
        delegate: bool = ...,  # noqa: FBT001
        task_options: object = ...,
        *,
        pmk_priority: int | None = ...,
        pmk_max_retries: int | None = ...,
        pmk_max_duration: timedelta | float | None = ...,
        pmk_partition: str | None = ...,
        pmk_options: Mapping[str, str] | None = ...,
        pmk_label: str | None = ...,
        pmk_memory: int | str | None = ...,
        pmk_seed: int | None = ...,
        pmk_cache: bool = ...,
        priority: int | Later | None = ...,
        max_retries: int | Later | None = ...,
        max_duration: timedelta | float | Later | None = ...,
        pmk_max_queued: int | None = ...,
        max_queued: int | Later | None = ...,
        seed: int | Later | None = ...,
        chunk_size: int | Literal["auto"] = ...,
        **kwargs: Any,
    ) -> MultiResultHandle[R]: ...
    def map_invoke(
        self,
        /,
        iterable: Iterable[object] = NOT_GIVEN,
        pymonik: Session | SessionOwner | None = None,
        delegate: bool = False,  # noqa: FBT001, FBT002 - as older programs write it
        task_options: object = None,
        *,
        chunk_size: int | Literal["auto"] = "auto",
        **kwargs: object,
    ) -> MultiResultHandle[R]:
        """Run the function once for each item; gives at once their handles, in order.

        What an item means: a tuple holds the positional arguments; a dict holds the keyword
        arguments, unless the function has one parameter only; anything else is the one argument.
        So for a function of one parameter each item is its argument, but a tuple is unpacked:
        ``(x,)`` passes ``x``, and a tuple as the argument is written ``((1, 2),)``.

        Args:
            iterable: The items; one that is empty gives no handles.
            pymonik: The client to use; by default the current one.
            delegate: As in `invoke`; for a single item only.
            task_options: As in `invoke`.
            chunk_size: How many calls share a task of the cluster, which costs more than a short
                call: a number (at most 4 096), or ``"auto"``: the first calls go alone, and those
                that turn out to be short then share tasks of half a second. Each call still has
                a handle, a value and an error of its own. In a task, ``"auto"`` means 1.
            kwargs: Passed to each call, and options as in `invoke`. ``save_to``: where the files
                of each call are saved as it ends, such as ``"batch/task_{i}_{name}"``; with
                ``resume=True`` a call does not run again whose files are there and were made by
                this very call: the same code, arguments and files. ``max_queued``: how many calls
                may be queued or run; others are drawn from the iterable and submitted as these end.
                Without an iterable, ``args_list`` is one, as older programs call it.

        Raises:
            UsageError: As in `invoke`; the message has the index of the item.
        """
        from pymonik.tasks.mapping import Items, map_items  # executors map rarely

        __tracebackhide__ = True
        if iterable is NOT_GIVEN:
            iterable = args_list(self.name, kwargs)
        self._check_reserved(pymonik, task_options, delegate=delegate)
        with_prefix(kwargs, self._parameters)
        seed = checked_seed(kwargs.pop("pmk_seed", None))
        cache = bool(kwargs.pop("pmk_cache", self.cache))
        most = checked_max_queued(kwargs.pop("pmk_max_queued", None))
        session = session_of(pymonik)
        batch = self._batch(session, kwargs, delegate=delegate)
        options = self._call_options(task_options, kwargs)
        finding = self._finding(session) if cache and not delegate else None
        submission = Submission(
            self.packed(),
            (),
            options,
            delegate,
            chunk_size_of(self.concurrency if self._runs_together(chunk_size) else chunk_size),
            run=self._new_run(options),
            finder=finding,
        )
        items = Items(
            iterable,
            self.name,
            self._parameters,
            kwargs,
            seed,
            finding,
            self._pack_call,
            batch,
        )
        if not delegate:
            return map_items(items, session, submission, most)
        calls = list(items.packed())
        if len(calls) != 1:
            raise UsageError(
                f"delegate=True takes one call, not {len(calls)}: one value takes the place of "
                "the running task's"
            )
        return MultiResultHandle(map(ResultHandle, session.submit(submission.of(calls))))

    def _runs_together(self, chunk_size: object) -> bool:
        return self.concurrency > 1 and chunk_size == "auto"

    def _batch(self, session: Session, keywords: dict[str, Any], *, delegate: bool) -> Batch | None:
        """What saves the files of calls; takes its options out of ``keywords``.

        Raises:
            UsageError: The calls give no files.
        """
        save_to, resume = keywords.pop("pmk_save_to", None), keywords.pop("pmk_resume", False)
        if save_to is None:
            if resume:
                raise UsageError("resume=True needs save_to=: it looks at the files that lie there")
            return None
        if delegate:
            raise UsageError("save_to= is for programs: a task has no folder to save to")
        if not self._gives_files():
            raise UsageError(
                f"save_to= saves files, and {self.name} gives none: name them with outputs=, or "
                "annotate that it returns a File"
            )
        from pymonik.tasks.resumed import Batch  # few maps save files

        return Batch(self, save_to, session, resumes=bool(resume))

    def _gives_files(self) -> bool:
        """Whether its calls leave files that can be saved."""
        return self.has_folder

    def _finding(self, session: Session) -> Finding:
        from pymonik.cache.finding import Finding  # most programs have no task with a cache

        return Finding(self, self.name, session)

    def _new_run(self, options: TaskOptions) -> Run:
        run = Run(self, self.name, options.label or "", self._parameters.names)
        run.options = options
        return run

    @functools.cached_property
    def _single_calls(self) -> Run:
        return SingleCalls(self, self.name, self.options.label or "", self._parameters.names)

    # -- the function as it travels ------------------------------------------------------------

    def packed(self) -> PackedFunction:
        """The function pickled as it is now; pickled again only if it may have changed."""
        cache = self._cache
        if cache is not None and cache[0].holds():
            return cache[1]
        mark = fingerprint(self)  # before pickling: a change meanwhile shows
        packed = packed_function.pack_function(self, self.name)
        self._cache = None if mark is None else (mark, packed)
        return packed

    def adopt(self, content_id: str) -> None:
        """Tell a task that was just unpickled by which id it is known."""
        if (mark := fingerprint(self)) is not None:
            self._cache = (mark, _Adopted(content_id, self.name, self))

    # -- options -------------------------------------------------------------------------------

    def _call_options(self, task_options: object, keywords: dict[str, Any]) -> TaskOptions:
        """Options of a call over those of the task; takes them out of ``keywords``."""
        __tracebackhide__ = True
        return call_options(task_options, keywords).over(self.options)

    # -- parameters ----------------------------------------------------------------------------

    @property
    def _parameters(self) -> Parameters:
        known = self._signature
        if known is None or known[0] is not self.func or known[1] is not self.require_context:
            parameters = Parameters(self.func, skip_first=self.require_context)
            known = self._signature = (self.func, self.require_context, parameters)
        return known[2]

    def _check_reserved(self, pymonik: object, task_options: object, *, delegate: bool) -> None:
        __tracebackhide__ = True
        if not self._parameters.reserved:
            return
        given = {"pymonik": pymonik, "task_options": task_options, "delegate": delegate or None}
        for name in self._parameters.reserved:
            if given.get(name) is not None:
                raise ArgumentsError(
                    f"{self.name}() has a parameter {name!r}, which invoke uses itself: pass it by "
                    "position, or rename it"
                )


class _Adopted(PackedFunction):
    """A function that is known to be uploaded: pickled only if somebody asks for its bytes."""

    def __init__(self, content_id: str, name: str, task: Task[..., Any]) -> None:
        object.__setattr__(self, "content_id", content_id)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "built_in", None)
        object.__setattr__(self, "files", ())
        object.__setattr__(self, "concurrency", task.concurrency)
        # Weakly, since the task keeps this: whoever asks for the bytes has the task.
        object.__setattr__(self, "_task", weakref.ref(task))

    @property
    def container(self) -> bytes:
        return packed_function.pack_function(cast("Any", self)._task(), self.name).container


def _context() -> PymonikContext:
    try:
        return get_context()
    except UsageError:
        return PymonikContext.from_local()
