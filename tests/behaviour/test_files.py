"""Files as arguments and values: bytes as they are, in a folder of the call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import File, Pymonik, task
from pymonik.errors import SerializationError, TaskFailedError, UsageError

if TYPE_CHECKING:
    from pymonik.handles.result_handle import ResultHandle

TIMEOUT_S = 55.0
LARGE = 300_000  # bytes: a result of its own


@task
def contents(file: File) -> str:
    return Path(file).read_text()


@task
def places(files: dict[str, list[File]]) -> list[str]:
    return [os.path.relpath(file) for group in files.values() for file in group]


@task(outputs=["*.log", "sub/*.bin"])
def simulate(config: File, size: int) -> File:
    Path("run.log").write_text(f"read {Path(config).read_text()}")
    Path("sub").mkdir()
    Path("sub/data.bin").write_bytes(b"d" * size)
    Path("result.txt").write_text("r" * size)
    return File("result.txt")


@task
def sizes(files: list[File]) -> list[int]:
    return [Path(file).stat().st_size for file in files]


@task
def gives(text: str) -> list[File]:
    Path("given.txt").write_text(text)
    return [File("given.txt")]


@task(outputs=["made.txt", "*.png"])
def makes(name: str) -> int:
    Path(name).write_text("made")
    return 1


@task
def makes_folder(size: int) -> File:
    Path("made").mkdir()
    Path("made/data.bin").write_bytes(b"d" * size)
    return File("made")


@task
def names_one(name: str) -> list[File]:
    Path(name).write_text("named")
    return [File(name)]


@task
def gives_back(file: File) -> Any:
    return file


@task
def where() -> str:
    return str(Path.cwd())


@task
def appends(file: File) -> File:
    with open(file, "a") as opened:  # noqa: PTH123
        opened.write(" and more")
    return file


@task
def listed(folder: File) -> list[str]:
    top = Path(folder)
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


@task(outputs="many")
def makes_many(number: int) -> File:
    folder = Path("many")
    folder.mkdir()
    for i in range(number):
        (folder / str(i)).write_text(str(i))
    return File("many")


@task(outputs=["*.part"])
def leaves_many(number: int) -> None:
    for i in range(number):
        Path(f"{i:04}.part").write_text(str(i) * 100_000)


@task
def passes_on(file: File) -> Any:
    return contents.invoke(file)


@task(outputs=["*.txt"])
def links_out() -> int:
    Path("out.txt").symlink_to("/etc/hostname")
    return 1


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.txt"
    path.write_text("settings")
    return path


def test_a_task_reads_a_file_under_its_name(client: Pymonik, config: Path) -> None:
    file = File(config, name="deep/other.txt")
    assert contents.invoke(file).get(TIMEOUT_S) == "settings"
    assert places.invoke({"a": [file]}).get(TIMEOUT_S) == ["deep/other.txt"]


def test_a_call_gets_a_file_as_it_was_when_it_was_made(client: Pymonik, config: Path) -> None:
    first = contents.invoke(File(config))
    config.write_text("changed!")
    second = contents.invoke(File(config))
    config.unlink()
    assert [first.get(TIMEOUT_S), second.get(TIMEOUT_S)] == ["settings", "changed!"]


def test_equal_names_have_a_folder_each(client: Pymonik, tmp_path: Path) -> None:
    files = []
    for word in ("one", "two"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "same.txt").write_text(word)
        files.append(File(tmp_path / word / "same.txt"))
    assert places.invoke({"a": files, "b": files[:1]}).get(TIMEOUT_S) == [
        "same.txt",
        "2/same.txt",
        "same.txt",
    ]


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_a_task_returns_and_leaves_can_be_read_and_saved(
    client: Pymonik, config: Path, tmp_path: Path, size: int
) -> None:
    handle = simulate.invoke(File(config), size)
    result = handle.get(TIMEOUT_S)
    assert (result.name, result.size, result.read_text()) == ("result.txt", size, "r" * size)
    assert sorted(handle.files) == ["result.txt", "run.log", "sub/data.bin"]
    assert handle.files["run.log"].read_text() == "read settings"
    with handle.files["sub/data.bin"].open() as opened:
        opened.seek(size - 2)
        assert opened.read() == b"dd"
    saved = result.save(tmp_path / "here" / "saved.txt")
    assert saved.read_text() == "r" * size
    assert [path.name for path in saved.parent.iterdir()] == ["saved.txt"]


@pytest.mark.parametrize("size", [10, LARGE])
def test_files_go_on_to_other_tasks(client: Pymonik, config: Path, size: int) -> None:
    handles: list[ResultHandle[File]] = [simulate.invoke(File(config), size) for _ in range(2)]
    assert sizes.invoke(handles).get(TIMEOUT_S) == [size, size]
    assert sizes.invoke([handles[0].get(), handles[1].files["run.log"]]).get(TIMEOUT_S) == [
        size,
        13,
    ]
    many = simulate.map_invoke([(File(config), size + i) for i in range(4)], chunk_size=2)
    assert sizes.invoke(many).get(TIMEOUT_S) == [size, size + 1, size + 2, size + 3]


def test_a_missing_output_is_named_with_what_there_is(client: Pymonik) -> None:
    with pytest.raises(TaskFailedError, match=r"'made.txt'; what it made: other.txt"):
        makes.invoke("other.txt").get(TIMEOUT_S)
    handle = makes.invoke("made.txt")
    assert handle.get(TIMEOUT_S) == 1
    assert list(handle.files) == ["made.txt"]


def test_only_calls_with_files_have_a_folder_of_their_own(client: Pymonik, config: Path) -> None:
    before = where.invoke().get(TIMEOUT_S)
    contents.invoke(File(config)).get(TIMEOUT_S)
    assert where.invoke().get(TIMEOUT_S) == before


def test_a_copy_may_be_changed_and_others_do_not_see_it(client: Pymonik, config: Path) -> None:
    changed = [appends.invoke(File(config)) for _ in range(3)]
    assert [one.get(TIMEOUT_S).read_text() for one in changed] == ["settings and more"] * 3
    assert contents.invoke(File(config)).get(TIMEOUT_S) == "settings"


def test_a_folder_arrives_as_a_folder_and_comes_back_as_one(
    client: Pymonik, tmp_path: Path
) -> None:
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "c.txt").write_text("c")
    (top / "empty").mkdir()
    assert listed.invoke(File(top)).get(TIMEOUT_S) == ["a", "a/b", "a/b/c.txt", "empty"]
    (top / "new").write_text("new")
    assert "new" in listed.invoke(File(f"{top}/")).get(TIMEOUT_S)
    many = makes_many.invoke(300).get(TIMEOUT_S)
    assert sum(1 for _ in many.save(tmp_path / "back").iterdir()) == 300
    assert len(listed.invoke(many).get(TIMEOUT_S)) == 300


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_folder_that_a_task_gives_is_saved_and_goes_on(
    client: Pymonik, tmp_path: Path, size: int
) -> None:
    folder = makes_folder.invoke(size).get(TIMEOUT_S)
    for _ in range(2):  # the second time over the first
        saved = folder.save(tmp_path / "back")
        assert [path.name for path in saved.iterdir()] == ["data.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["back"]
    assert listed.invoke(folder).get(TIMEOUT_S) == ["data.bin"]


def test_links_in_a_folder_are_what_they_lead_to(client: Pymonik, tmp_path: Path) -> None:
    top = tmp_path / "tree"
    (top / "v1").mkdir(parents=True)
    (top / "v1" / "data").write_text("data")
    (top / "latest").symlink_to("v1")
    (top / "soft").symlink_to("v1/data")
    (top / "hard").hardlink_to(top / "v1" / "data")
    files = ["hard", "latest", "latest/data", "soft", "v1", "v1/data"]
    assert listed.invoke(File(top)).get(TIMEOUT_S) == files
    (top / "v1" / "around").symlink_to("..")
    with pytest.raises((OSError, SerializationError), match="leads to a folder around it"):
        listed.invoke(File(top))


def test_a_file_and_a_folder_of_one_name_both_have_a_place(client: Pymonik, config: Path) -> None:
    files = [File(config, name="a"), File(config, name="a/b"), File(config, name="a/b/c")]
    for some in (files, files[::-1]):
        found = places.invoke({"all": some}).get(TIMEOUT_S)
        assert sorted(found) == sorted(set(found))


def test_a_name_as_long_as_a_disk_takes_is_saved(client: Pymonik, tmp_path: Path) -> None:
    (named,) = names_one.invoke("n" * 255).get(TIMEOUT_S)
    assert named.save(f"{tmp_path}/").read_text() == "named"


def test_many_outputs_are_one_result_and_each_a_file(client: Pymonik, tmp_path: Path) -> None:
    handle = leaves_many.invoke(300)
    files = handle.files
    assert len(files) == 300
    assert files["0123.part"].read_text() == "123" * 100_000
    assert sizes.invoke([files["0007.part"], files["0299.part"]]).get(TIMEOUT_S) == [
        100_000,
        300_000,
    ]


def test_who_returns_files_has_a_folder_too(client: Pymonik) -> None:
    before = where.invoke().get(TIMEOUT_S)
    given = gives.map_invoke(["one", "two"]).get(TIMEOUT_S)
    assert [file.read_text() for (file,) in given] == ["one", "two"]
    assert not Path(before, "given.txt").exists()


def test_a_task_passes_its_file_on_to_a_subtask(client: Pymonik, config: Path) -> None:
    assert passes_on.invoke(File(config)).get(TIMEOUT_S) == "settings"


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_task_gives_back_what_another_has_made(client: Pymonik, config: Path, size: int) -> None:
    made: ResultHandle[File] = simulate.invoke(File(config), size)
    again = gives_back.invoke(made)
    assert again.get(TIMEOUT_S).size == size
    assert sizes.invoke([gives_back.invoke(again)]).get(TIMEOUT_S) == [size]


def test_an_empty_file_is_a_file(client: Pymonik, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sizes.invoke([File(tmp_path / "empty")]).get(TIMEOUT_S) == [0]


def test_a_link_out_of_the_folder_is_no_output(client: Pymonik) -> None:
    handle = links_out.invoke()
    assert handle.get(TIMEOUT_S) == 1
    assert handle.files == {}


def test_what_is_wrong_with_a_file_is_said_at_the_call(client: Pymonik, tmp_path: Path) -> None:
    for name in ("../up", "/abs", "a/../../b", ""):
        with pytest.raises(UsageError, match="a file cannot be called"):
            File(tmp_path, name=name)
    with pytest.raises((OSError, SerializationError), match="missing"):
        contents.invoke(File(tmp_path / "missing"))
    with pytest.raises(UsageError, match="leaves the folder"):
        task(outputs=["../*.txt"])(where.func)


@task
def two_of_one_name() -> list[File]:
    Path("a").mkdir()
    Path("x.txt").write_text("first", encoding="utf-8")
    Path("a/x.txt").write_text("second", encoding="utf-8")
    return [File("x.txt"), File("a/x.txt")]


def test_files_of_equal_name_are_both_there(client: Pymonik) -> None:
    call = two_of_one_name.invoke()

    assert [file.read_text() for file in call.get(timeout=50)] == ["first", "second"]
    assert {name: file.read_text() for name, file in call.files.items()} == {
        "x.txt": "first",
        "2/x.txt": "second",
    }
