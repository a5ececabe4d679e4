"""A new session: its options, its partitions, and what is said where a partition is not there."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from pymonik import __version__
from pymonik.errors import ControlPlaneError, UsageError
from pymonik.options import TaskOptions
from pymonik.runs.tidying import this_client
from pymonik.transport.messages import DEFAULTS
from pymonik.wire.call import CLIENT_LABEL, SESSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.client.wishes import Wishes
    from pymonik.transport.control_plane import ControlPlane

_DEFAULT_PARTITION = "pymonik"  # the one that deployments of our worker have
_NOT_FOUND = "Partition was not found"  # begins what ArmoniK says of one that it does not have


def create_session(plane: ControlPlane, wishes: Wishes) -> tuple[str, list[str], TaskOptions]:
    """Id, partitions and options of a session that was made.

    Raises:
        ControlPlaneError: It was refused; the partitions that there are stand in the error.
        UsageError: No partition was named, and the cluster has no default one.
    """
    options, partitions = wishes.options.over(DEFAULTS), list(wishes.partitions)
    if options.partition_id is None and partitions:
        options = TaskOptions(partition_id=partitions[0]).over(options)
    if options.partition_id and options.partition_id not in partitions:
        partitions.insert(0, options.partition_id)

    def created() -> str:
        return plane.create_session(_with_labels(options, wishes.name), partitions)

    try:
        return created(), partitions, options
    except ControlPlaneError as error:
        # A session without partitions gets ArmoniK's default one, which a cluster may not have:
        # only then they are listed.
        if partitions or not error.detail.startswith(_NOT_FOUND):
            raise _with_partitions(error, partitions, plane) from None
        partitions = [_only_partition(plane.list_partitions())]
    options = TaskOptions(partition_id=partitions[0]).over(options)
    return created(), partitions, options


def _with_labels(options: TaskOptions, name: str) -> TaskOptions:
    """Options of a session by which it can be found, and its client can.

    Its tasks inherit name, version and namespace of the application, by which ArmoniK's own tools
    group them; the service is the function of each.
    """
    labels = {CLIENT_LABEL: this_client()}
    if name:
        labels[SESSION_LABEL] = name
    shown = TaskOptions(
        application_name=_program(),
        application_version=__version__,
        application_namespace=name or "pymonik",
    )
    return TaskOptions(options=labels).over(options.over(shown))


def _program() -> str:
    """The name of the script, or of what runs it."""
    name = PurePath(sys.argv[0]).stem if sys.argv else ""
    return name if name.strip("-c") else "python"


def _only_partition(known: Sequence[str]) -> str:
    if _DEFAULT_PARTITION in known:
        return _DEFAULT_PARTITION
    if len(known) == 1:
        return known[0]
    raise UsageError(
        f"this cluster has no default partition; pass partition= (there are {', '.join(known)})"
    ) from None


def _with_partitions(
    error: ControlPlaneError, asked: Sequence[str], plane: ControlPlane
) -> ControlPlaneError:
    """The same error with the names, which ArmoniK does not say."""
    if _NOT_FOUND not in error.detail:
        return error
    there = plane.list_partitions()
    missing = ", ".join(repr(name) for name in asked if name not in there)
    known = ", ".join(there) or "none"
    text = f"{error.detail}: the cluster has no partition {missing} (there are {known})"
    return ControlPlaneError(error.operation, text if missing else error.detail)
