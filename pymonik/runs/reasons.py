"""Why calls have not ended: rules over rows of the control plane's lists. Pure.

::

    PENDING    waits for inputs: followed down to the task that runs, is queued, or failed
    SUBMITTED  nobody took it: what its partition has, and what runs there
    DISPATCHED a worker has it and has not begun
    PROCESSING it runs: where, since when, and how earlier attempts ended
    PAUSED     its session is paused
    CANCELLING nobody has come to end it
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pymonik.runs.rows import (
    FAILED,
    RUNNING,
    PartitionRow,
    ResultRow,
    TaskRow,
    first_id,
)
from pymonik.wire.call import ENVIRONMENT_LABEL
from pymonik.wording import count, short, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Seconds after which an agent of ArmoniK gives a task back that it has taken ahead: a task that is
# held longer without being begun waits for its worker.
NOT_BEGUN_S: Final = 10.0
_DEEPEST: Final = 10  # inputs of inputs that are followed: a chain may be as long as it likes
_SHOWN: Final = 3  # functions that are named of those that run in a partition; packages
# Statuses that a task has while its environment is made: the embedded cluster leaves it queued, a
# worker of ArmoniK has taken it.
_WITHOUT_ENVIRONMENT: Final = ("SUBMITTED", "DISPATCHED")
_MADE: Final = {"resolving": "being resolved", "building": "being installed"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about calls that have not ended.

    Attributes:
        title: What they are, such as the function and the label.
        total: How many calls there are, ended ones too.
        waiting: Calls that have not ended, by the task that was submitted for them.
        unsent: Calls that have not ended and have no task yet.
        now: Seconds since the epoch.
        since: When the first of them was submitted, as far as known.
        session: Status of the session; ``""`` if it does not exist.
        tasks: The latest attempt of each task by the id of the first one; inputs' tasks too.
        earlier: Attempts that were retried, in order, by the id of the first one.
        inputs: What tasks that wait need, by the id of the first attempt.
        results: Those of ``inputs``.
        partitions: By name.
        running: Tasks that workers of a partition have, by its name.
        last_taken: When a worker last took a task of the partition; ``None`` for never.
        making: Environments that this machine is making: state, since when, and what was asked for,
            by the label that their tasks have.
        is_partial: There are so many tasks that some were not listed.
    """

    title: str
    total: int
    waiting: Mapping[str, int]
    unsent: int = 0
    now: float = 0.0
    since: float | None = None
    session: str = "RUNNING"
    tasks: Mapping[str, TaskRow] = field(default_factory=dict)
    earlier: Mapping[str, Sequence[TaskRow]] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    results: Mapping[str, ResultRow] = field(default_factory=dict)
    partitions: Mapping[str, PartitionRow] = field(default_factory=dict)
    running: Mapping[str, Sequence[TaskRow]] = field(default_factory=dict)
    last_taken: Mapping[str, float | None] = field(default_factory=dict)
    making: Mapping[str, tuple[str, float, Sequence[str]]] = field(default_factory=dict)
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """What some of the calls wait for.

    Attributes:
        calls: How many.
        state: ``queued``, ``waits for``, ``running``...
        text: What, in words.
        hint: What is likely the matter, ``""`` where it only takes time.
    """

    calls: int
    state: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """Reasons why calls have not ended; prints as text.

    Attributes:
        head: How many wait, and how long.
        reasons: Those that hold up most calls first; calls that were not sent come last.
    """

    head: str
    reasons: Sequence[Reason]

    @property
    def brief(self) -> str:
        """The two lines that say most."""
        return "\n".join(str(self).splitlines()[:2])

    @property
    def likely(self) -> str:
        """What should be looked at; ``""`` where it only takes time."""
        return next((reason.hint for reason in self.reasons if reason.hint), "")

    def __str__(self) -> str:
        width = max((len(str(reason.calls)) for reason in self.reasons), default=0)
        lines = [self.head]
        lines += [
            f"  {reason.calls:>{width}} {reason.state:<10} {reason.text}".rstrip()
            for reason in self.reasons
        ]
        if self.likely:
            lines.append(f"→ likely: {self.likely}")
        return "\n".join(lines)

    __repr__ = __str__


