"""What handles offer to people who look at calls; `pymonik.handles` puts it into its classes.

Whatever a look needs is imported by the look: programs that only compute, and executors, which
import handles too, load none of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pymonik.errors import UsageError
from pymonik.options import TaskOptions, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from pymonik.runs.attempts import Attempt
    from pymonik.runs.history import History
    from pymonik.runs.reasons import Why
    from pymonik.runs.repair import Repair
    from pymonik.runs.stages import Stages
    from pymonik.session.result import ResultState


class CallLook:
    """What a handle of one call offers."""

    __slots__ = ()
    _state: ResultState

    if TYPE_CHECKING:

        def __init__(self, state: ResultState) -> None: ...
        def result(self, timeout: float | None = None) -> Any:
            """The value."""

    @property
    def index(self) -> int | None:
        """The number of the call among the items of its `map_invoke`; ``None`` for others."""
        return self._state.index if self._state.index >= 0 else None

    @property
    def status(self) -> str:
        """``"pending"``, ``"ok"``, ``"failed"`` or ``"cancelled"``; nobody is asked for it."""
        from pymonik.runs.table import status

        return status(self._state)

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments of the call, made anew; handles are handles.

        Raises:
            UsageError: They are not kept: large ones, and those of handles made from ids.
        """
        return self._arguments()[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments of the call; see `args`."""
        return self._arguments()[1]

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        from pymonik.runs.called import arguments

        return arguments(self._state, type(self), lambda one: type(self)(one).result())

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt at the call: worker, seconds and cause; asks the control plane."""
        from pymonik.runs.attempts import attempts

        return attempts(self._state)

    @property
    def is_live(self) -> bool:
        """Whether what the call prints and reports is heard while it runs; see `Pymonik.is_live`.

        Elsewhere it is heard when its task has ended.
        """
        live = getattr(self._state.session, "live", None)
        return live is not None and live.is_live

    def reports(self) -> list[dict[str, Any]]:
        """What the call has reported so far, with `PymonikContext.report` or ``progress``.

        Each is a dict of ``at`` (seconds since the epoch), ``count``, and the fields.
        """
        from pymonik.runs.reports import reports_of

        return reports_of(self._state)

    @property
    def record(self) -> dict[str, Any]:
        """What the call has reported last; empty before."""
        found = self.reports()
        return found[-1] if found else {}

    def follow(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """What the call reports, from the first on, as it comes, until the call has ended.

        Args:
            timeout: Seconds to wait for each; ``None`` waits without limit.

        Raises:
            WaitTimeoutError: Nothing came for so long.
        """
        from pymonik.runs.reports import follow

        return follow(self._state, timeout)

    def next_report(self, timeout: float | None = None) -> dict[str, Any]:
        """The next of what the call reports, each given once; waits for it.

        Raises:
            WaitTimeoutError: Nothing came within ``timeout`` seconds, or the call has ended.
        """
        from pymonik.runs.reports import next_report

        return next_report(self._state, timeout)

    def logs(self) -> str:
        """What the call has printed, on both streams: the last 64 KiB; also when it failed.

        While it runs, and where its worker was killed, this is what came on the way, if there is
        one: see `Pymonik.is_live`.
        """
        from pymonik.runs.logs import logs_of

        return logs_of(self._state)

    def why(self) -> Why:
        """Why the call has not ended; asks the control plane, and prints as text."""
        from pymonik.runs.watch import why_states

        return why_states([self._state], title([self._state]))

    def locals(self) -> dict[str, str]:
        """The local variables where the call failed, as they were printed there, shortened.

        Raises:
            UsageError: It has not failed, or they were not sent.
        """
        from pymonik.runs.replay import locals_of

        return locals_of(self._state)

    def rerun(
        self,
        *,
        with_: Callable[..., Any] | None = None,
        cascade: bool = False,
        **options: Any,
    ) -> Repair:
        """Run the call again; the handle stands for the new one. See `CallsLook.rerun`."""
        from pymonik.runs.repair import rerun

        return rerun([self], [self], with_, options_of(options), cascade=cascade)

    def history(self) -> History:
        """What happened to the call: created, started, reports, end, run again; prints as text.

        Asks the control plane.
        """
        from pymonik.runs.history import of_call

        return of_call(self._state, lambda state: type(self)(state).result())

    def replay(self, *, pdb: bool = False, with_: Callable[..., Any] | None = None) -> Any:
        """Run the call here, now, with the same arguments; gives or raises what the function does.

        Args:
            pdb: Open the debugger where it raises.
            with_: Another function, or task, to run instead.

        Raises:
            UsageError: The arguments are not kept, or the function is not known.
            BaseException: What the function raises.
        """
        __tracebackhide__ = True
        from pymonik.runs.replay import replay

        return replay(self._state, lambda needed: type(self)(needed).result(), with_, pdb=pdb)


class CallsLook:
    """What handles of several calls offer."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, handles: Sequence[Any] = ()) -> None: ...
        @property
        def _handles(self) -> list[Any]: ...
        def rows(self) -> list[dict[str, Any]]:
            """A dict for each call."""

    @property
    def failed(self) -> Self:
        """The calls that have failed so far; cancelled ones are none of them.

        Of calls that another program has made the control plane is asked which have ended.
        """
        return type(self)(self._with_status("failed"))

    @property
    def running(self) -> Self:
        """The calls whose task a worker has now; asks the control plane."""
        from pymonik.runs.watch import running

        tasks = running([one._state for one in self._handles])
        return type(self)(
            [
                one
                for one in self._handles
                if not one._state.is_final and one._state.task_id in tasks
            ]
        )

    def slowest(self, number: int = 10) -> Self:
        """The calls that took longest, the slowest first, of those that gave a value."""
        from pymonik.runs.figures import read_heads, seconds_of

        read_heads(one._state for one in self._handles)
        timed = [(seconds_of(one._state), one) for one in self._handles]
        known = [pair for pair in timed if pair[0] is not None]
        known.sort(key=lambda pair: -(pair[0] or 0.0))
        return type(self)([one for _, one in known[:number]])

    def rerun(
        self,
        which: Iterable[Any] | None = None,
        *,
        with_: Callable[..., Any] | None = None,
        cascade: bool = False,
        **options: Any,
    ) -> Repair:
        """Run calls again; their handles stand for the new ones, here and in every list of them.

        Calls that failed because one of these had failed follow by themselves.

        Args:
            which: Handles of calls that have ended; by default those that failed or were cancelled.
            with_: Another function, or task, to run instead of their own.
            cascade: Have those follow too that have used an old value.
            options: ``partition``, ``memory``, ``max_retries``... over those of the calls.

        Raises:
            UsageError: Arguments of one of them are not known any more; then none is run again.
        """
        from pymonik.runs.repair import rerun

        given = options_of(options)
        chosen = self._with_status("failed", "cancelled") if which is None else _calls(which)
        return rerun(self._handles, chosen, with_, given, cascade=cascade)

    def history(self) -> History:
        """What happened to the calls; prints as a line for each that was run again."""
        from pymonik.runs.history import of_calls

        kind = type(self._handles[0]) if self._handles else None
        return of_calls(self._states(), lambda state: kind(state).result() if kind else None)

    def stages(self) -> Stages:
        """Where the time of each call went; prints as percentiles. Asks the control plane."""
        from pymonik.runs.stages import stages

        return stages(self._states())

    def df(self) -> Any:
        """The calls as a `pandas.DataFrame`; see `rows`.

        Raises:
            UsageError: pandas is not installed.
        """
        from pymonik.runs.table import frame

        return frame(self.rows())

    def logs(self, *, grep: str | None = None) -> str:
        """What the calls have printed, each line behind ``[function number]``.

        Args:
            grep: A regular expression: only lines in which it is found.
        """
        from pymonik.runs.logs import logs_of_all

        return logs_of_all(self._states(), grep)

    def why(self) -> Why:
        """Why those that have not ended have not; asks the control plane, and prints as text."""
        from pymonik.runs.watch import why_states

        states = self._states()
        return why_states(states, title(states))

    def __str__(self) -> str:
        from pymonik.runs.hearing import hear_once
        from pymonik.runs.snapshot_lines import line
        from pymonik.runs.tally import Tally

        states = self._states()
        hear_once(states)
        return line(Tally(states, title(states), started(states)).look(time.time()))

    def _repr_html_(self) -> str:
        """What notebooks show of it, as it is now."""
        from pymonik.runs.notebook import NotebookView

        states = self._states()
        view = NotebookView(states, title(states), started(states))
        return view.html(view.look())

    def _ipython_display_(self) -> None:
        """Show it in a notebook, and go on until all have ended.

        Raises:
            NotImplementedError: This is no notebook: IPython then prints it.
        """
        from pymonik.runs.notebook import NotebookView, is_notebook

        if not is_notebook():
            raise NotImplementedError
        states = self._states()
        NotebookView(states, title(states), started(states)).show()

    def _states(self) -> list[ResultState]:
        return [one._state for one in self._handles]

    def _with_status(self, *wanted: str) -> list[Any]:
        from pymonik.runs.hearing import hear_of_found
        from pymonik.runs.table import status

        hear_of_found(self._states())
        return [one for one in self._handles if status(one._state) in wanted]


def _calls(which: Any) -> list[Any]:
    """Handles as `rerun` takes them.

    Raises:
        UsageError: There is something else among them.
    """
    calls = [which] if isinstance(which, CallLook) else which
    if isinstance(calls, str) or not isinstance(calls, Iterable):
        raise UsageError(f"rerun() takes handles of calls, not {type(which).__name__}")
    calls = list(calls)
    for one in calls:
        if not isinstance(one, CallLook):
            raise UsageError(f"rerun() takes handles of calls, not {type(one).__name__}")
    return calls


def options_of(given: dict[str, Any]) -> TaskOptions:
    """Options as `rerun` takes them.

    Raises:
        ArgumentsError: There is no such option.
    """
    known = ("task_options", "partition", "max_duration", "priority", "max_retries", "environment",
             "memory")  # fmt: skip
    refuse_unknown("rerun()", given.keys() - set(known), known)
    return TaskOptions.shortcuts(**given)


def title(states: Sequence[ResultState]) -> str:
    """Function and label of calls; of several functions, how many."""
    runs = {state.run and state.run.root for state in states}
    run = runs.pop() if len(runs) == 1 else None
    if run is not None:
        return run.title
    names = {state.name for state in states}
    return names.pop() if len(names) == 1 else f"{len(states)} calls"


def started(states: Sequence[ResultState]) -> float:
    """When the first of them was submitted, in seconds since the epoch; now, if nobody knows."""
    return min(
        (state.run.root.started for state in states if state.run is not None), default=time.time()
    )
