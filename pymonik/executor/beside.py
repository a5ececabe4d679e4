"""`Beside`: one of several calls of a task that run at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code.outcome import outcome_awaited
from pymonik.executor.call_context import ContextOf
from pymonik.executor.call_inputs import CallInputs, ElsewhereError
from pymonik.executor.run import Attempt
from pymonik.executor.subtasks import SubtaskSession
from pymonik.seeds import RandomNumbers

if TYPE_CHECKING:
    import contextvars

    from pymonik.executor.run import Ended, Made


class Beside(Attempt):
    """A call that runs beside others of its task; see `pymonik.executor.together.OneCall`."""

    def __init__(self, attempt: Attempt, index: int) -> None:
        # The function and its code are shared by the calls of a task; what belongs to one call is
        # made anew.
        vars(self).update(vars(attempt))
        # Every attribute below holds what one call changes; calls that shared it would see each
        # other's.
        self._context_of_calls = None
        self._index = index
        self.is_late = False
        self._inputs = CallInputs(self._run, self)
        self._workplace = None
        self._teller = attempt._teller.beside()
        # The prefix keeps stand-ins of neighbouring calls apart: all of them go into one report.
        self._session = SubtaskSession(self._run, self._meta, f"{index}-")
        self._random = RandomNumbers()
        self._context = ContextOf(
            self._run, self._meta, self._session, self._share, self._random.generator, index
        )
        if self._function.setup is not None:
            self._context().setup = attempt._context().setup
        if traces := self._meta.traces_of([index]):
            (self._session.trace,) = traces
        self._mark = self._session.begin_call()

    @property
    def surroundings(self) -> contextvars.Context:
        """The context of the call."""
        return self._surroundings()

    async def awaited(self) -> Ended:
        """The value of the call, or the failure that stands in its place."""
        try:
            made = await self._awaited()
        # An asyncio task that raised would end the loop, and with it the neighbours of this call.
        except BaseException as error:  # noqa: BLE001 - user code, SystemExit included
            # `is_late` says that `Together` cancelled the call for want of time: it is no failure,
            # but runs again alone, without what it had submitted.
            if not self.is_late:
                return self._failed(self._index, error)
            self._session.undo(self._mark)
            self._session.reroute({}, self._index, self._untouched(self._index))
            return self._elsewhere()
        finally:
            self.let_go()
        return self._ended(made)

    async def _awaited(self) -> Made | None:
        if self._spans is None:
            return await self._value()
        with self._spans.call(self._index, self._session) as span:
            span.enter()  # the context is this call's own
            return await self._value()

    async def _value(self) -> Made | None:
        try:
            args, kwargs = self._arguments(self._index)
            function = self._function
            value = await outcome_awaited(function.func, args, kwargs, collects=function.collects)
            return self._given(value)
        except ElsewhereError as elsewhere:
            self._run_later(self._index, elsewhere)
            return None
        finally:
            if self._workplace is not None:  # the current folder is everybody's, so it stays
                self._workplace.leave()
                self._workplace = None
