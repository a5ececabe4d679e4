"""What the system tells of the group of processes (cgroup) that this one belongs to.

::

    of version 2    /sys/fs/cgroup/GROUP/memory.max
    of version 1    /sys/fs/cgroup/memory/GROUP/memory.limit_in_bytes

GROUP stands in ``/proc/self/cgroup``. In a container that path is ``/``, or one of the machine that
the container does not see: then its own group is the root of what it sees. A limit of a group holds
for those below it too.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def texts(controller: str, newer: str, older: str) -> list[tuple[str, bool]]:
    """Files of the group and those around it, its own first.

    Args:
        controller: Which part of the system tells it, such as ``"memory"``.
        newer: Name of the file in version 2.
        older: Name of the file in version 1.

    Returns:
        Of each file that is there what stands in it, and whether it is one of version 2.
    """
    found = []
    for folder, is_newer in _folders(controller):
        try:
            found.append(((folder / (newer if is_newer else older)).read_text(), is_newer))
        except OSError:  # noqa: PERF203 - another version, or a group that is not seen from here
            continue
    return found


def _folders(controller: str) -> list[tuple[Path, bool]]:
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        # A line is ``number:controllers:group``; that of version 2 names no controllers.
        _, controllers, group = line.split(":", 2)
        if not controllers:
            found += [(folder, True) for folder in _around(ROOT, group)]
        elif controller in controllers.split(","):
            found += [(folder, False) for folder in _around(ROOT / controller, group)]
    return found


def _around(root: Path, group: str) -> list[Path]:
    """The folder of a group, and of each group around it up to the root."""
    own = root / group.lstrip("/")
    return [own, *(folder for folder in own.parents if folder.is_relative_to(root))]
