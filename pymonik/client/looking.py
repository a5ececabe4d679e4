"""What a client offers to people who look at its session and its cluster.

Whatever a look needs is imported by the look: programs that only compute load none of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pymonik.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from pymonik.client.opening import Opened
    from pymonik.client.wishes import Wishes
    from pymonik.kept.item_letters import ItemLetter
    from pymonik.kept.letters import DeadLetter
    from pymonik.page.board import Board
    from pymonik.page.rewriting import Rewriting
    from pymonik.page.serving import Dashboard
    from pymonik.runs.found import FoundResults, FoundSessions, FoundTasks
    from pymonik.runs.reasons import Why
    from pymonik.runs.workers import Worker
    from pymonik.session.remote import RemoteSession
    from pymonik.tasks.monitors import MonitorHandle

if TYPE_CHECKING:
    from pymonik.handles.hooks import TaskEvent

E = TypeVar("E", bound="TaskEvent")
T = TypeVar("T")
_MOST_LISTED = 100_000  # results of a session; of more, the newest


class ClientLooks:
    """Of a client and its session."""

    _wishes: Wishes
    _opened_as: Opened | None
    _pages: list[Rewriting]  # files that are written again and again

    if TYPE_CHECKING:

        @property
        def session(self) -> RemoteSession:
            """See `Pymonik`."""

        @property
        def session_id(self) -> str:
            """See `Pymonik`."""

    @property
    def is_live(self) -> bool:
        """Whether what tasks print and report is heard while they run.

        So it is on the embedded cluster, and where workers of ArmoniK reach the control plane:
        there it is known once something was heard of a running task.
        """
        live = self.session.live
        return live is not None and live.is_live

    @overload
    def on(self, event: type[E], call: Callable[[E], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: type[E]) -> Callable[[Callable[[E], T]], Callable[[E], T]]: ...
    def on(self, event: type[E], call: Callable[[E], object] | None = None) -> Any:
        """Have ``call`` called with each event of a kind: `TaskFailed`, `TaskCompleted` and others.

        It is told of the calls that this client submits from now on, in a thread that is there for
        it: it may wait, and invoke. What it raises is logged. The end of the session waits for
        hooks for some seconds.

        Args:
            event: The kind; `TaskEvent` means all of them.
            call: Gets the event. Without it, ``@client.on(TaskFailed)`` decorates a function.

        Returns:
            What ends it, a function without arguments; or the decorator.

        Raises:
            UsageError: That is no kind of event, or cannot be called.
        """
        from pymonik.handles.hooks import Hooks

        if call is None:

            def decorate(function: Callable[[E], T]) -> Callable[[E], T]:
                self.on(event, function)
                return function

            return decorate
        session = self.session
        hooks = session.hooks
        if not isinstance(hooks, Hooks):
            session.hooks = hooks = Hooks()
            session.before_close(hooks.settle)
        return hooks.add(event, call)

    def monitors(self, *, everywhere: bool = False) -> list[MonitorHandle]:
        """The monitors of the session that have not ended, whoever has started them.

        Args:
            everywhere: Those of all sessions of the cluster.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        from pymonik.tasks.monitors import running

        return running(self.session, everywhere=everywhere)

    def why(self) -> Why:
        """Why tasks of the session have not ended; asks the control plane, and prints as text."""
        from pymonik.runs.looking import why_session

        return why_session(self.session.lists, self.session_id, self.session.count_unsent())

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
        is_here = self._opened_as is not None and self._opened_as.is_local
        where = "this machine" if is_here else str(self._wishes.endpoint or "AKCONFIG")
        lists: Any = session.lists
        return Board(lists, lists, endpoint=where, session=session, is_here=is_here)

    def dead_letters(self, session_id: str | None = None) -> list[DeadLetter | ItemLetter]:
        """What failed for good, with every attempt; ``letter.invoke()`` sends it again.

        Calls that shared a task with others are among them, whoever has sent them.

        Args:
            session_id: Of another session; by default those of this one.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        from pymonik.kept.letters import dead_letters

        return dead_letters(self.session, session_id or self.session_id)

    def tasks(
        self,
        status: str = "",
        *,
        function: str = "",
        label: str = "",
        partition: str = "",
        everywhere: bool = False,
        limit: int = 10_000,
    ) -> FoundTasks:
        """Tasks of the session, the newest first, to be filtered, ordered, counted and cancelled.

        Calls that share a task are one.

        Args:
            status: ``"live"``, ``"pending"``, ``"running"``, ``"failed"``, ``"ok"``,
                ``"cancelled"`` or ``"retried"``; ``""`` means all.
            function: Only those that run the function of this name.
            label: Only those of this run.
            partition: Only those of this partition.
            everywhere: Those of all sessions.
            limit: Most tasks.

        Raises:
            UsageError: There is no such status.
            ControlPlaneError: It cannot be asked.
        """
        from pymonik.runs.found import FoundTasks
        from pymonik.runs.rows import STATES

        if status and status not in STATES:
            raise UsageError(f"status is one of {', '.join(STATES)}, not {status!r}")
        session = self.session
        session.send()
        rows = session.lists.tasks(
            session_id="" if everywhere else self.session_id,
            statuses=STATES[status] if status else (),
            partition=partition,
            limit=limit,
            newest_first=True,
        )
        found = FoundTasks(rows, session)
        if function:
            found = found.where(function=function)
        return found.where(run=label) if label else found

    def sessions(self, limit: int = 100) -> FoundSessions:
        """Sessions of this user in the cluster, alive or ended, the newest first."""
        from pymonik.runs.found import FoundSessions
        from pymonik.runs.tidying import is_mine, known

        lists = self.session.lists
        mine = (known(lists, row) for row in lists.sessions(limit) if is_mine(row))
        return FoundSessions(mine, self.session)

    def results(self, name: str = "") -> FoundResults:
        """Results of the session, the newest first; only those of a name, if one is given."""
        from pymonik.runs.found import FoundResults

        lists = self.session.lists
        rows = lists.results_named(
            name, _MOST_LISTED, session_id=self.session_id, exactly=bool(name)
        )
        return FoundResults(rows, self.session)
