"""The decorator `task`: it only wraps a function in a `Task`."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from pymonik.options import refuse_unknown
from pymonik.tasks.given import TASK_HINTS, TASK_KEYWORDS
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from pymonik.context.task_context import PymonikContext

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class WithContext(Protocol):
    """What ``task(require_context=True)`` gives: the context is no parameter of the task."""

    @overload
    def __call__(self, func: Callable[Concatenate[PymonikContext, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[A, PymonikContext, P], R], /
    ) -> Task[Concatenate[A, P], R]: ...


@overload
def task(func: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    require_context: Literal[True],
    function_name: str | None = None,
    task_options: object = None,
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
) -> WithContext: ...
@overload
def task(
    *,
    require_context: Literal[False] = False,
    function_name: str | None = None,
    task_options: object = None,
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
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    require_context: bool = False,
    function_name: str | None = None,
    **options: Any,
) -> Any:
    """Make a function a `Task`: ``@task``, or ``@task(...)`` with options.

    Args:
        func: The function, where there are no options.
        require_context: The function's first parameter is a `PymonikContext`; callers omit it.
        function_name: What ArmoniK's tools show, instead of the function's own name.
        options: ``task_options``, and ``partition``, ``max_duration`` (a `timedelta` or seconds),
            ``priority``, ``max_retries``, ``environment``, ``label``, ``memory`` (such as
            ``"2G"``: what the task may use with all that it starts) over it; ``retry_on``:
            exceptions after which the task is tried again; ``retry_backoff``: seconds before the
            second attempt, then twice as long each time; ``setup``: a function without
            arguments, called once in each executor before its first call of the task, which finds
            what it returned as ``ctx.setup``; ``cache``: take the values of earlier calls with
            the same code and arguments, in this session or another; ``outputs``: names and
            patterns of the files that a call leaves in its folder, which its handle then has as
            ``files``; ``concurrency``: how many calls of an ``async`` function one executor runs at
            the same time: those of a map, and single ones that are made in the same moment.

    Raises:
        ArgumentsError: There is no such option; the message has all of them.
    """
    refuse_unknown("@task", options.keys() - set(TASK_KEYWORDS), TASK_KEYWORDS, TASK_HINTS)

    def wrap(function: Callable[..., Any]) -> Task[..., Any]:
        made: Task[..., Any] = Task(function, require_context, function_name, **options)
        made.collects = True
        return made

    return wrap if func is None else wrap(func)
