"""`Pymonik`: the connection to a cluster, and the session that tasks run in."""

from __future__ import annotations

import inspect
import logging
import math
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from pymonik.code import codec
from pymonik.code.own_frames import uncaught_errors, unlink
from pymonik.code.program import Program
from pymonik.context.task_context import in_task
from pymonik.environments.asked import environment_of
from pymonik.errors import (
    ConfigError,
    ControlPlaneError,
    SessionClosedError,
    UnavailableError,
    UsageError,
)
from pymonik.handles.handles import MultiResultHandle, ResultHandle
from pymonik.kept import job_file
from pymonik.kept.call_keys import CallKeys
from pymonik.kept.joining import check_name, find_session, join, wait_for_others, with_labels
from pymonik.kept.recorded_runs import Runs
from pymonik.options import TaskOptions, refuse_unknown
from pymonik.quantities import positive_s, whole_number
from pymonik.runs import log_lines
from pymonik.runs.cancelled import CancelReport
from pymonik.runs.output import shown
from pymonik.runs.tidying import is_mine, known
from pymonik.runs.waiting import update_views
from pymonik.runs.wording import count
from pymonik.session.current import activate, entered_session, open_sessions
from pymonik.session.forgetting import keep
from pymonik.session.outgoing import BATCH_TASKS
from pymonik.session.recording import Recording
from pymonik.session.tasks import is_item
from pymonik.session.unseen import tell_unseen
from pymonik.tasks.arguments import NO_INPUT
from pymonik.tasks.monitors import MonitorHandle, running, stop_all
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.control_plane import ControlPlane
from pymonik.transport.direct import DirectChannel
from pymonik.transport.forgotten import ForgottenSessions
from pymonik.transport.listener import Listener
from pymonik.transport.messages import DEFAULTS
from pymonik.transport.opening import open_session
from pymonik.transport.purges import purges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta
    from types import TracebackType

    from pymonik.cluster.local import LocalCluster
    from pymonik.files.materialized import Materialize
    from pymonik.kept.job_file import JobFile
    from pymonik.kept.joining import Joined
    from pymonik.kept.letters import DeadLetter, ItemLetter
    from pymonik.page.board import Board
    from pymonik.page.rewriting import Rewriting
    from pymonik.page.serving import Dashboard
    from pymonik.runs.output import Wanted
    from pymonik.runs.reasons import Why
    from pymonik.runs.rows import ResultRow
    from pymonik.runs.tidying import KnownSession
    from pymonik.runs.workers import Worker
    from pymonik.session.protocol import Session
    from pymonik.session.remote import RemoteSession
    from pymonik.session.result import ResultState
    from pymonik.tasks.task import Task
    from pymonik.wire.environment import Environment

_log = logging.getLogger(__name__)
T = TypeVar("T")
OnExit = Literal["finish", "keep", "cancel"]
_SECOND_S = 2.0  # after Ctrl-C, in which another one waits for nothing at all
_RESTART_S = 30.0  # in which a cluster on this machine may be started again at the same socket
_DEFAULT_PARTITION = "pymonik"
_MOST_LISTED = 100_000  # results
_HINTS = {
    "is_worker": "a client is never one; in a task `get_context().is_local` is False",
    "local_session": "call the task to run it here: add(1, 2)",
    "polling_batch_size": "leave it out: as many results as a request can hold are asked for",
    "workers": "it belongs to the cluster: Pymonik(LocalCluster(workers=...))",
    "memory_limit": "did you mean memory? Or Pymonik(LocalCluster(memory_limit=...))",
    "retries": "did you mean max_retries?",
    "timeout": "did you mean connect_timeout, or max_duration?",
    "pip": "write environment={'pip': [...]}",
}
_forgotten = ForgottenSessions()  # of the embedded cluster of this process