def explain(evidence: Evidence) -> Why:
    """The reasons that the evidence gives."""
    # Calls with the same state, text and hint are one reason: of a thousand that wait for one task
    # a person reads one line.
    found: Counter[tuple[str, str, str]] = Counter()
    for task_id, calls in evidence.waiting.items():
        found[_reason(evidence, task_id)] += calls
    reasons = [Reason(calls, *reason) for reason, calls in found.most_common()]
    if evidence.unsent:  # the others are why these wait: they come last, however many they are
        when = "they leave when others have ended" if evidence.waiting else "about to leave"
        reasons.append(Reason(evidence.unsent, "held here", when))
    return Why(_head(evidence), reasons)


def _head(evidence: Evidence) -> str:
    left = sum(evidence.waiting.values()) + evidence.unsent
    if not left:
        return f"{evidence.title}: all of {evidence.total} ended"
    of = f"{left} of {evidence.total} not ended" if evidence.total > 1 else "not ended"
    waited = ""
    if evidence.since is not None:
        what = "longest wait" if left > 1 else "waiting for"
        waited = f", {what} {span(max(0.0, evidence.now - evidence.since))}"
    session = "" if evidence.session == "RUNNING" else f"; its session is {_session(evidence)}"
    return f"{evidence.title}: {of}{waited}{session}"


def _session(evidence: Evidence) -> str:
    return evidence.session or "not there any more"


# -- one task ------------------------------------------------------------------------------------


def _reason(evidence: Evidence, task_id: str) -> tuple[str, str, str]:
    """State, text and hint for a task."""
    task = evidence.tasks.get(task_id)
    if task is None and evidence.is_partial:
        return "more", "which were not looked at", ""
    if task is None:
        return "unknown", "the cluster does not know the task", _gone(evidence)
    if task.status in ("CREATING", "PENDING"):
        return "waits for", *_inputs(evidence, task_id, 0, frozenset())
    if task.status in _WITHOUT_ENVIRONMENT and (making := _environment(evidence, task)):
        return "waits for", making, ""
    if task.status == "SUBMITTED":
        return "queued", *_queue(evidence, task.partition)
    if task.status in RUNNING:
        return _running(evidence, task)
    if task.status == "PAUSED":
        return "paused", "its session is paused", "the session must be resumed"
    if task.status == "CANCELLING":
        return "cancelled", "no worker has come to end it", ""
    return "ended", f"as {task.status}; the news has not come yet", ""


def _environment(evidence: Evidence, task: TaskRow) -> str:
    """How far its environment is, if this machine is making that."""
    found = evidence.making.get(task.options.get(ENVIRONMENT_LABEL, ""))
    if found is None:
        return ""
    state, since, asked = found
    wanted = ", ".join(asked[:_SHOWN]) + (", ..." if len(asked) > _SHOWN else "")
    ago = span(max(0.0, evidence.now - since))
    return f"its environment, which is {_MADE.get(state, state)} for {ago}: {wanted}"


def _gone(evidence: Evidence) -> str:
    return f"the session is {_session(evidence)}" if evidence.session != "RUNNING" else ""


def _running(evidence: Evidence, task: TaskRow) -> tuple[str, str, str]:
    where = task.worker or "a worker"
    history = _history(evidence, task)
    if task.status == "DISPATCHED":
        held_s = evidence.now - (task.acquired or evidence.now)
        if held_s > NOT_BEGUN_S:
            text = f"{where} took it {span(held_s)} ago and has not begun"
            return (
                "taken",
                text + history,
                (f"{where} does not answer, or installs the environment of the task"),
            )
        return "taken", f"{where} begins it{history}", ""
    ran_s = evidence.now - (task.started or evidence.now)
    return "running", f"{task.function or 'a task'} on {where}, for {span(ran_s)}{history}", ""


