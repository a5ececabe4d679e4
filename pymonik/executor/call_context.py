"""The context of the calls of a task: made when one asks for it, with what it can say and ask."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.context.task_context import PymonikContext
from pymonik.errors import UsageError
from pymonik.executor.packed_options import copied

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    from pymonik.executor.frames import Run
    from pymonik.executor.share import Share
    from pymonik.executor.subtasks import SubtaskSession
    from pymonik.wire.call import PayloadMeta


class ContextOf:
    """Gives the context of the calls of a task, made for the first that asks: most never do."""

    def __init__(
        self,
        run: Run,
        meta: PayloadMeta,
        session: SubtaskSession,
        share: Share,
        rng: Callable[[], Generator],
        place: int = -1,
    ) -> None:
        self._place = place
        self._run = run
        self._share = share
        self._rng = rng
        self._meta = meta
        self._session = session

    def __call__(self) -> PymonikContext:
        """The context; the same each time."""
        return self._context

    @cached_property
    def _context(self) -> PymonikContext:
        # Calls alike share both; what one changes in its own is not what the next one finds.
        environment = self._meta.environment
        variables = dict(environment.env_variables)
        return PymonikContext(
            session=self._session,
            task_id=self._run.task_id,
            session_id=self._run.session_id,
            attempt=self._run.attempt + self._meta.earlier,
            options=copied(self._session.options),
            environment=msgspec.structs.replace(environment, env_variables=variables),
            partition=self._session.options.partition_id or "",
            expected_results=(self._run.output_id,) if self._run.output_id else (),
            is_stopping=self._share.is_stopping,
            rng=self._rng,
            live=_LiveOf(
                self._run, self._run.attempt + self._meta.earlier, self._share, self._place
            ),
            task_handler=self._handler,
        )

    def _handler(self) -> Any:
        try:
            from pymonik.executor.task_handler import task_handler  # the package of ArmoniK is slow
        except ImportError as error:
            text = f"task_handler needs the package 'armonik' in the task's environment: {error}"
            raise UsageError(text) from error
        chunked, ask = self._meta.chunked, self._share.ask_agent
        return task_handler(self._run, self._session, chunked=chunked, ask=ask)


class _LiveOf:
    """What the calls of a task can say and ask while they run: a `LiveSide` of the context."""

    def __init__(self, run: Run, attempt: int, share: Share, place: int) -> None:
        self._place = place
        self._run = run
        self._attempt = attempt
        self._reporting = share.reporting

    def report(self, fields: dict[str, object], keep: int, output_id: str) -> None:
        output = output_id or self._run.output_id or self._run.task_id
        self._reporting.report(self._run, self._attempt, fields, keep, output, self._place)

    def progress(self, done: float, total: float | None) -> None:
        if self._reporting.may_tell_progress(is_last=done == total):
            self.report({"done": done, "total": total}, 0, "")

    def board(self) -> dict[str, Any]:
        return self._reporting.board()


def have_own_decimals() -> None:
    """Copy the context of `decimal` in the present context, if anything uses it yet.

    A `contextvars.Context` that is copied has the same object of `decimal` as the one before, and
    what calls change is the object: the next call would find it.
    """
    decimal = sys.modules.get("decimal")
    # A thread that a call has left may be importing it at this moment.
    if (put := getattr(decimal, "setcontext", None)) is not None:
        put(decimal.getcontext().copy())  # type: ignore[union-attr]
