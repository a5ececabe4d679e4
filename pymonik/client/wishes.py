"""What a program has asked of a client, checked before anything is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pymonik.environments.asked import environment_of
from pymonik.errors import UsageError
from pymonik.quantities import positive_s, whole_number
from pymonik.session.protocol import BATCH_TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.cluster.local import LocalCluster
    from pymonik.options import TaskOptions
    from pymonik.runs.output import Wanted
    from pymonik.wire.environment import Environment

OnExit = Literal["finish", "keep", "cancel"]
OnUnseen = Literal["warn", "raise", "ignore"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a session is to be opened; the words are those of `Pymonik`.

    Attributes:
        certificates: By the keywords that name their files.
        options: Of every task, under those of the task and of the call.
        patience_s: For how long whoever waits goes on while nobody answers.
        polling_s: Between two questions for results, where no event stream is wanted.
        program: What goes with calls and what does not: ``include`` and ``exclude``.
        name: Of the session, or its id.
        keeps_cluster: The cluster is the one of this user that stays.
    """

    endpoint: str | LocalCluster | None
    certificates: Mapping[str, Any]
    partitions: tuple[str, ...]
    environment: Environment
    options: TaskOptions
    connect_timeout_s: float
    request_timeout_s: float
    patience_s: float
    batch_tasks: int
    polling_s: float | None
    storage_folder: Path | None
    is_direct: bool
    program: tuple[tuple[str, ...], tuple[str, ...]]
    tells_locals: bool
    output: Wanted
    name: str
    on_exit: OnExit | None
    keeps_cluster: bool


def checked(
    *,
    endpoint: str | LocalCluster | None,
    certificates: Mapping[str, Any],
    partition: str | Sequence[str] | None,
    environment: object,
    options: TaskOptions,
    connect_timeout: float,
    request_timeout: float,
    unavailable_timeout: float,
    batch_size: int,
    disable_events_client: bool,
    polling_interval: float,
    storage_folder: str | os.PathLike[str] | None,
    direct: bool,
    include: Sequence[str | os.PathLike[str]],
    exclude: Sequence[str],
    tells_locals: bool,
    output: Wanted,
    session: str | None,
    on_exit: OnExit | None,
    keep: bool,
) -> Wishes:
    """What the keywords of `Pymonik` ask for.

    Raises:
        UsageError: One of them cannot be had.
    """
    _check_word("on_exit", on_exit, ("finish", "keep", "cancel"), or_none=True)
    if session is not None:
        from pymonik.kept.joining import check_name  # most sessions have no name

        check_name(session)
    if keep and endpoint is not None:
        raise UsageError("keep=True is for the cluster on this machine, without an endpoint")
    if output != "live":
        from pymonik.runs.output import shown

        shown(output)  # refuses what it does not know
    polling_s = positive_s(polling_interval, "polling_interval")
    return Wishes(
        endpoint=endpoint,
        certificates=certificates,
        partitions=_partitions(partition),
        environment=environment_of(environment),
        options=options,
        connect_timeout_s=positive_s(connect_timeout, "connect_timeout"),
        request_timeout_s=positive_s(request_timeout, "request_timeout"),
        patience_s=positive_s(unavailable_timeout, "unavailable_timeout"),
        batch_tasks=min(whole_number("batch_size", batch_size, 1, sys.maxsize), BATCH_TASKS),
        polling_s=polling_s if disable_events_client else None,
        storage_folder=Path(storage_folder) if storage_folder else None,
        is_direct=direct,
        program=(tuple(os.fspath(one) for one in include), tuple(exclude)),
        tells_locals=tells_locals,
        output=output,
        name=session or "",
        on_exit=on_exit,
        keeps_cluster=keep,
    )


def check_on_unseen(on_unseen: object) -> None:
    """Refuse what says nothing about failures that nobody looked at."""
    _check_word("on_unseen", on_unseen, ("warn", "raise", "ignore"))


def _check_word(
    keyword: str, value: object, words: Sequence[str], *, or_none: bool = False
) -> None:
    if value in words or (or_none and value is None):
        return
    *most, last = map(repr, words)
    raise UsageError(f"{keyword} must be {', '.join(most)} or {last}, not {value!r}")


def _partitions(partition: object) -> tuple[str, ...]:
    if not partition:
        return ()
    given: tuple[object, ...] = (partition,)
    if isinstance(partition, Iterable) and not isinstance(partition, str):
        given = tuple(partition)
    if not all(isinstance(name, str) and name for name in given):
        raise UsageError(f"partition must be a name or a list of names, not {partition!r}")
    return tuple(dict.fromkeys(str(name) for name in given))