def _history(evidence: Evidence, task: TaskRow) -> str:
    """How earlier attempts ended."""
    earlier = evidence.earlier.get(task.first_id, ())
    if not earlier:
        return ""
    cause = earlier[-1].error.strip().splitlines() or ["without a word"]
    return f"; attempt {len(earlier) + 1}, the one before: {cause[-1]}"


# -- inputs --------------------------------------------------------------------------------------


def _inputs(evidence: Evidence, task_id: str, depth: int, above: frozenset[str]) -> tuple[str, str]:
    """What a task waits for, in words, and the hint of what that waits for."""
    if task_id in above:
        return "itself: the tasks need each other's results", "no task of a circle can run"
    missing = [
        evidence.results.get(result_id) or ResultRow(result_id, "UNKNOWN")
        for result_id in evidence.inputs.get(task_id, ())
    ]
    missing = [result for result in missing if result.status != "COMPLETED"]
    if not missing:
        return "nothing: its inputs are there, it is about to be queued", ""
    text, hint = _input(evidence, missing[0], depth, above | {task_id})
    return (text if len(missing) == 1 else f"{count(len(missing), 'result')}; first {text}"), hint


def _input(
    evidence: Evidence, result: ResultRow, depth: int, above: frozenset[str]
) -> tuple[str, str]:
    owner = evidence.tasks.get(first_id(result.owner))
    if result.status in ("ABORTED", "DELETED"):
        return f"result {short(result.result_id)}, which was {result.status.lower()}", ""
    if owner is None:
        if result.owner:
            return f"{result.name or 'a result'} of task {short(result.owner)}", ""
        text = f"result {short(result.result_id)}, which no task makes and nobody has uploaded"
        return text, "a result that no task makes never comes"
    name = f"{owner.function or result.name or 'a result'} (task {short(owner.task_id)})"
    if owner.status == "COMPLETED":
        return f"{name}, which ended without this output", "a result that is never made"
    if owner.status in FAILED:
        return f"{name}, which failed", ""
    if owner.status in ("CREATING", "PENDING") and depth < _DEEPEST:
        text, hint = _inputs(evidence, owner.first_id, depth + 1, above)
        return f"{name}, which waits for {text}", hint
    state, text, hint = _reason(evidence, owner.first_id)
    return f"{name}, {state}: {text}", hint


# -- queues --------------------------------------------------------------------------------------


def _queue(evidence: Evidence, name: str) -> tuple[str, str]:
    """Why nobody took a task of this partition, in words, and what is likely the matter."""
    partition = evidence.partitions.get(name)
    if partition is None:
        return f'partition "{name}", which does not exist', f'there is no partition "{name}"'
    running = evidence.running.get(name, ())
    pods = f"at most {count(partition.pods_max, 'pod')}"
    if partition.pods_max == 0:
        pods = "0 pods allowed"
    text = f'partition "{name}": {pods}; {_busy(running, evidence, name)}'
    if running:
        return text, ""
    if partition.pods_max == 0:
        return text, f'partition "{name}" has no pods'
    return text, f'no pod of partition "{name}" takes tasks: it is starting, or cannot'


def _busy(running: Sequence[TaskRow], evidence: Evidence, name: str) -> str:
    if running:
        longest = sorted(running, key=lambda task: task.started or evidence.now)
        shown = [
            f"{task.function or short(task.task_id)} for "
            f"{span(max(0.0, evidence.now - (task.started or evidence.now)))}"
            for task in longest[:_SHOWN]
        ]
        more = f" and {len(running) - _SHOWN} more" if len(running) > _SHOWN else ""
        return f"running there: {', '.join(shown)}{more}"
    taken = evidence.last_taken.get(name)
    ago = "never" if taken is None else f"{span(max(0.0, evidence.now - taken))} ago"
    return f"last task taken there: {ago}"
