"""Executors, each with one call at a time and the packages of one environment.

Who calls `ExecutorPool.run` waits for the executor in its own thread: there is no queue here, the
control plane has one. An executor that dies is replaced; one of another environment makes room.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pymonik.code.failure import describe
from pymonik.environments.not_ready import NotReady, Unwanted
from pymonik.errors import (
    EnvironmentSetupError,
    PymonikError,
    SerializationError,
    WorkerLostError,
)
from pymonik.executor import files
from pymonik.executor.agent import Agent, no_agent
from pymonik.executor.chunk import Chunk
from pymonik.executor.endings import Cancelled, Ending, Failed, Lost, NotBegun, Waiting
from pymonik.executor.holdings import Holdings
from pymonik.executor.lambda_context import lambda_variables
from pymonik.executor.line import Call, Line, Only
from pymonik.executor.memory_watch import held_below, idle_share
from pymonik.executor.numeric_threads import thread_limits
from pymonik.executor.process import GRACE_S, ExecutorProcess, Place, timed_out
from pymonik.launch import open_files, sizes
from pymonik.launch.hardware import VISIBLE, processors
from pymonik.wire import containers
from pymonik.wire.call import (
    MEMORY_LABEL,
    MOST_CALLS,
    FunctionRef,
    LambdaHandler,
    PayloadMeta,
    archive_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from pymonik.content.archives import UnpackedArchives
    from pymonik.content.unpacked import UnpackedBundle, UnpackedBundles
    from pymonik.environments.builds import Environments
    from pymonik.executor.chunk import HandOver
    from pymonik.executor.frames import Run
    from pymonik.executor.line import Source
    from pymonik.executor.output import OnOutput
    from pymonik.executor.reports import OnReport, ReadBoard
    from pymonik.wire.containers import Buffer

logger = logging.getLogger(__name__)

FILES_OF_EXECUTOR = 13  # that its parent has open: sockets, pipes, the journal
_ALONE_S = 2.0  # for which a start waits for an earlier one to be over
_WARM = 2  # executors for each place where one can run: the running ones, and as many idle


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What an executor is started with: it serves calls that want the same, and no others."""

    packages: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    memory_limit: int | None = None
    archive: str = ""  # the folder of the zip of Lambda handlers, which is the current folder too


