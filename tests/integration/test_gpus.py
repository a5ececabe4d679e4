"""One GPU for each worker. No GPU is needed: tasks see it in a variable of their process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pymonik import LocalCluster, Pymonik, task
from pymonik.cli import main
from pymonik.errors import UsageError
from pymonik.launch.chosen_gpus import gpu_names

TIMEOUT_S = 60.0


@task
def seen(folder: str, number: int, others: int) -> tuple[str, int]:
    """The GPU of this process, once others run at the same time."""
    Path(folder, str(number)).touch()
    deadline = time.monotonic() + TIMEOUT_S / 2
    while len(list(Path(folder).iterdir())) < others and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()


@task
def dies() -> None:
    os.kill(os.getpid(), 9)


def test_each_worker_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with LocalCluster(gpus=2) as cluster, Pymonik(cluster) as client:
        assert cluster.partitions == {"pymonik": 2}
        both = seen.map_invoke([(str(tmp_path), n, 2) for n in range(2)], chunk_size=1)
        assert sorted(gpu for gpu, _ in both.get(timeout=TIMEOUT_S)) == ["0", "1"]
        (worker,) = client.workers()
        assert len(worker.gpus) == 2


def test_executors_of_another_kind_have_the_gpus_of_those_that_made_room(tmp_path: Path):
    with LocalCluster(gpus=["GPU-5", 3]) as cluster, Pymonik(cluster):
        for kind in range(4):
            folder = tmp_path / str(kind)
            folder.mkdir()
            both = seen.map_invoke(
                [(str(folder), n, 2) for n in range(2)],
                chunk_size=1,
                pmk_environment={"env_variables": {"KIND": str(kind)}},
            )
            values = both.get(timeout=TIMEOUT_S)
            assert sorted(gpu for gpu, _ in values) == ["3", "GPU-5"]


def test_what_follows_an_executor_that_died_has_its_gpu(tmp_path: Path):
    with LocalCluster(gpus=[4]) as cluster, Pymonik(cluster, max_retries=0):
        assert dies.invoke().exception(timeout=TIMEOUT_S) is not None
        assert seen.invoke(str(tmp_path), 0, 1).get(timeout=TIMEOUT_S)[0] == "4"


def test_what_the_program_says_comes_first(tmp_path: Path):
    with LocalCluster(gpus=1) as cluster:
        variables = {"env_variables": {"CUDA_VISIBLE_DEVICES": ""}}
        with Pymonik(cluster, environment=variables):
            assert seen.invoke(str(tmp_path), 0, 1).get(timeout=TIMEOUT_S)[0] == ""


def test_numbers_are_among_those_that_this_program_may_see():
    assert gpu_names(2, {}) == ("0", "1")
    assert gpu_names(2, {"CUDA_VISIBLE_DEVICES": "4, GPU-1,7"}) == ("4", "GPU-1")
    assert gpu_names([1, "GPU-7"], {"CUDA_VISIBLE_DEVICES": "4"}) == ("1", "GPU-7")
    with pytest.raises(UsageError, match="lets this program see 1"):
        gpu_names(2, {"CUDA_VISIBLE_DEVICES": "4"})


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2", [], [1, 1], ["a,b"], [-1], [None]])
def test_what_means_no_gpu_is_refused(wrong: object):
    with pytest.raises(UsageError):
        LocalCluster(gpus=wrong)  # type: ignore[arg-type]


def test_workers_of_others_see_to_their_own():
    with pytest.raises(UsageError, match="gpus="):
        LocalCluster(gpus=1, worker=["true"])


def test_the_command_refuses_what_means_no_gpu(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["cluster", "--gpus", "0"])
    assert "gpus" in capsys.readouterr().err
