"""What the machine of a session is told, and what it asks for.

::

    callers ──► Submitted, Observed, Cancelled, … ──►┌─────────┐──► requests ──► channel
    channel ──► News, Created, Answered, …        ──►│ Machine │
                                                     └─────────┘
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pymonik.session.result import acquire, release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.code.opened_result import OpenedResult
    from pymonik.code.references import Sealed
    from pymonik.errors import ControlPlaneError
    from pymonik.session.protocol import Submission
    from pymonik.session.result import Observer, ResultState
    from pymonik.session.tasks import OutgoingTask, RepeatedTask
    from pymonik.wire.containers import Buffer


class Reply:
    """What a caller waits for, on a lock of its own.

    Attributes:
        value: What was asked for.
        error: Why it is not to be had.
    """

    __slots__ = ("_lock", "error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def give(self, value: Any = None, error: BaseException | None = None) -> None:
        """Let the caller go on; only the first time counts."""
        if self._lock.locked():
            self.value, self.error = value, error
            release(self._lock)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until there is something, or ``timeout`` seconds have passed."""
        is_given = acquire(self._lock, timeout)
        if is_given:
            release(self._lock)
        return is_given

    def get(self) -> Any:
        """Block; give the value, or raise the error."""
        self.wait()
        if self.error is not None:
            raise self.error
        return self.value


# -- from callers --------------------------------------------------------------------------------


@dataclass(slots=True)
class Submitted:
    """Calls, and the states that they are to end."""

    submission: Submission
    states: Sequence[ResultState]


@dataclass(slots=True)
class Repeated:
    """Tasks that are sent again, with the payloads that the cluster has."""

    tasks: Sequence[RepeatedTask]


@dataclass(slots=True)
class Observed:
    """Somebody waits for these: what was submitted so far is sent now."""

    states: Sequence[ResultState]
    observer: Observer


@dataclass(slots=True)
class Unobserved:
    """The same does not wait any more."""

    states: Sequence[ResultState]
    observer: Observer


@dataclass(slots=True)
class Cancelled:
    """Nobody wants the values of these calls."""

    states: Sequence[ResultState]


@dataclass(slots=True)
class Flushed:
    """Everything submitted so far is to be sent; answered when it is, or has failed."""

    reply: Reply


@dataclass(slots=True)
class Drained:
    """Answered when there is room for more calls."""

    reply: Reply


@dataclass(slots=True)
class Emptied:
    """Answered when everything that was submitted has ended."""

    reply: Reply


@dataclass(slots=True)
class Dropped:
    """The program leaves at once; answered with the number of calls that may not have been sent."""

    reply: Reply


@dataclass(slots=True)
class Attached:
    """States of results that this session did not submit: the ends of these end them."""

    states: list[ResultState]


@dataclass(slots=True)
class Wanted:
    """Somebody waits for the data of completed results: an `OpenedResult` for each id."""

    ids: Sequence[str]
    reply: Reply


@dataclass(slots=True)
class Asked:
    """Somebody waits for the answer to a request; repeated while nobody answers."""

    request: Request
    reply: Reply


@dataclass(slots=True)
class Ending:
    """The session ends: nothing more is sent."""

    is_cancelled: bool
    reply: Reply
    is_abandoned: bool = False  # nobody asked for it: the client is gone
    is_left: bool = False  # only for this program: the session goes on without it


@dataclass(slots=True)
class Forgotten:
    """Results whose last handle is gone."""

    ids: Sequence[str]


# -- from the channel ----------------------------------------------------------------------------


@dataclass(slots=True)
class StreamUp:
    """Every end from now on is told."""


@dataclass(slots=True)
class StreamLost:
    """News may be missed from now on."""

    error: BaseException | None
    is_refused: bool = False  # the control plane, or the user's role, has no stream


@dataclass(slots=True)
class Created:
    """The outputs of tasks exist, so that news of them may come: their tasks are about to."""

    tasks: Sequence[OutgoingTask]


@dataclass(slots=True)
class Answered:
    """A request was answered, or failed."""

    request: Request
    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Gone:
    """The process of the cluster has ended: nothing will ever answer."""

    error: ControlPlaneError


# -- requests ------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Request:
    """What the machine asks of the channel; each is answered once. Known by its identity."""


@dataclass(slots=True, eq=False)
class Subscribe(Request):
    """Tell of the ends of results: `StreamUp`, news, `StreamLost` in place of an answer."""


@dataclass(slots=True, eq=False)
class Send(Request):
    """Submit tasks.

    Answered with the tasks that were refused, each with its error; the others have been sent.

    Attributes:
        tasks: Those that have been submitted by an earlier attempt are left alone.
        is_quick: The tasks have ids, everything that they need is uploaded, and their arguments
            are small: one message on the direct socket, in the order of such requests.
        is_blind: News of the tasks may have been missed before the answer came.
        brings_code: Functions or files of the program are uploaded with it.
    """

    tasks: list[OutgoingTask]
    is_quick: bool = False
    is_blind: bool = False
    brings_code: bool = False


@dataclass(slots=True)
class Looked:
    """How results stand.

    Attributes:
        completed: Those that are there.
        failed: Those that never will be, and why.
        seconds: How long the calls had run that failed, by result, where the executor said so.
    """

    completed: Sequence[str]
    failed: Mapping[str, BaseException]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Look(Request):
    """How these results stand, and why those that ended without a value did; gives `Looked`."""

    ids: Sequence[str]


@dataclass(slots=True)
class Contents:
    """What a result holds.

    Attributes:
        opened: The result.
        errors: The exceptions of items that failed, by item.
    """

    opened: OpenedResult
    errors: Mapping[int, BaseException] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Read(Request):
    """The data of completed results.

    Gives for each id its `Contents`, or the error.

    Attributes:
        ids: Of the results.
        most_bytes: Larger ones are not read: ``None`` stands for them.
    """

    ids: Sequence[str]
    most_bytes: int | None = None


@dataclass(slots=True, eq=False)
class Explain(Request):
    """The exceptions of the failed items of an opened result; gives `Contents`."""

    result_id: str
    opened: OpenedResult


@dataclass(slots=True, eq=False)
class Store(Request):
    """Create results from names and segments of data; gives their ids."""

    items: Sequence[tuple[str, Sequence[Buffer]]]


@dataclass(slots=True, eq=False)
class StoreFiles(Request):
    """Create raw results of files; gives their ids."""

    files: Sequence[Sealed]


@dataclass(slots=True, eq=False)
class Download(Request):
    """Write the data of a raw result to a file, anew at each attempt."""

    result_id: str
    file: IO[bytes]


@dataclass(slots=True, eq=False)
class CancelTasks(Request):
    """Cancel the tasks that own these results; retries have other ids than was submitted."""

    tasks: Mapping[str, str]  # result to task, as submitted


@dataclass(slots=True, eq=False)
class CountWorkers(Request):
    """How many workers a partition may have; ``""`` is the session's own."""

    partition: str


@dataclass(slots=True, eq=False)
class ListPartitions(Request):
    """The partitions that tasks of the session may name."""


@dataclass(slots=True, eq=False)
class Delete(Request):
    """Delete data that nobody can ask for any more."""

    ids: Sequence[str]


@dataclass(slots=True, eq=False)
class End(Request):
    """Close the session, or cancel it."""

    is_cancelled: bool
