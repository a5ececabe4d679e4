"""What this process may use of the machine: processors, memory, graphics processors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Final

from pymonik.launch import cgroups, memory
from pymonik.wire.inventory import Gpu, Inventory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOOL: Final = "nvidia-smi"
_GPUS_S: Final = 10.0  # seconds for the tool, which waits as long as a driver that hangs
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_IMAGE: Final = "PYMONIK_WORKER_IMAGE"  # the deployment may say which image a worker is of
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
# Of `nvidia-smi -L`; a part of a GPU stands below it, indented.
_WHOLE_LINE: Final = re.compile(r"GPU (\d+): (.*) \(UUID: (GPU-[^)]+)\)")
_PART_LINE: Final = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
_PART_MEMORY: Final = re.compile(r"\.(\d+)gb")  # of a profile such as "3g.20gb"


def inventory(host: str, partition: str, *, started: float, gpus: Sequence[Gpu] = ()) -> Inventory:
    """What a worker of this process has; `gpus` are asked for apart, since that takes long."""
    import platform

    from pymonik import __version__

    return Inventory(
        host=host,
        partition=partition,
        cpus=processors(),
        memory=memory.total(),
        gpus=tuple(gpus),
        python=platform.python_version(),
        pymonik=__version__,
        image=os.environ.get(_IMAGE, ""),
        started=started,
    )


def processors() -> int:
    """How many processors this process may use at once, in its container too."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(count, _of_container() or count))


def _of_container() -> int | None:
    """Processors that all processes of this container may use together, rounded up."""
    counts = [
        -(-quota // period) for quota, period in map(_share, _quotas()) if quota > 0 and period > 0
    ]
    return min(counts, default=None)


def _quotas() -> list[str]:
    """Microseconds of processors in a period, and its length: of each group around this process."""
    newer = [text for text, is_newer in cgroups.texts("cpu", "cpu.max", "") if is_newer]
    quotas = cgroups.texts("cpu", "", "cpu.cfs_quota_us")
    periods = cgroups.texts("cpu", "", "cpu.cfs_period_us")
    older = [f"{quota} {period}" for (quota, _), (period, _) in zip(quotas, periods, strict=False)]
    return [*newer, *older]


def _share(text: str) -> tuple[int, int]:
    """The two numbers; zeros where there is no limit, which is written ``max`` or ``-1``."""
    quota, _, period = text.partition(" ")
    try:
        return int(quota), int(period)
    except ValueError:
        return 0, 0


def may_have_gpus() -> bool:
    """Whether it makes sense to ask for `gpus`."""
    return shutil.which(_TOOL) is not None


def gpus(names: Sequence[str] = ()) -> list[Gpu]:
    """The graphics processors of this machine that programs may use, or those of these names.

    It waits for NVIDIA's tool, up to ten seconds in all: never called where a task waits.
    """
    deadline = time.monotonic() + _GPUS_S
    listed = _output(["-L"], deadline)
    sizes = _output(["--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"], deadline)
    variables = {VISIBLE: ",".join(names)} if names else os.environ
    return visible(listed_gpus(listed, sizes), variables)


def listed_gpus(listed: str, sizes: str) -> list[tuple[str, Gpu]]:
    """What the tool says: each GPU, or in its stead its parts, with the number of the GPU.

    Args:
        listed: Output of ``nvidia-smi -L``.
        sizes: Lines of UUID and MiB of memory.
    """
    pairs = (line.rpartition(",") for line in sizes.splitlines())
    mib = {uuid.strip(): int(size) for uuid, _, size in pairs if size.strip().isdecimal()}
    found: list[tuple[str, Gpu]] = []
    parts: list[tuple[str, Gpu]] = []
    number = name = ""
    divided: set[str] = set()
    for line in listed.splitlines():
        if whole := _WHOLE_LINE.match(line):
            number, name, uuid = whole.groups()
            found.append((number, Gpu(name, mib.get(uuid, 0) * _MIB, uuid)))
        elif part := _PART_LINE.match(line):
            profile, uuid = part.groups()
            gb = _PART_MEMORY.search(profile)
            size = int(gb.group(1)) * _GIB if gb else 0
            parts.append((number, Gpu(f"{name} MIG {profile}", size, uuid)))
            divided.add(number)
    return [one for one in found if one[0] not in divided] + parts


def visible(found: Sequence[tuple[str, Gpu]], variables: Mapping[str, str]) -> list[Gpu]:
    """Those that ``CUDA_VISIBLE_DEVICES`` lets programs see, as CUDA reads it.

    It names numbers or starts of UUIDs; what follows the first name that fits nothing is hidden.
    """
    if VISIBLE not in variables:
        return [gpu for _, gpu in found]
    seen: list[Gpu] = []
    # An empty variable has one empty name, which fits nothing: no GPU is seen, as CUDA has it.
    for name in variables[VISIBLE].split(","):
        fitting = [
            gpu
            for number, gpu in found
            if name.strip() == number
            or (len(name.strip()) > 3 and gpu.uuid.startswith(name.strip()))
        ]
        if not fitting:
            break
        seen += [gpu for gpu in fitting if gpu not in seen]
    return seen


def _output(arguments: Sequence[str], deadline: float) -> str:
    """What NVIDIA's tool prints; ``""`` where it fails, is not there, or takes too long."""
    left = deadline - time.monotonic()
    try:
        done = subprocess.run(
            [_TOOL, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(0.1, left),
            check=True,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
