"""`Pymonik`: the connection to a cluster, and the session that tasks run in."""

from __future__ import annotations

import inspect
import logging
import math
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pymonik.client.as_before import AsBefore
from pymonik.client.blocks import Blocks
from pymonik.client.leaving import Leaving
from pymonik.client.looking import ClientLooks
from pymonik.client.wishes import check_on_unseen, checked
from pymonik.code import codec
from pymonik.code.own_frames import uncaught_errors, unlink
from pymonik.errors import ControlPlaneError, PymonikError, SessionClosedError, UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.options import TaskOptions, refuse_unknown
from pymonik.runs.waiting import update_views
from pymonik.session.current import open_sessions
from pymonik.session.protocol import BATCH_TASKS
from pymonik.transport.purges import purges

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from datetime import timedelta
    from types import TracebackType

    from pymonik.client.opening import Opened
    from pymonik.client.wishes import OnExit, OnUnseen
    from pymonik.cluster.local import LocalCluster
    from pymonik.kept.job_file import LeftHandles
    from pymonik.page.rewriting import Rewriting
    from pymonik.runs.cancelled import CancelReport
    from pymonik.runs.output import Wanted
    from pymonik.session.remote import RemoteSession
    from pymonik.wire.environment import Environment

_log = logging.getLogger("pymonik.client")
T = TypeVar("T")
_HINTS = {
    "is_worker": "a client is never one; in a task `get_context().is_local` is False",
    "local_session": "call the task to run it here: add(1, 2)",
    "polling_batch_size": "leave it out: as many results as a request can hold are asked for",
    "workers": "write `with LocalCluster(workers=...) as cluster, Pymonik(cluster)`",
    "memory_limit": "did you mean memory? Or LocalCluster(memory_limit=...)",
    "retries": "did you mean max_retries?",
    "timeout": "did you mean connect_timeout, or max_duration?",
    "pip": "write environment={'pip': [...]}",
}