@dataclass(eq=False, slots=True)
class _Seat:
    """The place of one executor, which may still be starting.

    Attributes:
        gpu: The name of its GPU, if the pool shares some out.
    """

    surroundings: _Surroundings
    process: Future[ExecutorProcess]
    gpu: str = ""
    holdings: Holdings = field(default_factory=Holdings)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a call runs.

    Attributes:
        code: The bundle that its executor has to enter first; ``""`` where it has already.
    """

    seat: _Seat
    meta: PayloadMeta
    chunk: Chunk | None
    code: str


@dataclass(frozen=True, slots=True)
class _Around:
    """What calls need beside an executor."""

    bundles: UnpackedBundles
    archives: UnpackedArchives
    environments: Environments


@dataclass(eq=False, slots=True)
class _Running:
    """A call under way; what `cancel` needs."""

    process: ExecutorProcess | None
    is_cancelled: bool = False


class ExecutorPool:
    """Executors of one machine; thread-safe.

    Args:
        folder: Where executors may write; it is created.
        size: How many executors there are at most, and callers of `run` at once.
        memory_limit: Bytes that a task may use with all that it starts, unless the task says how
            many; ``None`` without a limit.
        most_memory: Bytes that it may use at most, whatever it says.
        grace_s: From asking a task to end until it is killed.
        place: Where executors run.
        uses_originals: Whether executors may read files of the program where the program has them,
            if their bytes are the same.
        bundles: Where the files of programs are kept; by default in the user's cache.
        on_output: Called with a run and what it has printed.
        on_report: Called with a run and what it has reported.
        read_board: Gives what the program tells its running tasks.
        idle_memory: Bytes that idle executors may hold together when another kind is wanted; by
            default a fourth of the machine's memory.
        gpus: Names of GPUs; each executor has one, which it finds in ``CUDA_VISIBLE_DEVICES``.
        environments: Gives what makes the environments of tasks: a task whose environment is not
            ready ends as `Waiting`. ``None``: the pool makes them itself, and `run` waits.
    """

    def __init__(
        self,
        *,
        folder: Path,
        size: int,
        memory_limit: int | None = None,
        most_memory: int | None = None,
        grace_s: float = GRACE_S,
        place: Place | None = None,
        on_output: OnOutput | None = None,
        on_report: OnReport | None = None,
        read_board: ReadBoard = lambda _run, _id: None,
        uses_originals: bool = True,
        bundles: Path | None = None,
        idle_memory: int | None = None,
        gpus: Sequence[str] = (),
        environments: Callable[[], Environments] | None = None,
    ) -> None:
        self._folder = folder
        self._uses_originals = uses_originals
        self._kept_content = bundles
        self._size = size
        # Where few files may be open, idle executors go first.
        self._most_seats = min(_WARM * size, max(size, open_files.room_for(FILES_OF_EXECUTOR)))
        self._gpus = gpus
        if gpus:  # an idle executor would hold memory of the GPU that another one is given
            self._most_seats = size
        self._idle_memory = idle_share() if idle_memory is None else idle_memory
        self._memory_limit = memory_limit
        self._most_memory = most_memory
        self._grace_s = grace_s
        self._place_of_executors = place or Place()
        self._on_output = on_output
        self._on_report = on_report
        self._read_board = read_board
        self._waits = environments is None
        self._make_environments = environments
        self._made: _Around | None = None
        self._making = threading.Lock()  # guards it
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []  # used last at the end
        self._seats: set[_Seat] = set()
        self._running: dict[str, _Running] = {}
        self._is_closed = False
        self._last_problem = ""
        self._free = threading.Semaphore(size)
        # A start takes 0.1 s of a processor. Where all began at once, on few processors, the first
        # call would wait for all of them, and for the cluster, which still loads its services.
        self._most_coming_up = max(1, processors() - 1)
        self._coming_up: list[ExecutorProcess] = []  # of the starter's thread
        # Linux kills a child when the *thread* that started it ends: this one outlives them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="pymonik-executor-starter")

    def __enter__(self) -> ExecutorPool:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start executors without packages; returns before they are up."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            missing = self._size - len(self._seats)
            usual = _Surroundings(memory_limit=self._memory_limit)
            seats = [self._new_seat(usual) for _ in range(missing)]
            self._idle += reversed(seats)  # the first that starts is the first to be taken
        if seats:
            # What this thread imports from here on would hold up the thread that starts it.
            seats[0].process.exception()
        self._around()

    def run(
        self,
        run: Run,
        *,
        time_limit_s: float | None,
        hand_over: HandOver | None = None,
        counts_loading: bool = False,
        agent: Agent = no_agent,
    ) -> Ending:
        """Run one task and wait for its end; at most ``size`` callers do so at once.

        Args:
            run: The task.
            time_limit_s: It is killed after so many seconds; starting the executor does not count.
            hand_over: Takes calls from a task of several that takes long; see `HandOver`.
            counts_loading: Whether the time in which modules of the program are imported counts.
            agent: ArmoniK's, for this task.
        """
        only = Only()
        self.run_line(Call(run, time_limit_s, hand_over, counts_loading, agent), only)
        return only.endings[0]

    def run_line(self, first: Call, source: Source) -> None:
        """Run a call, then those that the source gives; at most ``size`` callers do so at once.

        Calls alike are run by one executor, which has the next one before the present one ends.
        """
        line = Line(first, source)
        while line:
            self._run_next(line)

    def cancel(self, task_id: str) -> None:
        """Ask the task to end, if it runs, and kill it after the grace: it ends as `Cancelled`."""
        with self._lock:
            running = self._running.get(task_id)
            if running is None:
                return
            running.is_cancelled = True
            if running.process is not None:
                running.process.ask(task_id)

    def drain(self) -> None:
        """Tell the calls that run that their executors are going to end."""
        with self._lock:
            for running in self._running.values():
                if running.process is not None:
                    running.process.drain()

    def is_settled(self, packages_id: str) -> bool:
        """Whether an environment is not being made now: it is ready, failed or was given up."""
        return self._around().environments.is_settled(packages_id)

    def close(self) -> None:
        """Kill all executors; calls under way end as `Cancelled`."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            idle, self._idle = self._idle, []
            for running in self._running.values():
                running.is_cancelled = True
                if running.process is not None:
                    running.process.kill()
        around = self._around()
        around.environments.close()
        for seat in idle:
            self._dismiss(seat)
        for _ in range(self._size):  # until the last caller has left
            self._free.acquire()
        self._starter.shutdown()
        around.bundles.close()
        around.archives.close()

    # -- inside ----------------------------------------------------------------------------------

    def _around(self) -> _Around:
        """What calls need around them; imported when executors are starting, not before."""
        if self._made is not None:
            return self._made
        with self._making:
            if self._made is None:
                from pymonik.content.archives import UnpackedArchives
                from pymonik.content.unpacked import UnpackedBundles
                from pymonik.environments.builds import Environments

                kept, instead = self._kept_content, self._folder / "content"
                self._made = _Around(
                    UnpackedBundles(kept, instead=instead),
                    UnpackedArchives(kept, instead=instead),
                    (self._make_environments or Environments)(),
                )
            return self._made

    def _run_next(self, line: Line) -> None:
        """Run the first call of the line, and those behind it that its executor gets ahead."""
        call = line.next()
        with ExitStack() as seats:
            with self._known(call) as running:
                place = self._place(call, running, seats)
                ending = (
                    self._run(call, running, place, line) if isinstance(place, _Place) else place
                )
            if running.is_cancelled:
                ending = Cancelled()
            if isinstance(ending, NotBegun):
                line.again(call)
                return
            line.ended(call, ending)
            if isinstance(place, _Place):
                self._run_behind(place, line)
                if not _is_alive(place.seat):
                    line.shorten(0)

    @contextmanager
    def _known(self, call: Call, process: ExecutorProcess | None = None) -> Iterator[_Running]:
        """Let `cancel` know of a call."""
        running = _Running(process)
        with self._lock:
            if self._is_closed:
                running.is_cancelled = True
            self._running[call.run.task_id] = running
        try:
            yield running
        finally:
            with self._lock:  # from here on, `cancel` must not kill the next call
                self._running.pop(call.run.task_id, None)
            if running.is_cancelled and running.process is not None:
                running.process.stop()

    def _place(self, call: Call, running: _Running, seats: ExitStack) -> _Place | Ending:
        """A seat for a call, until ``seats`` is closed; or why it cannot run."""
        if call.time_limit_s is not None and call.time_limit_s <= 0:
            return timed_out(call.time_limit_s)
        try:
            meta, blobs = _payload(call.run)
            memory_limit = self._memory_of(call.run)
            packages = self._packages(call.run, meta, running)
            bundle = self._bundle(call.run, meta)
            archive = self._archive(call.run, meta)
            variables = _variables(meta, archive)
        except NotReady as error:
            return Waiting(error.packages_id)
        except Unwanted:
            return Cancelled()
        except (PymonikError, OSError, KeyError) as error:
            return Failed(describe(_as_setup_error(error)))
        seats.enter_context(self._free)
        if self._is_closed or running.is_cancelled:
            return Cancelled()
        seat = self._take(_Surroundings(packages, variables, memory_limit, archive), bundle)
        seats.callback(self._give_back, seat)
        chunk = Chunk(call.run, meta, blobs, call.hand_over) if meta.chunked else None
        return _Place(seat, meta, chunk, _entering(seat, bundle))

    def _memory_of(self, run: Run) -> int | None:
        """Bytes that a task may use with all that it starts.

        Raises:
            UsageError: It says something that is no size; tasks come from other clients too.
        """
        asked = run.options.options.get(MEMORY_LABEL)
        if asked is None:
            return self._memory_limit
        given = sizes.size(asked, f"the option {MEMORY_LABEL}")
        return given if self._most_memory is None else min(given, self._most_memory)

    def _bundle(self, run: Run, meta: PayloadMeta) -> UnpackedBundle | None:
        """The files that a call may import, unpacked."""
        if meta.bundle is None:
            return None
        bundles = self._around().bundles
        return bundles.get(meta.bundle, lambda result_id: files.load(run.input(result_id)))

    def _archive(self, run: Run, meta: PayloadMeta) -> str:
        """The folder of the zip that a Lambda handler is in, ``""`` for all other calls."""
        digest = archive_of(meta.function)
        if digest != meta.archive:
            raise SerializationError("the head of the payload does not name the zip of its handler")
        if isinstance(meta.function, FunctionRef) or not digest:
            return ""
        return self._around().archives.get(digest, run.input(meta.function.files[0].result_id))

    def _packages(self, run: Run, meta: PayloadMeta, running: _Running) -> str:
        """The folder of the task's packages.

        Raises:
            NotReady: It is being made, and this pool does not wait for it.
            Unwanted: The task was cancelled while this pool has waited for it.
            EnvironmentSetupError: It cannot be made.
        """
        read = partial(_file, run)
        if not self._waits:
            return self._around().environments.path(meta.environment, read)
        return self._around().environments.wait(
            meta.environment, read, lambda: running.is_cancelled or self._is_closed
        )

    def _run(self, call: Call, running: _Running, place: _Place, line: Line) -> Ending | NotBegun:
        try:
            process = place.seat.process.result()
        except OSError as error:
            text = f"an executor could not be started: {error}"
            return Lost(describe(WorkerLostError(text)))
        with self._lock:
            if running.is_cancelled or self._is_closed:
                return Cancelled()
            running.process = process
        on_slow = partial(line.shorten, 0) if line else None
        run = msgspec.structs.replace(call.run, code=place.code) if place.code else call.run
        return process.run(
            run,
            call.time_limit_s,
            place.chunk,
            on_slow,
            counts_loading=call.counts_loading,
            board=place.meta.board,
            agent=call.agent,
        )

    def _run_behind(self, place: _Place, line: Line) -> None:
        """Go on in the same executor, while there is something that it can be sent ahead."""
        if place.chunk is not None or not _is_alive(place.seat):
            return
        process = place.seat.process.result()
        ahead = process.ahead
        while process.is_alive:
            if place.seat.surroundings.memory_limit is None:
                line.send(ahead, place.meta)
            if not ahead.count:
                return
            call = line.next()
            with self._known(call, process) as running:
                ending = process.follow(
                    call.run, call.time_limit_s, lambda: line.shorten(ahead.count), call.agent
                )
            if running.is_cancelled:
                ending = Cancelled()
            if isinstance(ending, NotBegun):
                line.again(call)
                return
            line.ended(call, ending)

    def _take(self, surroundings: _Surroundings, bundle: UnpackedBundle | None) -> _Seat:
        """An idle executor that can run such calls, or a new one.

        As many again as can run at once stay warm: what they imported is there when the next call
        of their kind comes. Those that were idle longest make room.
        """
        with self._lock:
            alike = [seat for seat in reversed(self._idle) if seat.surroundings == surroundings]
            seat = _fitting(alike, bundle)
            if seat is not None:
                self._idle.remove(seat)
                return seat
            evicted = self._make_room()
            if self._gpus:  # the GPU is free before the next executor starts
                return self._new_seat(surroundings, evicted)
            seat = self._new_seat(surroundings)
        for one in evicted:
            self._dismiss(one)
        return seat

    def _make_room(self) -> list[_Seat]:
        """Idle executors that go so that there can be another; called with the lock held."""
        held = [_memory(seat) for seat in self._idle]
        count = 0
        while count < len(held) and (
            len(self._seats) - count >= self._most_seats or sum(held[count:]) > self._idle_memory
        ):
            count += 1
        evicted, self._idle = self._idle[:count], self._idle[count:]
        self._seats.difference_update(evicted)
        return evicted

    def _give_back(self, seat: _Seat) -> None:
        if _is_usable(seat):
            with self._lock:
                if not self._is_closed:
                    self._idle.append(seat)
                    return
        with self._lock:
            self._seats.discard(seat)
            # Where none can be started, the next call tries once more, and not all the time.
            if not self._is_closed and seat.process.exception() is None:
                self._idle.append(self._new_seat(seat.surroundings))
        self._dismiss(seat)

    def _new_seat(self, surroundings: _Surroundings, after: Sequence[_Seat] = ()) -> _Seat:
        """Called with the lock held; the process starts in the starter's thread.

        Args:
            surroundings: What it is started with.
            after: Executors that have to end before.
        """
        gpu = self._free_gpu()
        start = partial(
            ExecutorProcess,
            packages=surroundings.packages,
            archive=surroundings.archive,
            variables=self._with_threads(_with_gpu(gpu, dict(surroundings.variables))),
            uses_originals=self._uses_originals,
            memory_limit=surroundings.memory_limit,
            grace_s=self._grace_s,
            place=Place(surroundings.archive) if surroundings.archive else self._place_of_executors,
            on_output=self._on_output,
            on_report=self._on_report,
            read_board=self._read_board,
        )
        seat = _Seat(surroundings, self._starter.submit(self._start_after, after, start), gpu=gpu)
        self._seats.add(seat)
        return seat

    def _start_after(
        self, ended: Sequence[_Seat], start: Callable[[], ExecutorProcess]
    ) -> ExecutorProcess:
        # The starter has one thread, so what these seats wait for has been started before.
        for seat in ended:
            self._dismiss(seat)
        self._coming_up = [one for one in self._coming_up if one.is_coming_up()]
        if len(self._coming_up) >= self._most_coming_up:
            self._coming_up[0].wait_until_up(_ALONE_S)
        process = start()
        self._coming_up.append(process)
        return process

    def _free_gpu(self) -> str:
        """The GPU that the fewest executors have; ``""`` where none are shared out."""
        taken = Counter(seat.gpu for seat in self._seats)
        return min(self._gpus, key=taken.__getitem__, default="")

    def _with_threads(self, variables: dict[str, str]) -> dict[str, str]:
        """Variables for an executor, with its share of the processors for numerical libraries."""
        return {**thread_limits({**os.environ, **variables}, self._size), **variables}

    def _dismiss(self, seat: _Seat) -> None:
        try:
            seat.process.result().close()
        except OSError as error:
            self._tell_once(f"an executor could not be started: {error}")

    def _tell_once(self, problem: str) -> None:
        """Each task that could not run tells the problem itself; here it would be a flood."""
        if problem != self._last_problem:
            self._last_problem = problem
            logger.warning("%s", problem)


