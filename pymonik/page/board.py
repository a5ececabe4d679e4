"""`Board`: what the page asks, and what it may have done; every answer is made when it is asked."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from pymonik.environments import making
from pymonik.errors import PymonikError, UsageError
from pymonik.page import as_json, bars, details, graph
from pymonik.page.columns import run_data
from pymonik.page.live_reports import LiveReports
from pymonik.page.recorded_view import RecordedView
from pymonik.page.run_records import RunRecords
from pymonik.page.run_views import HeldRun, ListedRun, RunView
from pymonik.page.task_table import TaskTable
from pymonik.runs import held
from pymonik.runs.looks import started, title
from pymonik.runs.partly_failed import PartlyFailed, partly_failed
from pymonik.runs.rows import LIVE, Lists, TaskRow, first_id
from pymonik.runs.tally import Mark
from pymonik.runs.tidying import delete
from pymonik.runs.workers import host_of, workers
from pymonik.wire.call import ENVIRONMENT_LABEL
from pymonik.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Protocol

    from pymonik.runs.tally import Snapshot

    class Power(Protocol):
        """What a page may have done to a cluster."""

        def cancel_tasks(self, ids: list[str]) -> None:
            """Cancel those that have not ended."""

        def cancel_session(self, session_id: str) -> None:
            """Stop everything in it."""

        def delete_data(self, ids: list[str]) -> None:
            """Delete what results hold."""


_SHARE: Final = 20  # a look at the cluster that took a second is not repeated for as many
_LONGEST_PAUSE_S: Final = 10.0  # who looks at a run that goes on must see it go on
_EVERY_S: Final = 1.0  # seconds between two looks at tasks; the page asks as often
_WORKERS_EVERY_S: Final = 5.0  # seconds between two looks at workers, partitions and sessions
_MOST_ROWS: Final = 200  # of one answer
_SEARCH_S: Final = 0.3  # seconds for texts among the calls of a run; other questions wait
_FROZEN_RUNS: Final = 50  # runs of a frozen page, which share its room
_MOST_SESSIONS: Final = 100  # that are listed, and from which old ones are deleted
_OLD_S: Final = 86_400.0  # seconds after which a session without a name may be deleted with others
_HISTORY: Final = 50  # tasks of a worker


class _RunGoneError(UsageError):
    """The program has let go the handles of a run, or its session was deleted."""


class Board:
    """Answers the page. Thread-safe: one question at a time.

    Args:
        lists: Of the control plane.
        power: What may be done to it; ``None`` for a page that only shows.
        endpoint: Shown to people.
        session: Of this program: calls of it whose handles are held are shown one by one.
        is_here: Whether environments of this machine are those of the cluster.
    """

    def __init__(
        self,
        lists: Lists,
        power: Power | None,
        *,
        endpoint: str,
        session: object = None,
        is_here: bool = False,
    ) -> None:
        self._lists = lists
        self._power = power
        self._endpoint = endpoint
        self._is_here = is_here
        self._asking = threading.RLock()
        self._session = session
        self._table = TaskTable(lists)
        self._records = RunRecords(lists)
        self._latest: dict[str, TaskRow] = {}  # attempts at the tasks of the table, by first id
        self._reports = LiveReports(lists)
        self._look_at = 0.0  # when the cluster is looked at next
        self._trouble = ""  # why it could not be
        self._partly: Mapping[str, PartlyFailed] = {}  # tasks some of whose calls failed
        self._ended = 0  # tasks, when these were asked for
        self._held: dict[int, HeldRun] = {}  # by the identity of the map
        self._runs: dict[str, RunView] = {}
        self._seen: dict[str, Snapshot] = {}
        self._next_key = 0
        self._workers_at = 0.0
        self._workers: list[dict[str, Any]] = []
        self._partitions: list[dict[str, Any]] = []
        self._sessions: list[dict[str, Any]] = []
        self._questions: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
            "state": self._state,
            "run": self._run,
            "rows": self._rows,
            "call": self._call,
            "graph": self._graph,
            "reports": self._reports_of,
            "worker": self._worker,
        }
        self._deeds: dict[str, Callable[[Mapping[str, str]], str]] = {
            "cancel": self._cancel,
            "cancel-session": self._cancel_session,
            "delete-session": self._delete_session,
            "rerun": self._rerun,
            "forget-worker": self._forget_worker,
        }

    def ask(self, what: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Answer a question.

        Raises:
            UsageError: There is no such question or call.
            ControlPlaneError: It cannot be asked.
        """
        if what not in self._questions:
            raise UsageError(f"the page cannot be asked for {what!r}")
        with self._asking:
            try:
                return self._questions[what](given)
            except _RunGoneError:  # between two questions: no error, the page asks for another one
                return {"gone": True}

    def do(self, what: str, given: Mapping[str, str]) -> str:
        """Do something; gives what was done, in words.

        Raises:
            UsageError: There is no such thing to do, or this page only shows.
            ControlPlaneError: It was refused.
        """
        if self._power is None or what not in self._deeds:
            raise UsageError(f"the page cannot do {what!r}")
        with self._asking:
            done = self._deeds[what](given)
            self._look_at = 0.0  # the next answer tells of it
            return done

    # -- looking -------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Bring everything up to date, but seldom if that takes long."""
        if now >= self._look_at:
            began = time.monotonic()
            self._find_held()
            try:
                self._table.look()
                rows = self._table.rows
                self._latest = {row.first_id: row for row in rows if row.status != "RETRIED"}
                self._records.look(self._latest, [run.first for run in self._held.values()])
                self._look_for_failures()
                self._trouble = ""
            except PymonikError as error:
                self._trouble = str(error)
            took = time.monotonic() - began
            # A little less than the interval of the page, whose questions come now and then
            # somewhat early.
            self._look_at = now + min(max(_EVERY_S * 0.9, _SHARE * took), _LONGEST_PAUSE_S)
            self._group()
        self._seen = {key: view.look(now) for key, view in list(self._runs.items())}

    def _look_for_failures(self) -> None:
        """Failures among the calls of tasks that ended well: asked for when more tasks have."""
        ended = sum(row.status == "COMPLETED" for row in self._table.rows)
        # Failures are listed with another request, which would be in vain while no task ends.
        if ended != self._ended:
            self._partly = partly_failed(self._lists)
            self._ended = ended

    def _group(self) -> None:
        """Make runs of what is held, of what is recorded, and of other tasks that are listed."""
        ours: set[str] = set()
        for held_run in list(self._held.values()):
            ours |= held_run.tasks()
            held_run.found = {
                one: self._latest[one] for one in held_run.tasks() if one in self._latest
            }
        recorded = [view for view in self._records.views if ours.isdisjoint(view.tasks())]
        for view in recorded:
            ours |= view.tasks()
        found: list[RunView] = [*self._held.values(), *recorded, *self._listed(ours, recorded)]
        found.sort(key=lambda view: view.started, reverse=True)
        self._runs = {view.key: view for view in found}

    def _listed(self, known: set[str], recorded: Iterable[RecordedView]) -> list[ListedRun]:
        """Runs of the tasks that belong to no other run."""
        groups: dict[tuple[str, str, str], list[TaskRow]] = {}
        for row in self._table.rows:
            if row.first_id not in known:
                groups.setdefault((row.session_id, row.run, row.function), []).append(row)
        by_name: dict[tuple[str, str, str], HeldRun | RecordedView] = {
            (view.session_id, label, view.function): view
            for view in recorded
            for label in (view.label, view.run.label)  # tasks of a run without one have none
        }
        # Under the name of a function alone there are its single calls too, which are no part of
        # a map that is held; in a session with a name they have a record of their own.
        for held_run in self._held.values():
            if held_run.label:
                by_name[held_run.session_id, held_run.label, held_run.function] = held_run
        for name in by_name.keys() & groups.keys():
            # A chunk gives calls to tasks that no record names; ArmoniK shows them under its label.
            by_name[name].adopt(row.first_id for row in groups.pop(name))
        return [ListedRun("|".join(name), rows, self._partly) for name, rows in groups.items()]

    def _find_held(self) -> None:
        """Follow maps that are new, or whose calls were run again."""
        kept: dict[int, HeldRun] = {}
        for one in held.maps():
            states = one.drawn_states()
            if not states or states[0].session is not self._session:
                continue
            known = self._held.get(id(one))
            if known is not None and known.states == states:
                kept[id(one)] = known
                continue
            if known is None:
                self._next_key += 1
                # States keep their data in the cluster: the page must not keep them longer than
                # the program does, also when nobody looks at it any more.
                weakref.finalize(one, _let_go, weakref.ref(self), id(one)).atexit = False
            key = known.key if known is not None else f"held-{self._next_key}"
            kept[id(one)] = HeldRun(
                key, states, title(states), started(states), handles=weakref.ref(one)
            )
        self._held = kept

    # -- questions -----------------------------------------------------------------------------

    def _state(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Everything in short: runs, workers, partitions, environments."""
        now = time.time()
        self._look(now)
        self._look_at_workers(now)
        return {
            "at": now,
            "endpoint": self._endpoint,
            "trouble": self._trouble,
            "may_act": self._power is not None,
            "runs": [
                as_json.run(view, self._seen[key])
                for key, view in list(self._runs.items())
                if key in self._seen
            ],
            "workers": self._workers,
            "partitions": self._partitions,
            "sessions": self._sessions,
            "environments": self._environments(),
        }

    def _look_at_workers(self, now: float) -> None:
        if now < self._workers_at or self._trouble:
            return
        began = time.monotonic()
        try:
            self._workers = [as_json.worker(one) for one in workers(self._lists, now)]
            rows = self._lists.partitions()
            self._sessions = [
                as_json.session(row)
                for row in self._lists.sessions(_MOST_SESSIONS)
                if row.status != "DELETED"
            ]
        except PymonikError as error:
            self._trouble = str(error)
            return
        self._partitions = as_json.partitions(rows, self._table.rows)
        took = time.monotonic() - began
        self._workers_at = now + max(_WORKERS_EVERY_S, _SHARE * took)

    def _environments(self) -> list[dict[str, Any]]:
        """Environments that are being made on this machine, and those that tasks wait for."""
        waiting: dict[str, int] = {}
        for row in self._table.rows:
            if row.status in LIVE and (name := row.options.get(ENVIRONMENT_LABEL)):
                waiting[name] = waiting.get(name, 0) + 1
        notes = {note.packages_id: note for note in making.notes()} if self._is_here else {}
        return [
            {
                "name": name,
                "state": notes[name].state if name in notes else "",
                "since": notes[name].since if name in notes else None,
                "asked": list(notes[name].asked) if name in notes else [],
                "tasks": waiting.get(name, 0),
            }
            for name in dict.fromkeys([*notes, *waiting])
        ]

    def _run(self, given: Mapping[str, str]) -> dict[str, Any]:
        """One run: every tile, the bars of its workers, a histogram."""
        view = self._view(given)
        snapshot = self._seen.get(view.key) or view.look(time.time())
        rows = self._rows_of(view)
        return {
            "run": as_json.run(view, snapshot),
            "marks": as_json.marks(snapshot),
            "first": snapshot.indexes[0] if snapshot.total else 0,
            "timeline": as_json.timeline(bars.lanes(rows, time.time(), self._partly)),
            "histogram": as_json.histogram(
                [row.ended - row.started for row in rows if row.started and row.ended]
            ),
        }

    def _rows(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Lines of the table of calls: those of a status, with a text, from a place on."""
        view = self._view(given)
        snapshot = self._seen.get(view.key) or view.look(time.time())
        places = _places(snapshot, given.get("status", ""))
        text = given.get("text", "").casefold()
        found, is_whole = _with_text(view, places, text) if text else (places, True)
        first = _number(given, "from")
        most = min(_number(given, "count", 100), _MOST_ROWS)
        view.prepare(found[first : first + most])
        return {
            "total": len(found),
            "is_whole": is_whole,
            "rows": [
                view.row(place) | {"status": as_json.WORDS[Mark(snapshot.marks[place])]}
                for place in found[first : first + most]
            ],
        }

    def _call(self, given: Mapping[str, str]) -> dict[str, Any]:
        view = self._view(given)
        place = _number(given, "place")
        item: int | None
        if isinstance(view, HeldRun) and place < len(view.states):
            item = max(0, view.states[place].item)
            told = details.of_call(view, place)
        elif isinstance(view, RecordedView) and place < view.run.total:
            at = view.place(place)
            item = None if at is None else max(0, at[1])
            told = self._records.call(view, place, self._table.rows)
        elif isinstance(view, ListedRun) and place < len(view.rows):
            item = None
            told = details.of_task(view, place, self._table.rows, self._lists)
        else:
            raise UsageError(f"the run has no call {place}")
        reports = self._reports.of_tasks(view.session_id, {first_id(told["task"])})
        return told | {"reports": [one for one in reports if item in (None, one["place"])]}

    def _graph(self, given: Mapping[str, str]) -> dict[str, Any]:
        return graph.of_rows(self._lists, self._view(given).session_id, self._table.rows)

    def _reports_of(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The latest reports of a run, of running tasks too."""
        view = self._view(given)
        return {"reports": self._reports.of_tasks(view.session_id, view.tasks())}

    def _worker(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The latest tasks of a worker."""
        key = given.get("partition", ""), given.get("host", "")
        rows = [row for row in self._table.rows if (row.partition, host_of(row)) == key]
        rows.sort(key=lambda row: row.acquired or row.created or 0.0, reverse=True)
        return {"tasks": [as_json.task(row) for row in rows[:_HISTORY]]}

    def _view(self, given: Mapping[str, str]) -> RunView:
        key = given.get("key", "")
        if key not in self._runs:
            self._look(time.time())
        if key not in self._runs:
            raise _RunGoneError("there is no such run any more")
        return self._runs[key]

    def _rows_of(self, view: RunView) -> list[TaskRow]:
        tasks = view.tasks()
        return [row for row in self._table.rows if row.first_id in tasks]

    def everything(self) -> dict[str, Any]:
        """All that the page could ask, for a page that is frozen."""
        with self._asking:
            state = self._state({})
            now = time.time()
            views = list(self._runs.values())[:_FROZEN_RUNS]
            detail = {
                view.key: run_data(
                    view, self._rows_of(view), now, share=len(views), partly_failed=self._partly
                )
                for view in views
            }
            for view in views:
                detail[view.key]["graph"] = self._graph({"key": view.key})
                detail[view.key] |= self._reports_of({"key": view.key})
            history = {
                f"{one['partition']}/{one['host']}": self._worker(one) for one in self._workers
            }
        return {**state, "may_act": False, "detail": detail, "history": history}

    # -- deeds ---------------------------------------------------------------------------------

    def _cancel(self, given: Mapping[str, str]) -> str:
        """Cancel a run, or one call of it."""
        view = self._view(given)
        place = _number(given, "place") if given.get("place") else None
        if isinstance(view, HeldRun):
            states = view.states if place is None else view.states[place : place + 1]
            pending = [state for state in states if not state.is_final]
            for session in {id(state.session): state.session for state in pending}.values():
                session.cancel([state for state in pending if state.session is session])
            return f"{count(len(pending), 'call')} cancelled"
        chosen = view.tasks() if place is None else _task_of(view, place)
        ids = [
            row.task_id for row in self._table.rows if row.first_id in chosen and row.status in LIVE
        ]
        if ids and self._power is not None:
            self._power.cancel_tasks(ids)
        return f"{count(len(ids), 'task')} cancelled"

    def _rerun(self, given: Mapping[str, str]) -> str:
        """Run again what failed or was cancelled of a run, or one call of it."""
        view = self._view(given)
        handles = view.handles() if isinstance(view, HeldRun) else None
        if handles is None:
            raise UsageError("only the program that has its handles can run it again")
        which = [handles[_number(given, "place")]] if given.get("place") else None
        return repr(handles.rerun(which))

    def _cancel_session(self, given: Mapping[str, str]) -> str:
        session_id = given.get("session", "")
        if self._power is None or self._lists.session(session_id) is None:
            raise UsageError("there is no such session")
        self._power.cancel_session(session_id)
        return "the session is cancelled"

    def _delete_session(self, given: Mapping[str, str]) -> str:
        """Delete a session that has ended, or all without a name that are older than a day."""
        chosen = given.get("session", "")
        rows = [row for row in self._lists.sessions(_MOST_SESSIONS) if row.status in as_json.ENDED]
        if chosen:
            rows = [row for row in rows if row.session_id == chosen]
            if not rows:
                raise UsageError("there is no such session that has ended")
        else:
            oldest = time.time() - _OLD_S
            rows = [row for row in rows if not row.name and (row.created or oldest) < oldest]
        for row in rows:
            delete(self._lists, row)
            self._table.forget(row.session_id)
            self._records.forget(row.session_id)
        self._workers_at = 0.0
        return f"{count(len(rows), 'session')} deleted"

    def _forget_worker(self, given: Mapping[str, str]) -> str:
        """Delete what a worker said of itself, or all that are lost."""
        lost = {(one["partition"], one["host"]) for one in self._workers if one["state"] == "lost"}
        key = given.get("partition", ""), given.get("host", "")
        chosen = {key} & lost if any(key) else lost
        names = {f"pymonik.worker/{partition}/{host}" for partition, host in chosen}
        ids = [
            row.result_id
            for row in self._lists.results_named("pymonik.worker/")
            if row.name in names
        ]
        if ids and self._power is not None:
            self._power.delete_data(ids)
        self._workers_at = 0.0
        return f"{count(len(chosen), 'worker')} forgotten"


def _let_go(board: weakref.ref[Board], identity: int) -> None:
    """The program has let a map go: its run is shown by its tasks from now on."""
    if (there := board()) is not None and (view := there._held.pop(identity, None)) is not None:
        there._runs.pop(view.key, None)


def _task_of(view: RunView, place: int) -> set[str]:
    """The task of a call, as a set of first ids: with the calls that share it, it is cancelled."""
    if isinstance(view, ListedRun):
        return {row.first_id for row in view.rows[place : place + 1]}
    task = view.task(place) if isinstance(view, RecordedView) else None
    return set() if task is None else {task.first_id}


def _number(given: Mapping[str, str], name: str, default: int = 0) -> int:
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default


def _places(snapshot: Snapshot, status: str) -> list[int]:
    """Where the items of a status are; ``""`` is any."""
    if not status:
        return list(range(snapshot.total))
    marks = [mark for mark, word in as_json.WORDS.items() if word == status]
    return [place for place, mark in enumerate(snapshot.marks) if mark in marks]


def _with_text(view: RunView, places: Iterable[int], text: str) -> tuple[list[int], bool]:
    """The places whose lines hold a text, and whether there was time to look at all."""
    end = time.monotonic() + _SEARCH_S
    found = []
    for place in places:
        row = view.row(place)
        if text in f"{row['index']} {row['arguments']} {row['error']} {row['worker']}".casefold():
            found.append(place)
        if time.monotonic() > end:
            return found, False
    return found, True
