"""Leaving a session, and coming back to it: what a client offers for that.

Most programs do neither: whatever only they need is imported by the function that needs it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pymonik.code.own_frames import uncaught_errors
from pymonik.errors import UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.runs.waiting import update_views
from pymonik.session.current import open_sessions

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from datetime import timedelta

    from typing_extensions import Self

    from pymonik.client.blocks import Blocks
    from pymonik.client.opening import Opened
    from pymonik.client.pymonik_client import Pymonik
    from pymonik.client.wishes import Wishes
    from pymonik.kept.job_file import LeftHandles
    from pymonik.kept.recorded_runs import Runs
    from pymonik.runs.cancelled import CancelReport
    from pymonik.session.remote import RemoteSession
    from pymonik.session.result import ResultState


class Leaving:
    """Of a client whose session goes on without it."""

    _wishes: Wishes
    _lock: threading.RLock
    _session: RemoteSession | None
    _opened_as: Opened | None
    _left: LeftHandles | None  # of the file that `attach` was given
    _ended: bool
    _blocks: Blocks

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...
        @property
        def session(self) -> RemoteSession:
            """See `Pymonik`."""

        def create(self) -> Pymonik:
            """See `Pymonik`."""

        def cancel(self) -> CancelReport:
            """See `Pymonik`."""

    @classmethod
    def attach(cls, file: str | os.PathLike[str], **settings: Any) -> Self:
        """An open client of the session that `leave` has written into ``file``.

        Args:
            file: What `leave` was given, or a copy of it on another machine.
            settings: As for `Pymonik`; certificates are not in the file, and are those of
                ``AKCONFIG`` where that names the same endpoint.

        Raises:
            UsageError: There is no such file, it is none of ours, or its session was deleted.
        """
        from pymonik.kept import job_file
        from pymonik.transport.config import ClusterConfig

        job = job_file.read(file)
        configured = ClusterConfig.find()
        same = configured is not None and configured.endpoint == job.endpoint
        where = {"endpoint": None if same else job.endpoint, "session": job.session}
        client = cls(**{"partition": list(job.partitions), "on_exit": "keep", **where, **settings})
        client._left = job_file.LeftHandles(job)
        client.create()
        if not (client._opened_as and client._opened_as.was_there):
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

        Raises:
            UsageError: The file cannot be written there, or something else than handles is given.
                The session is not left then.
        """
        states = _states(handles)
        if file is not None:
            from pymonik.kept import job_file

            job_file.check(file)
        session = self.session
        # Before the file is written: what is in it is true once everything was sent.
        if session.is_open:
            session.leave()
        if file is not None:
            self._write_job(file, session, states)
        self._let_go(session)

    def _let_go(self, session: RemoteSession) -> None:
        """This program has left the session."""
        with self._lock:
            self._session, self._ended = None, True
        was_block = self._blocks.leave(session)
        open_sessions.remove(session, was_block=was_block)
        uncaught_errors.close()
        update_views()

    def _write_job(
        self, file: str | os.PathLike[str], session: RemoteSession, states: list[ResultState]
    ) -> None:
        from pymonik.kept import job_file

        if not session.is_recorded:
            from pymonik.session.forgetting import keep

            keep(session)
            session.record(states)
        job = job_file.JobFile(
            endpoint=self._opened_as.place.config.endpoint if self._opened_as else "",
            session=session.session_id,
            name=self._wishes.name,
            partitions=self._wishes.partitions,
            results=job_file.kept_results(states),
        )
        job_file.write(file, job)

    @property
    def handles(self) -> MultiResultHandle[Any]:
        """The handles that `leave` was given; of a client that `attach` made.

        They are the same ones each time, for what their calls are now: one that was run again, by
        this program or another, stands for the new call.

        Raises:
            UsageError: This client was made in another way.
        """
        if self._left is None:
            raise UsageError("handles are those of a file: Pymonik.attach('job.json').handles")
        return MultiResultHandle(self._left.now(self.session))

    @property
    def runs(self) -> Runs:
        """The runs of the session by label, those of other programs too."""
        from pymonik.kept.recorded_runs import Runs

        return Runs(self.session)

    def delete(
        self,
        *handles: ResultHandle[Any] | MultiResultHandle[Any],
        older_than: timedelta | float | None = None,
    ) -> None:
        """Delete the data of results at once: whoever asks for one from now on gets an error.

        Args:
            handles: Of the results.
            older_than: Delete sessions too that this user has opened longer ago than this, in
                seconds or as a `timedelta`, and that have ended, with all their tasks and results.

        Raises:
            UsageError: A result holds the values of other calls too.
        """
        from pymonik.session.tasks import is_item

        if older_than is not None:
            from pymonik.quantities import positive_s
            from pymonik.runs.tidying import delete_older

            delete_older(self.session.lists, positive_s(older_than, "older_than"))
        states = _states(handles)
        if shared := [state for state in states if is_item(state)]:
            raise UsageError(
                f"{shared[0].name} shares its result with other calls of its map_invoke; "
                "chunk_size=1 gives each call its own"
            )
        # Results have ids once their calls were sent.
        self.session.send()
        self.session.delete([state.result_id for state in states if state.result_id])


def _states(
    handles: Iterable[ResultHandle[Any] | MultiResultHandle[Any]],
) -> list[ResultState]:
    states = []
    for one in handles:
        if not isinstance(one, ResultHandle | MultiResultHandle):
            raise UsageError(f"handles are what invoke and map_invoke give, not {one!r}")
        several = one if isinstance(one, MultiResultHandle) else [one]
        states += [handle._state for handle in several]
    return states
