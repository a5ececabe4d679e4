"""What the machine of a session is told, and what it asks for.

::

    callers ──► Submitted, Observed, Cancelled, … ──►┌─────────┐──► requests ──► channel
    channel ──► News, Created, Answered, …        ──►│ Machine │
                                                     └─────────┘
"""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING, Any

import msgspec

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
            self.value, self.error = value, error  # before the release: the caller reads them
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


class Submitted(msgspec.Struct):
    """Calls, and the states that they are to end."""

    submission: Submission
    states: Sequence[ResultState]


class Repeated(msgspec.Struct):
    """Tasks that are sent again, with the payloads that the cluster has."""

    tasks: Sequence[RepeatedTask]


class Observed(msgspec.Struct):
    """Somebody waits for these: what was submitted so far is sent now."""

    states: Sequence[ResultState]
    observer: Observer


class Unobserved(msgspec.Struct):
    """An observer does not want to hear of these states any more."""

    states: Sequence[ResultState]
    observer: Observer


class Cancelled(msgspec.Struct):
    """The calls of these states are to be cancelled."""

    states: Sequence[ResultState]


class Flushed(msgspec.Struct):
    """Everything submitted so far is to be sent; answered when it is, or has failed."""

    reply: Reply


class Drained(msgspec.Struct):
    """Answered when there is room for more calls."""

    reply: Reply


class Emptied(msgspec.Struct):
    """Answered when everything that was submitted has ended."""

    reply: Reply


class Dropped(msgspec.Struct):
    """The program leaves at once; answered with the number of calls that may not have been sent."""

    reply: Reply


class CountUnsent(msgspec.Struct):
    """Answered with the number of calls that may not have been sent."""

    reply: Reply


class Attached(msgspec.Struct):
    """States of results that this session did not submit: the ends of these end them."""

    states: list[ResultState]


class Wanted(msgspec.Struct):
    """Somebody waits for the data of completed results: an `OpenedResult` for each id."""

    ids: Sequence[str]
    reply: Reply


class Asked(msgspec.Struct):
    """Somebody waits for the answer to a request; repeated while nobody answers."""

    request: Request
    reply: Reply


class Ending(msgspec.Struct):
    """The session ends: nothing more is sent."""

    is_cancelled: bool
    reply: Reply
    is_abandoned: bool = False  # nobody asked for it: the client is gone
    is_left: bool = False  # only for this program: the session goes on without it


class Forgotten(msgspec.Struct):
    """Results whose last handle is gone."""

    ids: Sequence[str]


# -- from the channel ----------------------------------------------------------------------------


class StreamUp(msgspec.Struct):
    """Every end from now on is told."""


class StreamLost(msgspec.Struct):
    """News may be missed from now on."""

    error: BaseException | None
    is_refused: bool = False  # the control plane, or the user's role, has no stream


class Created(msgspec.Struct):
    """The outputs of tasks exist, so that news of them may come: their tasks are about to."""

    tasks: Sequence[OutgoingTask]


class Answered(msgspec.Struct):
    """A request was answered, or failed."""

    request: Request
    value: Any = None
    error: BaseException | None = None


class Gone(msgspec.Struct):
    """The process of the cluster has ended: nothing will ever answer."""

    error: ControlPlaneError


# -- requests ------------------------------------------------------------------------------------


class Request(msgspec.Struct, eq=False):
    """What the machine asks of the channel; each is answered once. Known by its identity."""


class Subscribe(Request, eq=False):
    """Tell of the ends of results: `StreamUp`, news, `StreamLost` in place of an answer."""


class Send(Request, eq=False):
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


class Looked(msgspec.Struct):
    """How results stand.

    Attributes:
        completed: Those that are there.
        failed: Those that never will be, and why.
        seconds: How long the calls had run that failed, by result, where the executor said so.
    """

    completed: Sequence[str]
    failed: Mapping[str, BaseException]
    seconds: Mapping[str, float] = msgspec.field(default_factory=dict)


class Look(Request, eq=False):
    """How these results stand, and why those that ended without a value did; gives `Looked`."""

    ids: Sequence[str]


class Contents(msgspec.Struct):
    """What a result holds.

    Attributes:
        opened: The result.
        errors: The exceptions of items that failed, by item.
    """

    opened: OpenedResult
    errors: Mapping[int, BaseException] = msgspec.field(default_factory=dict)


class Read(Request, eq=False):
    """The data of completed results.

    Gives for each id its `Contents`, or the error.

    Attributes:
        ids: Of the results.
        most_bytes: Larger ones are not read: ``None`` stands for them.
    """

    ids: Sequence[str]
    most_bytes: int | None = None


class Explain(Request, eq=False):
    """The exceptions of the failed items of an opened result; gives `Contents`."""

    result_id: str
    opened: OpenedResult


class Store(Request, eq=False):
    """Create results from names and segments of data; gives their ids."""

    items: Sequence[tuple[str, Sequence[Buffer]]]


class StoreFiles(Request, eq=False):
    """Create raw results of files; gives their ids."""

    files: Sequence[Sealed]


class Download(Request, eq=False):
    """Write the data of a raw result to a file, anew at each attempt."""

    result_id: str
    file: IO[bytes]


class CancelTasks(Request, eq=False):
    """Cancel the tasks that own these results; retries have other ids than was submitted."""

    tasks: Mapping[str, str]  # result to task, as submitted


class CountWorkers(Request, eq=False):
    """How many workers a partition may have; ``""`` is the session's own."""

    partition: str


class ListPartitions(Request, eq=False):
    """The partitions that tasks of the session may name."""


class Delete(Request, eq=False):
    """Delete data that nobody can ask for any more."""

    ids: Sequence[str]


class End(Request, eq=False):
    """Close the session, or cancel it."""

    is_cancelled: bool