def _with_gpu(name: str, variables: dict[str, str]) -> dict[str, str]:
    """Variables of an executor with its GPU, unless the program has said which it is to see."""
    return {VISIBLE: name, **variables} if name else variables


def _fitting(seats: Sequence[_Seat], bundle: UnpackedBundle | None) -> _Seat | None:
    """One whose executor has entered the bundle, else one that may."""
    if bundle is None:
        return seats[0] if seats else None
    there = (seat for seat in seats if seat.holdings.has(bundle))
    return next(there, None) or next((s for s in seats if s.holdings.accept(bundle)), None)


def _entering(seat: _Seat, bundle: UnpackedBundle | None) -> str:
    """The folder that the executor of a seat has to enter for a bundle."""
    if bundle is None or seat.holdings.has(bundle):
        return ""
    seat.holdings.add(bundle)
    return str(bundle.folder)


def _is_alive(seat: _Seat) -> bool:
    return seat.process.exception() is None and seat.process.result().is_alive


def _memory(seat: _Seat) -> int:
    """Bytes that an executor holds; 0 while it starts."""
    if not seat.process.done() or not _is_alive(seat):
        return 0
    return held_below(seat.process.result().supervisor)


def _is_usable(seat: _Seat) -> bool:
    return _is_alive(seat) and not seat.process.result().ahead.count


def _payload(run: Run) -> tuple[PayloadMeta, Sequence[Buffer]]:
    meta, blobs = containers.split_payload(files.load(run.input(run.payload_id)))
    if len(meta.calls) > MOST_CALLS:
        raise SerializationError(f"a task has {MOST_CALLS} calls at most, not {len(meta.calls)}")
    return meta, blobs


def _file(run: Run, result_id: str) -> bytes:
    """The bytes of a file that came with a call: the only blob of its container."""
    _, blobs = containers.split(files.load(run.input(result_id)))
    return bytes(blobs[0])


def _variables(meta: PayloadMeta, archive: str) -> tuple[tuple[str, str], ...]:
    """Those with which the executor of a call is started."""
    variables = meta.environment.env_variables
    if isinstance(meta.function, LambdaHandler):
        variables = {**lambda_variables(meta.function, archive), **variables}
    return tuple(sorted(variables.items()))


def _as_setup_error(error: BaseException) -> BaseException:
    """What the system refused while packages were put in place is an error of the environment."""
    if isinstance(error, PymonikError):
        return error
    return EnvironmentSetupError(f"the task could not be prepared: {type(error).__name__}: {error}")
