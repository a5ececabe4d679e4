"""Task options: what a request says, merged over what it does not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymonik.cluster.state.faults import Unknown
from pymonik.cluster.state.work import TaskOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RequestedOptions:
    """Options of one request; empty and zero mean "inherit", except for the priority."""

    max_duration: timedelta | None = None  # ArmoniK answers UNKNOWN to a message without it
    max_retries: int = 0
    priority: int = 0
    partition_id: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    application_name: str = ""
    application_version: str = ""
    application_namespace: str = ""
    application_service: str = ""
    engine_type: str = ""


def merged(specific: RequestedOptions | None, default: TaskOptions) -> TaskOptions:
    """The options of `specific` over `default`.

    The priority is always that of the most specific message, even zero.

    Raises:
        Unknown: `specific` has no `max_duration`.
    """
    if specific is None:
        return default
    if specific.max_duration is None:
        raise Unknown("task options without max_duration")
    return TaskOptions(
        max_duration=specific.max_duration or default.max_duration,
        max_retries=specific.max_retries or default.max_retries,
        priority=specific.priority,
        partition_id=specific.partition_id or default.partition_id,
        options={**default.options, **specific.options},
        application_name=specific.application_name or default.application_name,
        application_version=specific.application_version or default.application_version,
        application_namespace=specific.application_namespace or default.application_namespace,
        application_service=specific.application_service or default.application_service,
        engine_type=specific.engine_type or default.engine_type,
    )
