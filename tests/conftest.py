"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder of the test's own whose path leaves room for a unix socket, unlike `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="pmk-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
