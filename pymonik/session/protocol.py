"""`Session`: where tasks are submitted. The control plane for a client, the agent for a task."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, Protocol

import msgspec

from pymonik.code.with_calls import NO_CODE, Code
from pymonik.options import TaskOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.opened_result import OpenedResult
    from pymonik.code.packed_function import PackedFunction
    from pymonik.session.cached import Finder
    from pymonik.session.result import Observer, ResultState
    from pymonik.session.run import Run
    from pymonik.wire.environment import Environment


_NO_OPTIONS: Final = TaskOptions()
AUTO: Final = 0  # of `Submission.chunk_size`
BATCH_TASKS: Final = 1000  # of one request, at most


class Series:
    """Submissions that belong together: what is known of their calls carries over."""


class Submission(msgspec.Struct, frozen=True):
    """Calls of one function that are submitted together.

    Attributes:
        options: Those of the call over those of the function; the session's are underneath.
        delegate: The (only) result takes the place of the running task's own.
        chunk_size: How many calls share a task and its result; `AUTO`: as their durations say.
        series: The same in several submissions that belong together.
        code: What of the program the calls need besides; the session finds out.
        run: What the calls have in common for people; ``None`` where nobody looks, as in a task.
        finder: Looks for values of calls that are there already; only clients ask it.
    """

    function: PackedFunction
    calls: Sequence[Packed]
    options: TaskOptions = _NO_OPTIONS
    delegate: bool = False
    chunk_size: int = 1
    series: Series = msgspec.field(default_factory=Series)
    code: Code = NO_CODE
    run: Run | None = None
    finder: Finder | None = None

    def of(self, calls: Sequence[Packed]) -> Submission:
        """The submission with these calls instead of its own."""
        return msgspec.structs.replace(self, calls=calls)

    def with_code(self, code: Code) -> Submission:
        """The submission with the code that the session has found for it."""
        return msgspec.structs.replace(self, code=code)


class Drawn(Protocol):
    """Calls that are submitted piece by piece."""

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is left, and whoever has the calls knows of all of them."""

    def draw_all(self) -> object:
        """Submit all that is left."""

    def raise_error(self) -> None:
        """Raise what ended the calls early, if something did."""


class Session(Protocol):
    """What a client and a running task can both do; a task may not wait."""

    @property
    def session_id(self) -> str:
        """The id that the control plane gave."""

    @property
    def environment(self) -> Environment:
        """What calls get around them."""

    def submit(self, submission: Submission) -> list[ResultState]:
        """One state for each call, in order; returns without waiting for the network."""

    def before_end(self, drawn: Drawn) -> None:
        """Have ``drawn`` submit what is left of it before the session ends (in a task: now)."""

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        """Store values; their states are completed when this returns (in a task: at its end)."""

    def open_file(self, result_id: str) -> IO[bytes]:
        """The bytes of a raw result that is there, as a file that nothing else reads.

        Raises:
            UsageError: In a task, which is given its files before it starts.
        """

    def send(self) -> None:
        """Have everything submitted so far sent; afterwards each state has its result id."""

    def wait(
        self,
        states: Sequence[ResultState],
        timeout: float | None,
        *,
        until_failure: bool = False,
        alarms: Sequence[ResultState] = (),
    ) -> None:
        """Block until all are final; `WaitTimeoutError` after ``timeout`` seconds.

        Args:
            states: Of this session.
            timeout: Seconds; ``None`` waits without limit.
            until_failure: Whether one that failed is enough.
            alarms: One of these that failed is enough too.

        Raises:
            UsageError: In a task, where waiting is not possible.
        """

    def observe(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Tell ``observer`` once of the end of each of the states; as `wait` where that is refused.

        For states that are final it is told now, for others by the thread that ends them.
        """

    def ignore(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Take back `observe`."""

    def call_back(
        self, state: ResultState, callback: Callable[[], object], *, ends_future: bool = False
    ) -> None:
        """Run ``callback`` once the state is final, in a thread that may be kept.

        One that ends a future does not wait for those of the program, which may block.
        """

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        """The results in which these completed states have their values, in order."""

    def cancel(self, states: Sequence[ResultState]) -> None:
        """Cancel the tasks that produce these results; those that ended stay as they are."""


class SessionOwner(Protocol):
    """What has a session without being one: the client, whose `put` is made for people."""

    @property
    def session(self) -> Session:
        """The open session."""
