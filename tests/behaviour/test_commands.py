"""Programs in place of functions: what they are given, give, and how they fail."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from pymonik import CommandError, File, Pymonik, command, task
from pymonik.errors import ArgumentsError, TaskTimeoutError, UsageError

TIMEOUT_S = 55.0
PYTHON = shlex.quote(sys.executable)


@task
def lengths(files: list[File]) -> list[int]:
    return [len(Path(file).read_text()) for file in files]


@task
def says(text: str) -> str:
    return text


@task
def number() -> int:
    return 17


@task
def starts_a_command(word: str) -> Any:
    return command("echo {word} | tee said", outputs=["said"]).invoke(word=word)


def test_a_line_has_its_fields_quoted(client: Pymonik) -> None:
    done = command("echo {word} {number:.2f} {{}}").invoke(word="it's $HOME", number=1 / 3)
    assert done.get(TIMEOUT_S).stdout == "it's $HOME 0.33 {}\n"


def test_a_field_in_quotes_stays_a_text(client: Pymonik) -> None:
    work = command("""printf '%s|' '{x}' "{x}" {x}; ls""")
    value = "'; touch a; \"$(touch b)"
    assert work.invoke(x=value).get(TIMEOUT_S).stdout == f"{value}|" * 3
    with pytest.raises(ArgumentsError, match=r"cannot stand for {x} where quotes do not help"):
        command("cat <<E\n{x}\nE").invoke(x="$(touch c)")
    given = command("echo $(({x} + 1))").invoke(x=says.invoke("$(touch d)"))
    with pytest.raises(ValueError, match="where quotes do not help"):
        given.get(TIMEOUT_S)


def test_a_field_may_have_any_name(client: Pymonik, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("of a")
    work = command("cat {files}; echo {seed} {memory} {label} {self}")
    done = work.invoke(files=[File(tmp_path / "a.txt")], seed=1, memory=2, label="x", self="me")
    assert done.get(TIMEOUT_S).stdout == "of a1 2 x me\n"


def test_a_file_with_an_odd_name_is_a_file(client: Pymonik, tmp_path: Path) -> None:
    for name in ("-n", "it is\nodd \u00e9.txt"):
        (tmp_path / name).write_text(f"of {name}")
        work = command("cat {file}; printf made > '-o ut'", outputs=["*"])
        done = work.invoke(file=File(tmp_path / name)).get(TIMEOUT_S)
        assert done.stdout == f"of {name}"
        assert done.files["-o ut"].read_text() == "made"


def test_words_need_no_shell(client: Pymonik) -> None:
    work = command([sys.executable, "-c", "import sys; print(sys.argv[1:])", "{words}", "-{n}"])
    done = work.invoke(words=["a b", "*", "$HOME"], n=number.invoke())
    assert done.get(TIMEOUT_S).stdout == "['a b', '*', '$HOME', '-17']\n"


def test_a_field_that_is_a_file_is_its_path(client: Pymonik, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("of a")
    (tmp_path / "b.txt").write_text("of b")
    work = command("cat {first} b.txt", files=[tmp_path / "b.txt"])
    assert work.invoke(first=File(tmp_path / "a.txt", name="x/y.txt")).get(TIMEOUT_S).stdout == (
        "of aof b"
    )
    assert work.dry_run(first=File(tmp_path / "a.txt", name="it is")).startswith(
        "cat 'it is' b.txt"
    )


def test_outputs_come_home_and_go_on(client: Pymonik) -> None:
    work = command(
        "printf %0{n}d 0 > out.txt; echo err >&2; touch a.log", outputs=["out.txt", "*.log"]
    )
    run = work.map_invoke([{"n": n} for n in (3, 200_000)])
    first, second = run.get(TIMEOUT_S)
    assert (first.rc, first.stdout, first.stderr) == (0, "", "err\n")
    assert first.files["out.txt"].read_text() == "000"
    assert sorted(second.files) == ["a.log", "out.txt"]
    assert lengths.invoke([first.files["out.txt"], second.files["out.txt"]]).get(TIMEOUT_S) == [
        3,
        200_000,
    ]
    counted = command("cat out.txt 2/out.txt | wc -c").invoke(run).get(TIMEOUT_S)
    assert counted.stdout.strip() == "200003"


def test_a_bad_exit_raises_with_all_that_is_known(client: Pymonik) -> None:
    work = command("echo said; echo why >&2; echo kept > out; exit 3", outputs=["out"])
    with pytest.raises(CommandError, match="exited with 3") as caught:
        work.invoke().get(TIMEOUT_S)
    error = caught.value
    assert (error.rc, error.stdout, error.stderr, error.files) == (3, "said\n", "why\n", {})
    assert "why" in str(error)


def test_outputs_are_kept_always_if_asked_for(client: Pymonik) -> None:
    work = command("echo kept > out; exit 3", outputs=["out", "*.none"], outputs_on="always")
    error = work.invoke().exception(TIMEOUT_S)
    assert isinstance(error, CommandError)
    assert error.files["out"].read_text() == "kept\n"


def test_exit_codes_that_are_no_failure(client: Pymonik) -> None:
    assert command("exit 3", ok=(0, 3)).invoke().get(TIMEOUT_S).rc == 3
    assert command("exit 4", check=False).invoke().get(TIMEOUT_S).rc == 4
    assert command("kill -9 $$", check=False).invoke().get(TIMEOUT_S).rc == -9


def test_a_missing_output_and_a_pattern_without_a_match(client: Pymonik) -> None:
    with pytest.raises(CommandError, match="'a'; what it made: b"):
        command("touch b", outputs=["a"]).invoke().get(TIMEOUT_S)
    done = command("touch b", outputs=["*.png"]).invoke().get(TIMEOUT_S)
    assert done.warnings == ("no file matches the output '*.png'",)


def test_a_program_that_is_not_there(client: Pymonik) -> None:
    with pytest.raises(CommandError, match="no-such-program") as caught:
        command(["no-such-program"]).invoke().get(TIMEOUT_S)
    assert caught.value.rc == 127


def test_a_command_has_variables_and_unbuffered_prints(client: Pymonik) -> None:
    work = command("echo $MINE $PYTHONUNBUFFERED", env={"MINE": "value"})
    assert work.invoke().get(TIMEOUT_S).stdout == "value 1\n"


def test_what_a_command_leaves_running_ends_with_it(client: Pymonik, tmp_path: Path) -> None:
    code = "import subprocess as s; print(s.Popen(['sleep', '99'], start_new_session=True).pid)"
    done = command([sys.executable, "-c", code]).invoke().get(TIMEOUT_S)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_time_limit_ends_the_whole_tree(client: Pymonik) -> None:
    work = command("sleep 1000 & sleep 1000", max_duration=0.5)
    assert isinstance(work.invoke().exception(TIMEOUT_S), TaskTimeoutError)


def test_much_output_is_cut_in_the_middle(client: Pymonik) -> None:
    work = command(f"{PYTHON} -c \"print('a' * 9_000_000, end='end')\"")
    text = work.invoke().get(TIMEOUT_S).stdout
    assert text.startswith("aaa")
    assert text.endswith("aend")
    assert "bytes are left out" in text
    assert len(text) < 5_000_000


def test_a_task_can_call_a_command(client: Pymonik) -> None:
    assert starts_a_command.invoke("hello").get(TIMEOUT_S).stdout == "hello\n"


def test_a_command_that_repeats_reports_each_time(
    client: Pymonik, request: pytest.FixtureRequest
) -> None:
    # What a worker behind gRPC says on the way is a matter of its deployment.
    is_heard = request.node.callspec.params["cluster"] == "executors"
    work = command("echo x >> turns; wc -l < turns", repeat=3, every=0.05, outputs="turns")
    handle = work.invoke()
    reports = list(handle.follow(TIMEOUT_S))
    assert handle.get(TIMEOUT_S).stdout.strip() == "3"
    if is_heard:
        turns = [(r["turn"], r["rc"], r["stdout"].strip()) for r in reports]
        assert turns == [(1, 0, "1"), (2, 0, "2"), (3, 0, "3")]
    failing = command("echo x >> n; test $(wc -l < n) -lt 2", repeat=5).invoke()
    assert isinstance(failing.exception(TIMEOUT_S), CommandError)
    if is_heard:
        assert [r["rc"] for r in failing.follow(TIMEOUT_S)] == [0, 1]


def test_a_call_here_does_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("of a")
    work = command("cat {a} > b.txt; cat b.txt", outputs=["b.txt"])
    done = work(a=File(tmp_path / "a.txt"))
    assert (done.stdout, done.files["b.txt"].read_text()) == ("of a", "of a")
    with pytest.raises(CommandError, match="exited with 5"):
        command("exit 5")()


def test_a_call_here_leaves_large_files_as_they_are(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(17 << 20))
    large.chmod(0o640)
    done = command("echo more >> {large}; wc -c < {large}")(large=File(large))
    assert int(done.stdout) == (17 << 20) + 5
    assert (large.stat().st_size, large.stat().st_mode & 0o777) == (17 << 20, 0o640)


def test_what_is_wrong_is_said_at_once(client: Pymonik) -> None:
    for bad in ("awk '{print $1}'", "echo {", ""):
        with pytest.raises(UsageError):
            command(bad)
    with pytest.raises(UsageError, match="outputs_on"):
        command("true", outputs_on="failure")
    with pytest.raises(ArgumentsError, match="max_duration"):
        command("true", timeout=3)
    work = command("echo {a}")
    with pytest.raises(ArgumentsError, match="a of the line is not given"):
        work.invoke()
    with pytest.raises(ArgumentsError, match="'b'"):
        work.invoke(a=1, b=2)
    with pytest.raises(UsageError, match="cannot stand in a command line"):
        work.invoke(a={"x": 1})
