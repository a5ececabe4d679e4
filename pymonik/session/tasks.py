"""Tasks on their way out and under way, as the machine keeps them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from pymonik.code.packed_function import PackedFunction
from pymonik.code.with_calls import NO_CODE
from pymonik.session.labels import title
from pymonik.wire.call import RUN_LABEL, WHOLE, fails_as_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.references import Referable
    from pymonik.code.with_calls import Code
    from pymonik.options import TaskOptions
    from pymonik.session.result import ResultState
    from pymonik.session.series import Series
    from pymonik.wire.call import PayloadMeta

TASK_BYTES = 512  # about what a task takes in memory and in its request besides the arguments


class Stage(enum.Enum):
    """Where a task is.

    ::

        WAITING ──► LEAVING ──► SENT
    """

    WAITING = enum.auto()
    LEAVING = enum.auto()  # its request is under way: the control plane may not know it yet
    SENT = enum.auto()


class Awaited:
    """A result whose end ends states of ours.

    Attributes:
        result_id: ``""`` until it is known.
        states: Those that it ends: the value itself, or items of it.
        inputs: Handles of what the calls need: they are not forgotten before the end.
        is_ours: Whether no calls but those of ``states`` share the result.
    """

    __slots__ = ("inputs", "is_ours", "result_id", "states")

    def __init__(
        self,
        result_id: str,
        states: list[ResultState],
        inputs: Sequence[Referable] = (),
        *,
        is_ours: bool = False,
    ) -> None:
        self.result_id = result_id
        self.states = states
        self.inputs = inputs
        self.is_ours = is_ours

    def leave_series(self) -> None:
        """Nothing to do: only tasks of this program's own maps are of a series."""


class OutgoingTask(Awaited):
    """A task of this session: one call, or several that share a result.

    Attributes:
        calls: Until they were sent.
        code: What of the program they need besides their function.
        chunked: Whether the result holds a list of items.
        payload: The result that holds the payload, once it is stored, or the payload itself.
        dependencies: The results that the payload needs.
        is_chosen: Whether it is one of the batch that is put together just now.
        is_doubtful: Whether a request for it was sent that nobody answered.
        is_cancelled: Whether it is to be cancelled as soon as it was sent.
        wants_seconds: Whether its result is read for how long the calls took.
    """

    __slots__ = (
        "calls", "chunked", "code", "dependencies", "function", "is_cancelled", "is_chosen",
        "is_doubtful", "nbytes", "options", "payload", "series", "stage", "task_id",
        "wants_seconds",
    )  # fmt: skip

    def __init__(
        self,
        function: PackedFunction,
        calls: Sequence[Packed],
        options: TaskOptions,
        states: list[ResultState],
        series: Series | None = None,
        code: Code = NO_CODE,
    ) -> None:
        refs: Sequence[Referable]
        if len(calls) == 1:  # as in most tasks; generators would take longer than all the rest
            refs, nbytes = calls[0].refs, calls[0].nbytes
        else:
            refs = [ref for call in calls for ref in call.refs]
            nbytes = sum([call.nbytes for call in calls])
        super().__init__("", states, refs, is_ours=True)
        self.function = function
        self.calls = calls
        self.options = options
        self.series = series
        self.code = code
        self.chunked = len(calls) > 1 or fails_as_value(function.built_in)
        self.payload: str | bytes = ""
        self.dependencies: Sequence[str] = ()
        self.task_id = ""
        self.stage = Stage.WAITING
        self.is_chosen = False
        self.is_doubtful = False
        self.is_cancelled = False
        self.wants_seconds = False
        self.nbytes = TASK_BYTES + nbytes
        for state in states:
            state.awaited = self

    @property
    def name(self) -> str:
        """The name of its results: the function, and the label of the run."""
        options = self.options
        return title(self.function.name, options.label or options.options.get(RUN_LABEL, ""))

    @property
    def uploads(self) -> tuple[str, ...]:
        """Keys of what has to be uploaded before the task: its function, and files.

        Packages of the session's environment are uploaded with the first task of any function.
        """
        bundle, own = self.code.bundle, self.options.environment
        keys = [] if self.function.built_in else [self.function.content_id]
        if bundle is not None:
            keys.append(bundle.digest)
        if own is not None and own.files:
            keys += [file.digest for file in own.files]
        return tuple(keys)

    def leave_series(self) -> None:
        """Make room for another task of the same calls."""
        if self.series is not None:
            self.series.under_way -= 1
            self.series = None

    def number_items(self) -> None:
        """Give each call its place in the result; once, when it is certain which calls are sent."""
        if self.chunked:
            for number, state in enumerate(self.states):
                state.item = number

    def give_id(self, result_id: str) -> None:
        """The result that the task is to produce."""
        self.result_id = result_id
        for state in self.states:
            state.result_id = result_id

    def give_task_id(self, task_id: str) -> None:
        """The id under which the task was submitted."""
        self.task_id = task_id
        for state in self.states:
            state.task_id = task_id

    def was_sent(self) -> None:
        """Let go of the arguments."""
        self.stage = Stage.SENT
        self.calls = ()
        self.payload = ""
        self.dependencies = ()


class RepeatedTask(OutgoingTask):
    """An earlier task for another time: with the payload that the cluster has, and a new result.

    Args:
        name: Of the function.
        payload: The result that is the payload.
        dependencies: What the payload needs.
        options: Those of the earlier task.
        states: Of its calls; items have their places.
        chunked: Whether the result holds a list of items.
        meta: The head of the payload, for records.
    """

    __slots__ = ("meta",)

    def __init__(
        self,
        name: str,
        payload: str,
        dependencies: Sequence[str],
        options: TaskOptions,
        states: list[ResultState],
        *,
        chunked: bool,
        meta: PayloadMeta,
    ) -> None:
        super().__init__(PackedFunction("", name, b""), (), options, states)
        self.meta = meta
        self.payload = payload
        self.dependencies = dependencies
        self.chunked = chunked

    @property
    def uploads(self) -> tuple[str, ...]:
        """Nothing: all of it was uploaded before."""
        return ()

    def number_items(self) -> None:
        """Nothing to do: items have the places that the payload gives them."""


def is_item(state: ResultState) -> bool:
    """Whether the value is one of several in its result."""
    return state.item != WHOLE
