"""The environments of one cluster or worker, each made once for all its calls.

::

               ┌── in the cache ──────────────────────────┐
    asked for ─┴─► RESOLVING ──► BUILDING ──► READY ◄─────┘
                       │  │          │  │
                       │  └──────────┴──┴─► FAILED    uv's reason, for all that ask meanwhile
                       └─────────────┴────► forgotten  nobody wants it any more

Each one is made in a thread of its own, which waits for uv. Nobody who runs tasks waits: `path`
raises `NotReady`, and whoever listens is told when to ask again. A worker of ArmoniK, which has one
task at a time, has nothing else to do and waits.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymonik.environments import folders, local_packages, locks, making
from pymonik.environments.not_ready import NotReady, Unwanted
from pymonik.errors import EnvironmentSetupError
from pymonik.launch.user_cache import about_cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.environments.folders import UsedFolder
    from pymonik.environments.locks import Lock
    from pymonik.wire.environment import Environment

logger = logging.getLogger(__name__)

# Seconds in which one failure answers for all calls that ask: a map of a thousand calls does not
# ask the index a thousand times. The next call after it makes one more attempt.
FAILED_S = 30.0
_AT_ONCE = 2  # environments that are made at the same time: each fills a processor and the network


class State(enum.Enum):
    """Where an environment is on its way."""

    RESOLVING = "resolving"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an environment is.

    Attributes:
        packages_id: Of the environment.
        asked: Its requirements.
        state: Where it is.
        seconds: How long it has been on its way, or took.
        error: Why it failed.
    """

    packages_id: str
    asked: tuple[str, ...]
    state: State
    seconds: float
    error: str = ""


@dataclass(eq=False, slots=True)
class _One:
    """One environment; written only with the lock of `Environments` held."""

    environment: Environment
    state: State = State.RESOLVING
    begun: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    folder: UsedFolder | None = None
    error: str = ""
    waiting: int = 0  # threads in `Environments.wait`
    # Set when the state is final, or when nobody wants the environment any more.
    settled: threading.Event = field(default_factory=threading.Event)


class Environments:
    """Makes environments, and keeps their folders from being removed; thread-safe.

    Args:
        is_wanted: Whether a task waits for the environment of this id, beside the threads in
            `wait`. What nobody wants is not made to the end.
        on_settled: Called with the id of an environment that is ready, has failed or was given up,
            in the thread that made it.
    """

    def __init__(
        self,
        *,
        is_wanted: Callable[[str], bool] = lambda _packages_id: False,
        on_settled: Callable[[str], None] = lambda _packages_id: None,
    ) -> None:
        self._is_wanted = is_wanted
        self._on_settled = on_settled
        self._lock = threading.Lock()
        self._all: dict[str, _One] = {}
        self._makers: set[threading.Thread] = set()
        # Taken by a maker before it starts uv; one that had to wait asks first whether its
        # environment is still wanted.
        self._turn = threading.Semaphore(_AT_ONCE)
        self._is_closed = False

    def path(self, environment: Environment, read: Callable[[str], bytes]) -> str:
        """The folder to import the packages from, ``""`` without any.

        Args:
            environment: What is wanted.
            read: Gives the bytes of a wheel that came with the call, by the id of its result.

        Raises:
            NotReady: It is being made.
            EnvironmentSetupError: It cannot be made.
        """
        if not environment.has_packages:
            return ""
        one = self._all.get(environment.packages_id)  # without the lock: most are ready
        if one is None or one.state is not State.READY:
            one = self._asked(environment, read)
        if one.folder is not None:
            return one.folder.path
        if one.state is State.FAILED:
            raise EnvironmentSetupError(one.error)
        raise NotReady(environment.packages_id)

    def wait(
        self,
        environment: Environment,
        read: Callable[[str], bytes],
        is_given_up: Callable[[], bool],
    ) -> str:
        """Like `path`, once the environment is ready.

        Raises:
            EnvironmentSetupError: It cannot be made.
            Unwanted: The caller has given up, or this is closed.
        """
        while not self._is_closed and not is_given_up():
            with contextlib.suppress(NotReady):
                return self.path(environment, read)
            self._wait_for(environment.packages_id, is_given_up)
        raise Unwanted

    def is_settled(self, packages_id: str) -> bool:
        """Whether an environment is not being made: it is ready, failed or was given up."""
        with self._lock:
            one = self._all.get(packages_id)
            return one is None or one.state in (State.READY, State.FAILED)

    def progress(self) -> list[Progress]:
        """How far each environment is that was asked for."""
        with self._lock:
            return [_progress(key, one) for key, one in self._all.items()]

    def close(self) -> None:
        """End what is being made, and let the folders be removed."""
        with self._lock:
            self._is_closed = True
            makers = list(self._makers)
        # Without the lock, which a maker needs for its end. Each looks at `_is_closed` within a
        # tenth of a second and ends its uv.
        for maker in makers:
            maker.join()
        with self._lock:
            for one in self._all.values():
                if one.folder is not None:
                    one.folder.close()
            self._all.clear()

    # -- inside ----------------------------------------------------------------------------------

    def _asked(self, environment: Environment, read: Callable[[str], bytes]) -> _One:
        """The environment, on its way from now on if it was not."""
        key = environment.packages_id
        with self._lock:
            one = self._all.get(key)
            if one is not None and not _is_outdated(one):
                return one
            # Asked with the lock held: `close` has set it before it took the list of makers, so no
            # maker begins that nobody joins.
            if self._is_closed:
                raise EnvironmentSetupError("this worker is being stopped")
            one = self._all[key] = _One(environment)
        try:
            # In the thread of the caller, since ``read`` is of its task.
            _receive(environment, read)
            folder = _in_cache(environment)
        except Exception as error:  # noqa: BLE001 - tasks of other slots wait for it already
            self._settle(one, State.FAILED, error=str(error))
            return one
        if folder is not None:
            self._settle(one, State.READY, folder=folder)
            return one
        maker = threading.Thread(target=self._make, args=(one,), name=f"environment {key}")
        with self._lock:
            self._makers.add(maker)
        maker.start()
        return one

    def _make(self, one: _One) -> None:
        key = one.environment.packages_id
        try:
            # The place among those that are made is held to the end, also while uv only resolves.
            with self._turn:
                self._make_now(one, lambda: self._is_still_wanted(one))
        except Unwanted:
            logger.info("environment %s is given up: nobody waits for it any more", key)
            with self._lock:
                self._all.pop(key, None)
            # Forgotten first: a thread that is woken, or a task that is queued again, asks anew and
            # has it made.
            one.settled.set()
            self._on_settled(key)
        except Exception as error:
            # A thread that dies in silence would have its tasks wait for ever.
            expected = isinstance(error, EnvironmentSetupError | OSError)
            text = _in_words(error)
            level = logging.INFO if expected else logging.ERROR  # the calls tell what is expected
            logger.log(level, "environment %s failed: %s", key, text, exc_info=not expected)
            self._settle(one, State.FAILED, error=_about_failure(one.environment, text))
        finally:
            with self._lock:
                self._makers.discard(threading.current_thread())

    def _make_now(self, one: _One, is_wanted: Callable[[], bool]) -> None:
        if not is_wanted():
            raise Unwanted
        key, asked = one.environment.packages_id, locks.in_words(one.environment)
        logger.info("environment %s is resolved: %s", key, ", ".join(asked))
        note = making.Note(key, asked, State.RESOLVING.value, time.time())
        with making.noted(note) as tell:
            lock = _resolved(one.environment, is_wanted)
            with self._lock:
                one.state = State.BUILDING
            tell(State.BUILDING.value)
            logger.info("environment %s is built: %d packages", key, len(lock.lines))
            folder = folders.obtain(one.environment, lock, is_wanted)
        self._settle(one, State.READY, folder=folder)
        logger.info("environment %s is ready after %.1f s", key, one.ended - one.begun)

    def _settle(
        self, one: _One, state: State, *, folder: UsedFolder | None = None, error: str = ""
    ) -> None:
        with self._lock:
            one.folder, one.error, one.ended = folder, error, time.monotonic()
            one.state = state
        # After the state: who is woken reads it without waiting.
        one.settled.set()
        # However it came about: another slot may have looked meanwhile, and have its task wait.
        self._on_settled(one.environment.packages_id)

    def _is_still_wanted(self, one: _One) -> bool:
        if self._is_closed:
            return False
        # Within a second whoever asked may not have begun to wait: `path` raises `NotReady` first,
        # and the task is put among those that wait afterwards.
        is_new = time.monotonic() - one.begun < 1.0
        return is_new or one.waiting > 0 or self._is_wanted(one.environment.packages_id)

    def _wait_for(self, key: str, is_given_up: Callable[[], bool]) -> None:
        with self._lock:
            one = self._all.get(key)
            if one is None:
                return
            one.waiting += 1
        try:
            # The caller may be cancelled meanwhile, of which no event tells.
            while not one.settled.wait(0.1) and not is_given_up():
                pass
        finally:
            with self._lock:
                one.waiting -= 1


