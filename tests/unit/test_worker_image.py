"""The files of the worker image fit together; nobody builds it where these tests run."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "worker_image" / "Dockerfile").read_text(encoding="utf-8")


def copied() -> list[str]:
    """What the build takes out of its context."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def is_sent(name: str) -> bool:
    """Whether the file belongs to the build's context: the last pattern that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(name, pattern.lstrip("!")):
            sent = pattern.startswith("!")
    return sent


def test_what_the_build_copies_is_there_and_is_sent_to_it() -> None:
    assert len(copied()) >= 4
    for name in copied():
        assert (ROOT / name).exists(), name
        assert is_sent(name), name


def test_what_the_package_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = {"pyproject.toml", "pymonik", *re.findall(r'license-files = \["([^"]+)"', project)}
    named |= set(re.findall(r'force-include = \{ "([^"]+)"', project))
    named |= set(re.findall(r'fragments = \[\{ path = "([^"]+)"', project))
    assert {"LICENSE", "README.md", "pytest_pymonik.py"} < named
    assert named <= set(copied())


def test_the_image_starts_programs_that_there_are() -> None:
    commands = re.findall(r"^(?:ENTRYPOINT|HEALTHCHECK .*CMD) (\[.*\])$", DOCKERFILE, re.MULTILINE)
    modules = [json.loads(command)[-1] for command in commands]
    assert modules == ["pymonik.worker.health", "pymonik.worker"]
    for module in modules:
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists()
