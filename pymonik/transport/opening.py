"""Puts a session together: machine, channel, engine."""

from __future__ import annotations

import itertools
import os
import secrets
import weakref
from functools import partial
from typing import TYPE_CHECKING

from pymonik.runs.live import Live
from pymonik.session.board import Board
from pymonik.session.engine import Engine
from pymonik.session.forgetting import Hold, keeps_results
from pymonik.session.machine import Machine
from pymonik.session.protocol import BATCH_TASKS
from pymonik.session.pythons import Pythons
from pymonik.session.recording import Recording
from pymonik.session.remote import RemoteSession
from pymonik.transport.batch import BatchSender
from pymonik.transport.board_data import BoardData
from pymonik.transport.data import DataStore
from pymonik.transport.exchange import Exchange
from pymonik.transport.lane import Lane
from pymonik.transport.live import LiveEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pymonik.code.program import Program
    from pymonik.options import TaskOptions
    from pymonik.runs.output import Shown
    from pymonik.session.engine import Channel
    from pymonik.session.protocol import Submission
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.wire.environment import Environment


def open_session(
    plane: ControlPlane,
    session_id: str,
    *,
    environment: Environment,
    options: TaskOptions,
    partitions: Sequence[str] = (),
    tells_locals: bool = True,
    chunk_bytes: int = 0,
    storage_folder: Path | None = None,
    direct_socket: Path | None = None,
    batch_tasks: int = BATCH_TASKS,
    polling_s: float | None = None,
    patience_s: float = 300.0,
    is_alive: Callable[[], bool] = lambda: True,
    forgets: bool = False,
    is_private: bool = False,
    wrap: Callable[[Channel], Channel] = lambda channel: channel,
    program: Program | None = None,
    nonces: Sequence[str] = (),
    recording: Recording | None = None,
    show: Shown | None = None,
    hears: bool = False,
) -> RemoteSession:
    """A session whose engine runs.

    Args:
        plane: Of the session, which exists there.
        session_id: Its id.
        environment: What calls get around them.
        options: Those of every call, under its own.
        partitions: That calls may name.
        tells_locals: Whether failures of its calls tell the values of local variables.
        chunk_bytes: Of data that are streamed.
        storage_folder: Of the object storage, where it can be reached.
        direct_socket: Of the cluster on this machine.
        batch_tasks: Most calls of one request.
        polling_s: Longest time between questions, where no events can tell.
        patience_s: Seconds without any answer after which whoever waits for one is told.
        is_alive: Whether the process of an embedded cluster runs.
        forgets: Whether results are deleted that nothing in this program refers to any more.
        is_private: Whether nobody else can reach the cluster: what running tasks told is deleted
            too once it was heard.
        wrap: Stands between the machine and what does its requests; for tests.
        program: What of it goes with calls; by default what they refer to.
        nonces: Of the clients that the session had before; the first one serves this one too.
        recording: Of a session that others are to find again.
        show: Shows what running tasks print.
        hears: Whether what running tasks tell is heard of where no news of the session do it.
    """
    impatient = plane.impatient()
    data = DataStore(impatient, session_id, chunk_bytes=chunk_bytes, folder=storage_folder)
    nonces = nonces or (secrets.token_hex(16),)  # known to this session and its workers only
    # Requests of the machine fail at once, and are repeated by it; `plane` itself is patient.
    sender = BatchSender(
        impatient,
        session_id,
        data,
        environment=environment,
        options=options,
        nonce=nonces[0],
        tells_locals=tells_locals,
        recording=recording,
    )
    kept = _Kept()
    live = Live(partial(_read, plane, session_id), kept.forget if is_private else None, show)
    lane = None
    live.is_live, live.is_late = direct_socket is not None, direct_socket is None
    if direct_socket is not None:
        lane = Lane(direct_socket, session_id, impatient, sender, live)
    machine = Machine(
        batch_tasks=batch_tasks,
        # A record must be there before its tasks: nothing of it goes over the lane.
        new_id=None if lane is None or recording is not None else NewIds(),
        polling_s=polling_s,
        patience_s=patience_s,
        hold=kept.hold if forgets else None,
        are_kept=kept,
        reads_ahead=lane is None,
        tell_printed=live.ended if live.is_late else None,
    )
    pythons = Pythons()
    channel = Exchange(
        impatient,
        session_id,
        sender,
        data,
        nonces=nonces,
        lane=lane,
        is_alive=is_alive,
        saw=pythons.saw,
    )
    engine = Engine(machine, wrap(channel))
    store = None
    if lane is not None:
        store = DataStore(plane, session_id, chunk_bytes=chunk_bytes, folder=storage_folder)
    session = RemoteSession(
        engine,
        session_id,
        environment=environment,
        partitions=partitions,
        default_partition=options.partition_id or "",
        store=store,
        forgets=forgets,
        lists=plane.lists,
        program=program,
        pythons=pythons,
        recording=recording,
        nonce=nonces[0],
        open_other=partial(
            open_session,
            plane,
            environment=environment,
            options=options,
            chunk_bytes=chunk_bytes,
            storage_folder=storage_folder,
            direct_socket=direct_socket,
            polling_s=polling_s,
            patience_s=patience_s,
            is_alive=is_alive,
            recording=Recording(_no_keys),
        ),
        live=live,
        board=Board(BoardData(plane, session_id), partial(setattr, sender, "board")),
        live_events=LiveEvents(plane, session_id, live) if hears and lane is None else None,
    )
    kept.belong_to(session, engine)
    engine.start()  # last: its thread uses all of the above
    return session


class _Kept:
    """Whether results of a session are kept, and what keeps one; does not keep the session."""

    def __init__(self) -> None:
        self._session: weakref.ref[RemoteSession] | None = None
        self._engine: weakref.ref[Engine] | None = None

    def belong_to(self, session: RemoteSession, engine: Engine) -> None:
        """Both refer to this object in turn."""
        self._session, self._engine = weakref.ref(session), weakref.ref(engine)

    def hold(self, result_id: str) -> Hold:
        """What the states of a result refer to, as long as its data are to stay."""
        engine = self._engine() if self._engine is not None else None
        return Hold(result_id, engine.forget if engine is not None else _forget_nothing)

    def forget(self, result_id: str) -> None:
        """A result is of no use any more."""
        if (engine := self._engine() if self._engine is not None else None) is not None:
            engine.forget(result_id)

    def __call__(self) -> bool:
        session = self._session() if self._session is not None else None
        return session is not None and keeps_results(session)


def _no_keys(submission: Submission, _: object) -> list[bytes]:
    """Of calls in a session that only handles belong to: what runs again there has no key."""
    return [b""] * len(submission.calls)


def _read(plane: ControlPlane, session_id: str, result_id: str) -> bytes:
    data = plane.download(session_id, result_id)
    return b"" if data is None else bytes(data)


def _forget_nothing(_: str) -> None:
    """The session is gone, and what it had is deleted with it."""


class NewIds:
    """Ids that look like UUIDs: the random part of a session, then a number."""

    def __init__(self) -> None:
        digits = os.urandom(10).hex()
        self._start = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-"
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        """A new one."""
        return f"{self._start}{next(self._numbers):012x}"