class Pymonik:
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
        on_unseen: Literal["warn", "raise", "ignore"] = "warn",
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
        self._endpoint = endpoint
        self._certificates: dict[str, Any] = {
            "certificate_authority": certificate_authority,
            "client_certificate": client_certificate,
            "client_key": client_key,
            "override_target_name": override_target_name,
        }
        self._partitions = _partitions(partition)
        self._environment = environment_of(environment)
        self._options = TaskOptions.shortcuts(
            task_options,
            max_duration=max_duration,
            priority=priority,
            max_retries=max_retries,
            memory=memory,
        )
        self._connect_timeout = positive_s(connect_timeout, "connect_timeout")
        self._request_timeout = positive_s(request_timeout, "request_timeout")
        self._storage_folder = Path(storage_folder) if storage_folder else None
        self._direct = direct
        self._include = tuple(os.fspath(one) for one in include)
        self._exclude = tuple(exclude)
        if on_unseen not in ("warn", "raise", "ignore"):
            raise UsageError(f"on_unseen must be 'warn', 'raise' or 'ignore', not {on_unseen!r}")
        self._on_unseen = on_unseen
        self._tells_locals = locals
        if on_exit not in (None, "finish", "keep", "cancel"):
            raise UsageError(f"on_exit must be 'finish', 'keep' or 'cancel', not {on_exit!r}")
        if session is not None:
            check_name(session)
        if keep and endpoint is not None:
            raise UsageError("keep=True is for the cluster on this machine, without an endpoint")
        self._keeps_cluster = keep
        self._keeps_failed = keep_failed
        self._name = session or ""
        self._on_exit = on_exit
        self._found = ""  # the endpoint, once it is known
        self._was_there = False  # the session, before this client came to it
        self._left: JobFile | None = None  # what `attach` was given
        shown(output)  # refuses what it does not know
        self._output = output
        batch_tasks = whole_number("batch_size", batch_size, 1, sys.maxsize)
        polling_s = positive_s(polling_interval, "polling_interval")
        self._settings: dict[str, Any] = {
            "batch_tasks": min(batch_tasks, BATCH_TASKS),
            "patience_s": positive_s(unavailable_timeout, "unavailable_timeout"),
            "polling_s": polling_s if disable_events_client else None,
        }
        self._uploads: dict[str, ResultHandle[bytes]] = {}  # by the hash of the content
        self._lock = threading.RLock()  # signal handlers close and invoke, whatever they interrupt
        self._is_opening = False
        self._session: RemoteSession | None = None
        self._is_local = False  # it is in a cluster that ends with this process, or before
        self._is_embedded = False  # the session is in the embedded cluster of this process
        self._around: list[Session | None] = []  # what was entered around each `with` of this
        self._ended = False
        self._interrupted_at = -math.inf  # when Ctrl-C ended the block
        self._pages: list[Rewriting] = []  # files that are written again and again

    def __repr__(self) -> str:
        where = self._endpoint or "AKCONFIG or this machine"
        state = f"session {self._session.session_id}" if self._session else "not connected"
        return f"<Pymonik {where}: {state}>"

    # -- life ----------------------------------------------------------------------------------

    def create(self) -> Pymonik:
        """Connect, create a session and make it the newest one; does not connect if it is open.

        Calls without ``pymonik=`` go to the newest open session of the program, in every thread,
        callback and coroutine, except inside the ``with`` block of another.

        Raises:
            ConfigError: The endpoint or a certificate cannot be used.
            UnavailableError: No control plane answers there.
        """
        with self._lock:
            open_sessions.add(self._opened())
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
        session = self._session
        self._end(cancel=True, wait=False)
        return CancelReport.of_session(session) if session is not None else CancelReport()

    def _end(self, *, cancel: bool, wait: bool) -> None:
        with self._lock:
            session, self._session = self._session, None
            self._ended = True
        if session is None:
            return
        for page in self._pages:
            page.stop()
        try:
            self._end_session(session, cancel=cancel, wait=wait)
            if not self._is_local and not session.is_recorded:
                purges.expect(session, session.failed_results if self._keeps_failed else ())
        finally:
            uncaught_errors.close()
            update_views()

    def _end_session(self, session: RemoteSession, *, cancel: bool, wait: bool) -> None:
        if self._is_embedded and not session.is_recorded:
            _forgotten.expect(session)
        was_block = self._leave_block(session)
        open_sessions.remove(session, was_block=was_block)
        if cancel:
            session.cancel_all()
            return
        try:
            if wait:
                stop_all(session)
                session.wait_for_all()
                if session.is_recorded:
                    wait_for_others(session.lists, session.session_id)
        except BaseException as error:
            if session.is_recorded and isinstance(error, KeyboardInterrupt):
                self._stop_waiting(session)
            else:
                session.cancel_all()
            raise
        try:
            session.close()
            log_lines.closed(session.lists, session.session_id)
        except UnavailableError as error:
            # Everything has ended by now: that nobody is there to close the session costs nothing.
            _log.warning("the session was not closed: %s", error)

    def _stop_waiting(self, session: RemoteSession) -> None:
        """Ctrl-C while a session is finished that others can find: it goes on.

        The first one has what is left sent, a second one soon after it nothing at all.
        """
        if time.monotonic() - self._interrupted_at > _SECOND_S:
            try:
                session.leave()
            except KeyboardInterrupt:
                pass
            else:
                return
        _leave_at_once(session)

    def _leave_block(self, session: RemoteSession) -> bool:
        """Make the session around the block the current one again; whether there is a block."""
        if not self._around:
            return False
        around = self._around.pop()
        if entered_session() is session:
            activate(around)
        return True

    def __enter__(self) -> Pymonik:
        self.create()
        self._around.append(entered_session())
        activate(self._session)
        return self

    async def __aenter__(self) -> Pymonik:
        """The same in a coroutine, which other coroutines do not wait for."""
        import asyncio

        await asyncio.to_thread(self.create)
        self._around.append(entered_session())
        activate(self._session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The same in a coroutine."""
        import asyncio

        if self._session is not None and entered_session() is self._session:
            activate(self._around[-1] if self._around else None)
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session = self._session
        if error is None:
            self._exit(is_error=False)
            if session is not None:
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
        how = self._on_exit
        if how is None and is_error:
            how = "keep" if self._name else "cancel"
        if how is None:
            how = "keep" if self._was_there else "finish"
        if how == "keep":
            session = self._session
            try:
                self.leave()
            except KeyboardInterrupt:
                if session is not None and self._session is session:
                    _leave_at_once(session)
                    self._let_go(session)
                raise
        else:
            self._end(cancel=how == "cancel", wait=True)

    # -- leaving and coming back ---------------------------------------------------------------

    @classmethod
    def attach(cls, file: str | os.PathLike[str], **settings: Any) -> Pymonik:
        """An open client of the session that `leave` has written into ``file``.

        Args:
            file: What `leave` was given, or a copy of it on another machine.
            settings: As for `Pymonik`; certificates are not in the file, and are those of
                ``AKCONFIG`` where that names the same endpoint.

        Raises:
            UsageError: There is no such file, it is none of ours, or its session was deleted.
        """
        job = job_file.read(file)
        configured = ClusterConfig.find()
        same = configured is not None and configured.endpoint == job.endpoint
        where = {"endpoint": None if same else job.endpoint, "session": job.session}
        client = cls(**{"partition": list(job.partitions), "on_exit": "keep", **where, **settings})
        client._left = job
        client.create()
        if not client._was_there:
            client.cancel()
            raise UsageError(
                f"session {job.session} of {os.fspath(file)} is not in this cluster any more"
            )
        return client

    def leave(
        self,
        file: str | os.PathLike[str] | None = None,
        *handles: ResultHandle[Any] | MultiResultHandle[Any],
    ) -> None:
        """Send what is left, and let the session go on without this program.

        Args:
            file: Where to write how to come back; see `attach`. There is no secret in it.
            handles: That `handles` gives to whoever comes back.
        """
        session = self.session
        states = _states(handles)
        if session.is_open:
            session.leave()
        if file is not None:
            self._write_job(file, session, states)
        self._let_go(session)

    def _let_go(self, session: RemoteSession) -> None:
        """This program has left the session."""
        with self._lock:
            self._session, self._ended = None, True
        was_block = self._leave_block(session)
        open_sessions.remove(session, was_block=was_block)
        uncaught_errors.close()
        update_views()

    def _write_job(
        self, file: str | os.PathLike[str], session: RemoteSession, states: list[ResultState]
    ) -> None:
        if not session.is_recorded:
            keep(session)
            session.record(states)
        job = job_file.JobFile(
            endpoint=self._found,
            session=session.session_id,
            name=self._name,
            partitions=tuple(self._partitions),
            results=job_file.kept_results(states),
        )
        job_file.write(file, job)

    @property
    def handles(self) -> MultiResultHandle[Any]:
        """The handles that `leave` was given; of a client that `attach` made.

        Raises:
            UsageError: This client was made in another way.
        """
        if self._left is None:
            raise UsageError("handles are those of a file: Pymonik.attach('job.json').handles")
        states = job_file.kept_states(self._left, self.session)
        return MultiResultHandle(map(ResultHandle, states))

    @property
    def runs(self) -> Runs:
        """The runs of the session by label, those of other programs too."""
        return Runs(self.session)

    def sessions(self, limit: int = 100) -> list[KnownSession]:
        """Sessions of this user in the cluster, alive or ended, the newest first."""
        lists = self.session.lists
        return [known(lists, row) for row in lists.sessions(limit) if is_mine(row)]

    def results(self, name: str = "") -> list[ResultRow]:
        """Results of the session, the newest first; only those of a name, if one is given."""
        lists = self.session.lists
        found: list[ResultRow] = lists.results_named(
            name, _MOST_LISTED, session_id=self.session_id, exactly=bool(name)
        )
        return found

    def delete(self, *handles: ResultHandle[Any] | MultiResultHandle[Any]) -> None:
        """Delete the data of results at once: whoever asks for one from now on gets an error.

        Raises:
            UsageError: A result holds the values of other calls too.
        """
        states = _states(handles)
        if shared := [state for state in states if is_item(state)]:
            raise UsageError(
                f"{shared[0].name} shares its result with other calls of its map_invoke; "
                "chunk_size=1 gives each call its own"
            )
        self.session.send()
        self.session.delete([state.result_id for state in states if state.result_id])

    # -- opening -------------------------------------------------------------------------------

    def _open(self) -> RemoteSession:
        config, cluster = self._find()
        self._found = config.endpoint
        settings = dict(self._settings)
        folder = self._storage_folder
        self._is_local = cluster is not None
        if cluster is not None:
            folder = folder or cluster.storage_folder
            settings["is_alive"] = cluster.is_alive
            settings["is_private"] = True
        elif config.endpoint.startswith("unix:"):
            settings["is_alive"] = Listener(
                config.endpoint, min(settings["patience_s"], _RESTART_S)
            ).is_alive
        with ExitStack() as opened:
            channel = open_channel(config)
            is_direct = cluster is not None and self._direct
            if cluster is not None and is_direct:
                channel = DirectChannel(cluster.direct_socket, channel)
                settings["direct_socket"] = cluster.direct_socket
            opened.callback(channel.close)
            plane = ControlPlane(
                channel,
                endpoint=config.endpoint,
                timeout_s=self._request_timeout,
                patience_s=self._settings["patience_s"],
                is_direct=is_direct,
            )
            settings["chunk_bytes"] = plane.connect(self._connect_timeout)
            joined = self._join(plane)
            if joined is None:
                session_id, partitions, options = self._create_session(plane)
            else:
                session_id, partitions = joined.row.session_id, list(joined.row.partitions)
                options = self._options.over(DEFAULTS)
                settings["nonces"] = joined.nonces
            if joined is not None:
                settings["recording"] = joined.recording
            elif self._name or self._on_exit == "keep":
                settings["recording"] = Recording(CallKeys(self._environment))
            if "recording" in settings:
                settings["is_private"] = False
            session = open_session(
                plane,
                session_id,
                environment=self._environment,
                options=options,
                partitions=partitions,
                tells_locals=self._tells_locals,
                show=shown(self._output),
                hears=settings["polling_s"] is None,
                storage_folder=folder if self._direct else None,
                program=Program(
                    self._include,
                    self._exclude,
                    shares_paths=cluster is not None and cluster.shares_paths,
                ),
                **settings,
            )
            # Kept open by the session: results can be fetched after its end.
            opened.pop_all()
        log_lines.opened(config.endpoint, session_id, partitions, self._environment)
        uncaught_errors.open()
        if self._is_embedded:
            _forgotten.delete(plane)
        return session

    def _find(self) -> tuple[ClusterConfig, LocalCluster | None]:
        """Where to connect, and the cluster there if it is one of this machine."""
        cluster = _as_local_cluster(self._endpoint)
        if cluster is None:
            endpoint: Any = _kept_cluster() if self._keeps_cluster else self._endpoint
            config = ClusterConfig.find(endpoint, **self._certificates)
            if config is not None:
                return config, None
            self._is_embedded = True
            cluster = _local_cluster()
        elif given := [name for name, value in self._certificates.items() if value is not None]:
            raise ConfigError(f"{', '.join(given)}: a cluster of this machine takes none")
        return ClusterConfig(cluster.endpoint), cluster

    def _join(self, plane: ControlPlane) -> Joined | None:
        """The session that has the name, if there is one; tells what is in it."""
        row = find_session(plane.lists, self._name) if self._name else None
        self._was_there = row is not None
        return None if row is None else join(plane.lists, row, CallKeys(self._environment))

    def _create_session(self, plane: ControlPlane) -> tuple[str, list[str], TaskOptions]:
        options, partitions = self._options.over(DEFAULTS), list(self._partitions)
        if options.partition_id is None and partitions:
            options = TaskOptions(partition_id=partitions[0]).over(options)
        if options.partition_id and options.partition_id not in partitions:
            partitions.insert(0, options.partition_id)
        try:
            return self._created(plane, options, partitions), partitions, options
        except ControlPlaneError as error:
            if partitions or not error.detail.startswith("Partition was not found"):
                raise _with_partitions(error, plane) from error
            partition = _only_partition(plane.list_partitions(), error)
        options = TaskOptions(partition_id=partition).over(options)
        return self._created(plane, options, [partition]), [partition], options

    def _created(self, plane: ControlPlane, options: TaskOptions, partitions: Sequence[str]) -> str:
        return plane.create_session(with_labels(options, self._name), partitions)

    # -- as PymoniK 0.2 had it -----------------------------------------------------------------

    NoInput = NO_INPUT

    def is_worker(self) -> bool:
        """Whether this runs in a task."""
        return in_task()

    def register_tasks(self, tasks: Iterable[Task[..., Any]]) -> None:
        """Pickle the functions now rather than with their first calls, which send them.

        Raises:
            SerializationError: A function cannot be pickled.
        """
        for one in tasks:
            one.packed()

    def upload_materialize(self, mat: Materialize, force_upload: bool = False) -> Materialize:  # noqa: FBT001, FBT002
        """Store the content of a file or folder, once for each content; gives ``mat`` itself.

        Args:
            mat: What `materialize` gave.
            force_upload: Store it even if the same content was stored.
        """
        if force_upload or mat.content_hash not in self._uploads:
            self._uploads[mat.content_hash] = self.put(mat.content(), f"file {mat.source_path}")
        mat.handle = self._uploads[mat.content_hash]
        mat.result_id = mat.handle.result_id
        return mat

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

    @property
    def is_live(self) -> bool:
        """Whether what tasks print and report is heard while they run.

        So it is on the embedded cluster, and where workers of ArmoniK reach the control plane:
        there it is known once something was heard of a running task.
        """
        live = self.session.live
        return live is not None and live.is_live

    def monitors(self) -> list[MonitorHandle]:
        """The monitors that this client has started and that have not ended."""
        return running(self.session.monitors)

    # -- session -------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str | LocalCluster | None:
        """Where it was told to connect; ``None``: AKCONFIG's cluster, or one of this machine."""
        return self._endpoint

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
                self._session = self._open()
            finally:
                self._is_opening = False
        return self._session

    @property
    def session_id(self) -> str:
        """The id that the control plane gave."""
        return self.session.session_id

    @property
    def environment(self) -> Environment:
        """What every task gets around it."""
        return self._environment

    def why(self) -> Why:
        """Why tasks of the session have not ended; asks the control plane, and prints as text."""
        from pymonik.runs.looking import why_session

        return why_session(self.session.lists, self.session_id)

    def workers(self, *, probe: bool = False) -> list[Worker]:
        """The workers of the cluster, by host and partition: hardware, versions, what they do.

        ArmoniK has no list of workers: one shows itself with the first task of a session.

        Args:
            probe: Run a short task at every worker of the session's partitions first, as far as
                there are pods for them, so that those show themselves that had no task yet.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        from pymonik.runs.workers import workers
        from pymonik.tasks.probing import probe as probed

        if probe:
            probed(self.session)
        return workers(self.session.lists, time.time())

    def dashboard(self, *, port: int = 0, hosts: Sequence[str] = ()) -> Dashboard:
        """Serve a page on this machine that shows the cluster and what this program does there.

        It shows runs with a tile for each call, arguments, errors, attempts, the workers along
        time, what waits for what, partitions and environments, and can cancel. Whoever has its
        address may use it, so there is a secret in that.

        Args:
            port: Of loopback; 0 takes a free one.
            hosts: Names under which a proxy makes the page reachable, such as that of JupyterHub.

        Raises:
            UsageError: The port is taken.
        """
        from pymonik.page.serving import Dashboard

        return Dashboard(self._board(), title="pymonik", port=port, hosts=hosts)

    def page(self, path: str | os.PathLike[str], *, every: float | None = None) -> Path:
        """Write the page into one file, as it is now; gives its path.

        Args:
            path: Of the file.
            every: Write it again every so many seconds until this client is closed; the browser
                that has it open reads it again.

        Raises:
            ControlPlaneError: The cluster cannot be asked.
            OSError: It cannot be written.
        """
        from pymonik.page.rewriting import Rewriting

        writing = Rewriting(Path(path), self._board(), every)
        if every is not None:
            writing.start()
            self._pages.append(writing)
        return writing.path

    def _board(self) -> Board:
        from pymonik.page.board import Board

        session = self.session
        is_here = self._is_embedded or _as_local_cluster(self._endpoint) is not None
        where = "this machine" if is_here else str(self._endpoint or "AKCONFIG")
        lists: Any = session.lists
        return Board(lists, lists, endpoint=where, session=session, is_here=is_here)

    def dead_letters(self, session_id: str | None = None) -> list[DeadLetter | ItemLetter]:
        """What failed for good, with every attempt; ``letter.invoke()`` sends it again.

        Calls that shared a task with others are among them where this client has sent them.

        Args:
            session_id: Of another session; by default those of this one.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        from pymonik.kept.letters import dead_letters

        return dead_letters(self.session, session_id or self.session_id)

    def send(self) -> None:
        """Have everything submitted so far sent now; returns when it is."""
        self.session.send()


def _leave_at_once(session: RemoteSession) -> None:
    unsent = session.leave_at_once()
    if unsent:
        _log.warning(
            "left at once: %s may never have left this program; the same call with the same "
            "label, in the same session, sends what did not",
            count(unsent, "item"),
        )


def _states(
    handles: Iterable[ResultHandle[Any] | MultiResultHandle[Any]],
) -> list[ResultState]:
    states = []
    for one in handles:
        several = one if isinstance(one, MultiResultHandle) else [one]
        states += [handle._state for handle in several]
    return states


def _keywords() -> list[str]:
    return [name for name in inspect.signature(Pymonik).parameters if name != "_unknown"]


def _as_local_cluster(endpoint: object) -> LocalCluster | None:
    if endpoint is None or isinstance(endpoint, str):
        return None
    from pymonik.cluster.local import LocalCluster

    return endpoint if isinstance(endpoint, LocalCluster) else None


def _local_cluster() -> LocalCluster:
    from pymonik.cluster.local import shared_local_cluster

    return shared_local_cluster()


def _kept_cluster() -> str:
    from pymonik.cluster import kept

    return kept.endpoint()


def _partitions(partition: str | Sequence[str] | None) -> tuple[str, ...]:
    given: tuple[object, ...]
    given = (partition,) if isinstance(partition, str) else tuple(partition or ())
    if not all(isinstance(name, str) and name for name in given):
        raise UsageError(f"partition must be a name or a list of names, not {partition!r}")
    return tuple(dict.fromkeys(str(name) for name in given))


def _only_partition(known: Sequence[str], error: ControlPlaneError) -> str:
    if _DEFAULT_PARTITION in known:
        return _DEFAULT_PARTITION
    if len(known) == 1:
        return known[0]
    raise UsageError(
        f"this cluster has no default partition; pass partition= (there are {', '.join(known)})"
    ) from error


def _with_partitions(error: ControlPlaneError, plane: ControlPlane) -> ControlPlaneError:
    if "Partition was not found" not in error.detail:
        return error
    known = ", ".join(plane.list_partitions()) or "none"
    return ControlPlaneError(error.operation, f"{error.detail} (the cluster has: {known})")
