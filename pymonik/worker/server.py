"""Starts the worker, and ends it without losing the running task."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.worker.agent_service_pb2_grpc import AgentStub
from armonik.protogen.worker.worker_service_pb2_grpc import add_WorkerServicer_to_server

from pymonik.code import failure
from pymonik.context.task_log import CLEF, FORMAT_VARIABLE
from pymonik.errors import ConfigError, PymonikError
from pymonik.executor.live_log import LiveLog
from pymonik.executor.pool import ExecutorPool
from pymonik.executor.process import Place
from pymonik.executor.reports import LiveReports
from pymonik.launch import open_files, orphans, threads
from pymonik.launch.stopping import Stopping
from pymonik.worker.as_client import AsClient
from pymonik.worker.clef import OutputLog, log_as_clef
from pymonik.worker.live import MOST_BYTES, LiveWay
from pymonik.worker.service import WorkerService
from pymonik.worker.worker_settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymonik.executor.frames import Run
    from pymonik.executor.output import Part

logger = logging.getLogger(__name__)

_THREADS_OF_GRPC = 8  # beside those below
THREADS = 8  # threads that answer: one runs the task, the others are for HealthCheck meanwhile
STOP_S = 2.0  # seconds for requests that are being answered when the server stops
WAKE_S = 1.0  # seconds between two looks at processes that have ended and nobody waits for
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def run_pymonik_worker() -> None:
    """Serve ArmoniK's agent until SIGTERM or SIGINT; then finish the running task and return.

    Everything is set by environment variables, see `pymonik.worker.worker_settings`.
    """
    try:
        settings = Settings.read()
        threads.check(THREADS + _THREADS_OF_GRPC)
    except ConfigError as error:
        sys.exit(f"pymonik.worker: {error}")
    log_as_clef(settings.log_level)
    orphans.adopt()
    open_files.raise_limit()
    stopping = Stopping()
    if problem := _problem_of(settings.folder):
        sys.exit(
            f"pymonik.worker: user {os.getuid()} cannot write its cache, {problem}; let "
            "XDG_CACHE_HOME name a folder that it can write"
        )
    serve(settings, stopping)


def serve(settings: Settings, stopping: Stopping) -> None:
    """Serve until told to stop, then let the running task end; a second signal ends it at once."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault(FORMAT_VARIABLE, CLEF)  # for executors: here tools read what tasks log
    live = LiveWay(_client(settings))
    with ExitStack() as stack:
        _have_temporary_folder(settings.folder, stack)
        prefix = "executors-"  # one worker's: others may have the same folder for their cache
        current = stack.enter_context(TemporaryDirectory(prefix=prefix, dir=settings.folder))
        pool = ExecutorPool(
            folder=settings.folder,
            size=1,
            memory_limit=settings.memory_limit,
            most_memory=settings.memory_limit,
            grace_s=settings.grace_s,
            place=Place(current, is_shared=False),
            on_output=_Both(OutputLog(), LiveLog(live, MOST_BYTES) if live.is_live else None),
            on_report=LiveReports(live),
            read_board=live.read_board,
        )
        stack.enter_context(pool)
        pool.start()
        failure.load()
        channel = stack.enter_context(_agent_channel(settings.agent))
        service = WorkerService(pool, AgentStub(channel), live=live)
        # Last in, first out: the server stops before the pool and the channel, which it uses.
        server = _listen(service, settings)
        stack.callback(lambda: server.stop(STOP_S).wait(2 * STOP_S))
        logger.info("worker serves on %s, agent at %s", settings.worker, settings.agent)
        while not stopping.requested.wait(WAKE_S):
            orphans.reap()  # the first process of a container gets those of all others
        logger.info("worker stops")
        pool.drain()
        if not service.drain(settings.drain_s, stopping.hurried):
            logger.warning("the running task did not end in %s s", settings.drain_s)


def _problem_of(folder: Path) -> str:
    """Why nothing can be kept in a folder; empty if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return str(error)


def _have_temporary_folder(folder: Path, stack: ExitStack) -> None:
    """In a container that is read-only but for its volumes: have temporary files lie in a folder.

    The installer, what builds packages, and tasks look for it in the variable.
    """
    try:
        gettempdir()
    except FileNotFoundError:
        own = TemporaryDirectory(prefix="temporary-", dir=folder)
        os.environ["TMPDIR"] = stack.enter_context(own)


class _Both:
    """What tasks print goes into the log of this worker, and out where there is a way."""

    def __init__(self, log: OutputLog, live: LiveLog | None) -> None:
        self._log = log
        self._live = live

    def __call__(self, run: Run, parts: Sequence[Part]) -> None:
        self._log(run, parts)
        if self._live is not None:
            self._live(run, parts)


def _client(settings: Settings) -> AsClient | None:
    """What this worker is to the control plane, where it reaches it."""
    if not settings.control_plane:
        return None
    try:
        client = AsClient(settings.control_plane, dict(settings.certificates))
    except PymonikError as error:
        logger.warning("what tasks tell goes with their ends: %s", error)
        return None
    logger.info("tasks are live by the control plane at %s", settings.control_plane)
    return client


def _agent_channel(address: str) -> Any:
    # Without this authority the name of the socket would be one, which ArmoniK's agent refuses.
    return grpc.insecure_channel(address, [*UNLIMITED, ("grpc.default_authority", "localhost")])


def _listen(service: WorkerService, settings: Settings) -> Any:
    if settings.socket is not None:
        settings.socket.unlink(missing_ok=True)  # left by a worker that was killed
    serving = ThreadPoolExecutor(THREADS, thread_name_prefix="worker service")
    server = grpc.server(serving, options=[*UNLIMITED, ("grpc.so_reuseport", 0)])
    add_WorkerServicer_to_server(service, server)
    server.add_insecure_port(settings.worker)
    server.start()
    return server