class Pymonik(Leaving, ClientLooks, AsBefore):
    """A session on a cluster: on this machine, or on ArmoniK.

    ::

        with Pymonik():                      # AKCONFIG's cluster, or one on this machine
            print(add.invoke(1, 2).get())

    Leaving the ``with`` block waits for everything that was submitted, then closes the session;
    leaving it by an exception, or by Ctrl-C, cancels the session. `create` and `close` do the same
    in a notebook.
    """

    def __init__(
        self,
        endpoint: str | LocalCluster | None = None,
        partition: str | Sequence[str] | None = None,
        environment: object = None,
        task_options: object = None,
        *,
        max_duration: timedelta | float | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        memory: int | str | None = None,
        certificate_authority: str | os.PathLike[str] | None = None,
        client_certificate: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        override_target_name: str | None = None,
        connect_timeout: float = 2.0,
        request_timeout: float = 60.0,
        unavailable_timeout: float = 300.0,
        batch_size: int = BATCH_TASKS,
        disable_events_client: bool = False,
        polling_interval: float = 0.5,
        storage_folder: str | os.PathLike[str] | None = None,
        direct: bool = True,
        include: Sequence[str | os.PathLike[str]] = (),
        exclude: Sequence[str] = (),
        on_unseen: OnUnseen = "warn",
        output: Wanted = "live",
        locals: bool = True,  # noqa: A002 - the word that debuggers have for them
        session: str | None = None,
        on_exit: OnExit | None = None,
        keep: bool = False,
        keep_failed: bool = True,
        **_unknown: NoReturn,
    ) -> None:
        """Nothing is opened before `create` or ``with``.

        Args:
            endpoint: ``https://host:port``, ``http://host:port``, ``unix:/path``, or a
                `LocalCluster`; without it, that of the file named by the variable ``AKCONFIG``, or
                a cluster on this machine.
            partition: Where tasks run; of several, the first is the default and the others can be
                named by tasks. Without it, the default of the cluster.
            environment: Packages of every task: a list, ``"requirements.txt"``,
                ``"pyproject.toml"``, ``"uv.lock"``, ``"script"``, ``"here"``, or a dict of
                ``"pip"``, any of these, and ``"env_variables"``.
            task_options: Options of every task, under those of the task and of the call.
            max_duration: Shortcut for the option, like the three that follow.
            priority: 1 to 10, higher runs first.
            max_retries: Attempts after the first one.
            memory: What a task may use with all that it starts, such as ``"2G"``.
            certificate_authority: PEM file of who signed the server's certificate.
            client_certificate: PEM file that says who you are.
            client_key: PEM file of the key of ``client_certificate``.
            override_target_name: The name in the server's certificate, where it is another.
            connect_timeout: Seconds in which the control plane must answer first.
            request_timeout: Seconds in which it must answer a request.
            unavailable_timeout: Seconds for which whoever waits, for an answer or for a result
                without a time-out, goes on while nobody answers. No call is lost by that.
            batch_size: Most calls of one request.
            disable_events_client: Ask for results now and then, where a proxy cuts event streams.
            polling_interval: Seconds between two such questions.
            storage_folder: The folder of ArmoniK's object storage, where it is mounted here too:
                large data then does not pass through the network.
            direct: ``False`` sends everything through gRPC: nothing goes through files or sockets
                of this machine.
            include: Modules, files and folders of the program that go with its calls although
                nothing refers to them.
            exclude: Patterns of files that do not: ``"tests/*"``, ``"*.csv"``.
            on_unseen: What leaving the ``with`` block does about calls that failed and whose errors
                nobody looked at: one line for each function, raise the first, or nothing.
            output: Where goes what tasks print: ``"live"`` shows it on standard error, each line
                behind ``[function number]``, or in the cell of a notebook; ``"quiet"`` shows
                nothing; a function is called with each `OutputLine`.
            locals: Whether errors tell the local variables of the frames in which tasks failed, as
                short texts, for debuggers and ``locals()``.
            session: A name. The session that has it is gone on with, or one is made that other
                programs find by it; its runs are recorded. The id of a session will do, too.
            on_exit: What leaving the ``with`` block does with the session: ``"finish"`` waits for
                everything and closes it, ``"keep"`` sends what is left and lets it go on,
                ``"cancel"`` stops what has not ended. Without it a block that ends well finishes
                the session that it made, and keeps one that was there; an error or Ctrl-C keeps
                one that has a name, and cancels another.
            keep: Use the cluster on this machine that stays when this program ends: it is started
                if it does not run, every program of this user finds it, and what is in it lies on
                the disk. ``pymonik cluster --stop`` ends it.
            keep_failed: Whether arguments and outputs of calls that failed stay in the cluster
                when the program ends, for who looks at them later; all others are deleted.
        """
        refuse_unknown("Pymonik()", _unknown, _keywords(), _HINTS)
        check_on_unseen(on_unseen)
        options = TaskOptions.shortcuts(
            task_options,
            max_duration=max_duration,
            priority=priority,
            max_retries=max_retries,
            memory=memory,
        )
        self._wishes = checked(
            endpoint=endpoint,
            certificates={
                "certificate_authority": certificate_authority,
                "client_certificate": client_certificate,
                "client_key": client_key,
                "override_target_name": override_target_name,
            },
            partition=partition,
            environment=environment,
            options=options,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
            unavailable_timeout=unavailable_timeout,
            batch_size=batch_size,
            disable_events_client=disable_events_client,
            polling_interval=polling_interval,
            storage_folder=storage_folder,
            direct=direct,
            include=include,
            exclude=exclude,
            tells_locals=locals,
            output=output,
            session=session,
            on_exit=on_exit,
            keep=keep,
        )
        self._on_unseen = on_unseen
        self._keeps_failed = keep_failed
        self._left: LeftHandles | None = None  # what `attach` was given
        self._uploads: dict[str, ResultHandle[bytes]] = {}  # by the hash of the content
        self._lock = threading.RLock()  # signal handlers close and invoke, whatever they interrupt
        self._is_opening = False
        self._session: RemoteSession | None = None
        self._opened_as: Opened | None = None
        self._blocks = Blocks()
        self._ended = False
        self._interrupted_at = -math.inf  # when Ctrl-C ended the block
        self._pages: list[Rewriting] = []  # files that are written again and again

    def __repr__(self) -> str:
        where = self._wishes.endpoint or "AKCONFIG or this machine"
        state = f"session {self._session.session_id}" if self._session else "not connected"
        return f"<Pymonik {where}: {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client stays in its program; in a task, calls need no `pymonik=`")

    # -- life ----------------------------------------------------------------------------------

    def create(self) -> Pymonik:
        """Connect, create a session and make it the newest one; does not connect if it is open.

        Calls without ``pymonik=`` go to the newest open session of the program, in every thread,
        callback and coroutine, except inside the ``with`` block of another.

        Raises:
            ConfigError: The endpoint or a certificate cannot be used.
            UnavailableError: No control plane answers there.
        """
        __tracebackhide__ = True
        try:
            with self._lock:
                open_sessions.add(self._opened())
        except PymonikError as error:
            unlink(error)  # in a notebook nobody scrolls through ours to the line of the user
            raise error
        return self

    def close(self, *, wait: bool = True) -> None:
        """Wait for everything that was submitted, then close the session.

        Args:
            wait: ``False`` closes now: tasks that have not started will not.
        """
        self._end(cancel=False, wait=wait)

    def cancel(self) -> CancelReport:
        """Cancel everything and close; tells how many tasks had finished, failed or are cancelled.

        Calls that share a task count once. All are 0 where nobody tells.
        """
        from pymonik.runs.cancelled import CancelReport

        session = self._session
        self._end(cancel=True, wait=False)
        return CancelReport.of_session(session) if session is not None else CancelReport()

    def _end(self, *, cancel: bool, wait: bool) -> None:
        with self._lock:
            session, self._session = self._session, None
            self._ended = True
        if session is None:
            return
        # While the session can still be asked: the last version shows how everything ended.
        for page in self._pages:
            page.stop()
        try:
            self._end_session(session, cancel=cancel, wait=wait)
        finally:
            uncaught_errors.close()
            update_views()

    def _end_session(self, session: RemoteSession, *, cancel: bool, wait: bool) -> None:
        # Loaded when the session was opened: a signal handler that closes it imports nothing anew.
        from pymonik.client.ending import end
        from pymonik.client.opening import forgotten

        opened = self._opened_as
        if opened is not None and opened.place.is_shared and not session.is_recorded:
            forgotten.expect(session)
        was_block = self._blocks.leave(session)
        open_sessions.remove(session, was_block=was_block)
        if cancel:
            session.cancel_all()
        else:
            end(session, wait=wait, interrupted_at=self._interrupted_at)
        if opened is not None and not opened.is_local and not session.is_recorded:
            purges.expect(session, session.failed_results if self._keeps_failed else ())

    def __enter__(self) -> Pymonik:
        __tracebackhide__ = True
        self.create()
        self._blocks.enter(self._session)
        return self

    async def __aenter__(self) -> Pymonik:
        """The same in a coroutine, which other coroutines do not wait for."""
        from pymonik.handles.event_loops import in_thread  # only who awaits needs it

        # In a copy of the context, so that the thread sees what the coroutine sees; what it sets
        # there is lost, and is set again here.
        await in_thread(copy_context().run, self.create)
        self._blocks.enter(self._session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The same in a coroutine."""
        from pymonik.handles.event_loops import in_thread

        self._blocks.step_out(self._session)
        await in_thread(copy_context().run, self.__exit__, kind, error, trace)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._blocks.are_nested:
            self._blocks.leave_inner()  # the outer block ends the session, by the same error or not
            return
        session = self._session
        if error is None:
            self._exit(is_error=False)
            if session is not None:
                from pymonik.session.unseen import tell_unseen

                tell_unseen(session.take_unseen_failures(), self._on_unseen)
            return
        if isinstance(error, KeyboardInterrupt):
            self._interrupted_at = time.monotonic()
        unlink(error)
        uncaught_errors.expect(error)
        try:
            self._exit(is_error=True)
        except ControlPlaneError as failed:
            # The error of the block is what the user must see.
            _log.warning("the session could not be ended: %s", failed)

    def _exit(self, *, is_error: bool) -> None:
        """What leaving the block does; see ``on_exit``."""
        how = self._wishes.on_exit
        if how is None and is_error:
            how = "keep" if self._wishes.name else "cancel"
        if how is None:
            how = "keep" if self._opened_as and self._opened_as.was_there else "finish"
        if how == "keep":
            from pymonik.client.ending import leave_at_once

            session = self._session
            try:
                self.leave()
            except KeyboardInterrupt:
                if session is not None and self._session is session:
                    leave_at_once(session)
                    self._let_go(session)
                raise
        else:
            self._end(cancel=how == "cancel", wait=True)

    # -- values --------------------------------------------------------------------------------

    def put(self, value: T, name: str | None = None) -> ResultHandle[T]:
        """Store ``value`` once, to be passed to many tasks."""
        state = self.session.put([codec.pack(value, copy=False)], [name or "value"])[0]
        return ResultHandle(state)

    def put_many(
        self, values: Iterable[T], names: Sequence[str] | None = None
    ) -> MultiResultHandle[T]:
        """Store several values, together."""
        packed = [codec.pack(value, copy=False) for value in values]
        called = list(names) if names is not None else ["value"] * len(packed)
        if len(called) != len(packed):
            raise UsageError(f"put_many: {len(packed)} values, but {len(called)} names")
        return MultiResultHandle([ResultHandle(s) for s in self.session.put(packed, called)])

    # -- running tasks -------------------------------------------------------------------------

    def set_config(self, name: str, value: object) -> None:
        """Set what tasks that run see as ``context.config(name)``, from now on, within a second.

        Tasks that were sent before the first setting of a session see none.

        Args:
            name: Of the setting.
            value: What JSON knows, all settings together at most 64 KiB.

        Raises:
            UsageError: It is something else, or too large.
        """
        board = self.session.board
        if board is not None:
            board.set(name, value)

    # -- session -------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str | LocalCluster | None:
        """Where it was told to connect; ``None``: AKCONFIG's cluster, or one of this machine."""
        return self._wishes.endpoint

    @property
    def session(self) -> RemoteSession:
        """The open session; opened now if this client never had one.

        Raises:
            SessionClosedError: It was closed.
        """
        if (session := self._session) is not None:
            return session
        with self._lock:
            if self._session is None and self._ended:
                raise SessionClosedError(
                    "Pymonik", "this client is closed; use `with Pymonik():`, or call create()"
                )
            return self._opened()

    def _opened(self) -> RemoteSession:
        """The session; opened if there is none. The lock is held."""
        if self._session is None:
            if self._is_opening:
                raise UsageError(
                    "a signal handler cannot wait for the client that is being opened by what it "
                    "interrupted"
                )
            self._is_opening = True
            try:
                # The machine of a session, protobuf and gRPC are the larger part of what a client
                # loads. A cluster that is started here starts while they are loaded.
                from pymonik.client.opening import open_client

                self._session, self._opened_as = open_client(self._wishes)
                self._follow(self._session, self._opened_as)
                uncaught_errors.open()
            finally:
                self._is_opening = False
        return self._session

    def _follow(self, session: RemoteSession, opened: Opened) -> None:
        """Have nothing left of a session elsewhere that nobody can ask for."""
        if not opened.is_local and not session.is_recorded:
            purges.follow(session, session.failures_of_any_time() if self._keeps_failed else tuple)

    @property
    def session_id(self) -> str:
        """The id that the control plane gave."""
        return self.session.session_id

    @property
    def environment(self) -> Environment:
        """What every task gets around it."""
        return self._wishes.environment

    def send(self) -> None:
        """Have everything submitted so far sent now; returns when it is."""
        self.session.send()


def _keywords() -> list[str]:
    return [name for name in inspect.signature(Pymonik).parameters if name != "_unknown"]
