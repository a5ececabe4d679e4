"""Programs that were written for PymoniK 0.2: each public name works, or says what to use."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

import pymonik
from pymonik import Materialize, Pymonik, PymonikContext, Task, materialize, task
from pymonik.errors import SerializationError, UsageError
from pymonik.handles.stored_ids import ObjectFiles, StoredId


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def nothing() -> str:
    return "nothing"


@task
def read(mat: Materialize) -> tuple[str, str | None]:
    return Path(mat.worker_path).read_text(), mat.result_id


@task
def read_all(mats: list[Materialize]) -> list[dict[str, str]]:
    return [
        {
            path.relative_to(mat.worker_path).as_posix(): path.read_text()
            for path in sorted(Path(mat.worker_path).rglob("*"))
            if path.is_file()
        }
        for mat in mats
    ]


@task(require_context=True)
def retrieve(ctx: PymonikContext, result_id: str) -> tuple[Any, ...]:
    before = ctx.object_exists_locally(result_id)
    value = ctx.retrieve_object(result_id)
    data = ctx.retrieve_object(result_id, auto_unpickle=False, force_retrieve=True)
    path = ctx.get_object_path(result_id)
    return before, value, pickle.loads(data), path.name == result_id, path.read_bytes() == data


@task(require_context=True)
def retrieve_by_force_of_habit(ctx: PymonikContext) -> Any:
    return ctx.retrieve_object("an id that is written in the program")


@task(require_context=True)
def install(ctx: PymonikContext) -> None:
    ctx.environment.install_package("numpy", "==2.1.0")


def test_all_public_names_are_there():
    names = {
        *("Pymonik", "task", "PymonikContext", "run_pymonik_worker", "Task", "ResultHandle"),
        *("MultiResultHandle", "TaskOptions", "Materialize", "materialize"),
    }
    assert names <= set(pymonik.__all__)


def test_map_invoke_takes_what_it_took(client: Pymonik):
    assert add.map_invoke(args_list=[(1, 2), (3, 4)]).wait().get() == [3, 7]
    assert add.map_invoke([(1, 2)], client).get() == [3]
    assert nothing.map_invoke([(Pymonik.NoInput,)] * 2).get() == ["nothing"] * 2
    with pytest.raises(TypeError, match="an iterable of arguments"):
        add.map_invoke()


def test_many_handles_say_what_they_said(client: Pymonik):
    handles = add.map_invoke([(1, 2), (3, 4)])
    assert [handle.get() for handle in handles.result_handles] == [3, 7]
    assert handles.session_id == client.session_id
    assert pymonik.MultiResultHandle([]).session_id is None


def test_a_task_has_its_older_names():
    made = Task(abs, func_name="same", task_options=pymonik.TaskOptions(max_retries=2))
    assert made.func_name == "same"
    assert made.task_options.max_retries == 2


def test_tasks_can_be_registered(client: Pymonik):
    client.register_tasks([add, nothing])
    rows = (row for row in "abc")

    @task
    def first() -> str:
        return next(rows)

    with pytest.raises(SerializationError):
        client.register_tasks([first])


def test_a_client_is_no_worker(client: Pymonik):
    assert not client.is_worker()


@pytest.mark.parametrize("name", ["is_worker", "local_session", "polling_batch_size"])
def test_what_is_gone_names_what_to_do(name: str):
    with pytest.raises(UsageError, match=name):
        Pymonik(**{name: 1})  # type: ignore[arg-type]


def test_a_local_context_logs_where_it_is_told(caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("of.the.user")
    context = PymonikContext.from_local(logger)
    with caplog.at_level(logging.INFO, "of.the.user"):
        context.logger.info("here")
    assert [record.name for record in caplog.records] == ["of.the.user"]


def test_installing_in_a_task_says_how_it_is_done(client: Pymonik):
    with pytest.raises(UsageError, match=r"environment={'pip': \['numpy==2.1.0'\]}"):
        install.invoke().get()


# -- objects by id -------------------------------------------------------------------------------


def test_a_task_retrieves_an_object_by_its_id(client: Pymonik):
    value = {"data": list(range(100))}
    handle = client.put(value, "an object")
    assert retrieve.invoke(handle.result_id).get() == (False, value, value, True, True)


def test_the_id_is_a_text_like_any_other(client: Pymonik):
    result_id = client.put(1).result_id
    assert type(pickle.loads(pickle.dumps(add.invoke(1, 2).result_id))) is str
    assert result_id == str(result_id)
    assert {result_id: 1}[str(result_id)] == 1


def test_an_id_that_came_from_elsewhere_names_the_way(client: Pymonik):
    with pytest.raises(UsageError, match="pass the handle itself"):
        retrieve_by_force_of_habit.invoke().get()
    with pytest.raises(UsageError, match="is for tasks"):
        PymonikContext.from_local().retrieve_object("x")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", ""])
def test_the_file_of_an_object_lies_in_its_folder(name: str):
    with pytest.raises(UsageError, match="is not the id of a result"):
        ObjectFiles().retrieve(StoredId(name, 1))


# -- files ---------------------------------------------------------------------------------------


def test_a_file_is_where_the_task_wants_it(client: Pymonik, tmp_path: Path):
    (tmp_path / "config.txt").write_text("debug=true")
    mat = materialize(tmp_path / "config.txt", tmp_path / "there" / "config.txt")
    assert client.upload_materialize(mat) is mat
    assert read.invoke(mat).get() == ("debug=true", mat.result_id)


def test_folders_are_where_the_task_wants_them(client: Pymonik, tmp_path: Path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("a")
    (tmp_path / "data" / "deep" / "b.txt").write_text("b")
    mats = [materialize(tmp_path / "data", tmp_path / name) for name in ("x", "y")]
    for mat in mats:
        client.upload_materialize(mat)
    assert mats[0].result_id == mats[1].result_id  # stored once
    assert read_all.invoke(mats).get() == [{"a.txt": "a", "deep/b.txt": "b"}] * 2


def test_the_same_content_is_stored_again_when_it_must_be(client: Pymonik, tmp_path: Path):
    (tmp_path / "a").write_text("a")
    mat = client.upload_materialize(materialize(tmp_path / "a", "b"))
    before = mat.result_id
    assert client.upload_materialize(mat, force_upload=True).result_id != before


def test_the_hash_is_that_of_the_content(tmp_path: Path):
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    a, b, c = (materialize(tmp_path / name, "x").content_hash for name in "abc")
    assert a == b != c


def test_a_file_that_is_in_its_place_is_left_alone(tmp_path: Path):
    (tmp_path / "a").write_text("a")
    mat = materialize(tmp_path / "a", tmp_path / "b")
    mat.write(b"a")
    (tmp_path / "b").chmod(0o400)
    mat.write(b"a")
    assert mat.is_there()


def test_what_was_not_uploaded_cannot_be_sent(client: Pymonik, tmp_path: Path):
    (tmp_path / "a").write_text("a")
    with pytest.raises(UsageError, match="upload_materialize"):
        read.invoke(materialize(tmp_path / "a", "b"))


def test_what_is_not_there_cannot_be_materialized(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        materialize(tmp_path / "nothing", "x")
    with pytest.raises(ValueError, match="neither"):
        materialize("/dev/null", "x")