def _is_outdated(one: _One) -> bool:
    """Whether it failed so long ago that another attempt is due: the index may be back."""
    return one.state is State.FAILED and time.monotonic() - one.ended > FAILED_S


def _receive(environment: Environment, read: Callable[[str], bytes]) -> None:
    """Have the wheels in the cache that came with the call."""
    for file in environment.files:
        if not local_packages.path_of(file).is_file():
            local_packages.receive(file, read(file.result_id))


def _in_cache(environment: Environment) -> UsedFolder | None:
    """The folder of an environment that this machine has made in the last hours."""
    try:
        lock = locks.remembered(locks.request_id(environment))
        return folders.known(lock) if lock is not None else None
    except OSError:  # of the cache; building says what is wrong with it
        return None


def _resolved(environment: Environment, is_wanted: Callable[[], bool]) -> Lock:
    request = locks.request_id(environment)
    if (lock := locks.remembered(request)) is None:
        try:
            lock = locks.resolve(environment, is_wanted)
        except EnvironmentSetupError as error:
            lock = _outdated(request, error)
        else:
            locks.remember(request, lock)
    return lock


def _outdated(request: str, error: EnvironmentSetupError) -> Lock:
    """What the request came to before, if that is still here: the index may be out of reach."""
    lock = locks.remembered(request, most_s=math.inf)
    folder = folders.known(lock) if lock is not None else None
    if lock is None or folder is None:
        raise error
    # Only asked whether it is there; `folders.obtain` takes it once more, for as long as it is
    # used.
    folder.close()
    logger.warning("packages cannot be resolved, and those of before are used: %s", error.message)
    return lock


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return about_cache(error)
    return error.message if isinstance(error, EnvironmentSetupError) else str(error)


def _about_failure(environment: Environment, text: str) -> str:
    wanted = ", ".join(locks.in_words(environment))
    # The message is in the output of each task that asked: a lock of a hundred packages is cut.
    if len(wanted) > 200:
        wanted = f"{wanted[:200]}… ({len(environment.pip)} packages)"
    return f"the packages {wanted} could not be installed:\n{text}"


def _progress(key: str, one: _One) -> Progress:
    until = one.ended or time.monotonic()
    return Progress(key, locks.in_words(one.environment), one.state, until - one.begun, one.error)
