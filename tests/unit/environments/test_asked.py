"""What users write as ``environment=``, and what they are told when it cannot be one."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import types
from pathlib import Path

import pytest

from pymonik import UsageError
from pymonik.environments import local_packages, locks
from pymonik.environments.asked import environment_of
from pymonik.wire.environment import Environment


def test_packages_are_known_by_their_content() -> None:
    one = environment_of({"pip": ["numpy", ("pandas", "2.2"), ("scipy", ">=1")]})
    two = environment_of([("scipy", ">=1"), "pandas==2.2", ("numpy", None)])
    assert one.pip == ("numpy", "pandas==2.2", "scipy>=1")
    assert one.packages_id == two.packages_id
    assert environment_of(None).packages_id == ""
    assert environment_of(one) is one


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"conda": []}, "no conda environments"),
        ({"pips": []}, "unknown keys 'pips'"),
        ({"pip": 3}, "is of type int"),
        ({"pip": [3]}, "write 'numpy'"),
        ({"pip": ["numpy=1.2"]}, "write 'numpy==1.2'"),
        ({"pip": ["conda-forge::numpy"]}, "a conda channel"),
        ({"pip": ["num py"]}, "no requirement"),
        ({"pip": ["a\0b"]}, "one line of text"),
        ({"pip": [], "offline": "yes"}, "True or False"),
        ("numpy", "write a list such as ['numpy'"),
        ("environment.yml", "no conda environments"),
        ("poetry.lock", "pymonik reads uv.lock"),
        ("missing.txt", "missing.txt cannot be read: No such file"),
        (["-e ./nothing"], "there is no project folder"),
        (["./nothing.whl"], "there is no "),
        (["-e"], "--editable takes one value"),
        (["--find-links ./wheels"], "the worker does not see this folder"),
        (["--trusted-host x"], "decided at the worker"),
        (["--frobnicate 3"], "the option --frobnicate is not supported"),
        ({"env_variables": {"A": 1}}, "must be a string, not int"),
        ({"env_variables": {"A=B": "1"}}, "without '=' and NUL"),
        ({"env_variables": {"": "1"}}, "without '=' and NUL"),
        ({"env_variables": {"A": "x\0y"}}, "NUL"),
        ({"env_variables": {"A": "\udcff"}}, "surrogate"),
        ({"env_variables": {"A": "é" * 65_536}}, "longer than the 131072 bytes"),
        ({"env_variables": {"\udcff": "a"}}, "without '=' and NUL"),
        ({"env_variables": ["A"]}, "must be a dict"),
    ],
)
def test_a_wrong_environment_is_refused_with_the_reason(wrong: object, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        environment_of(wrong)
    assert reason in str(caught.value)


def test_no_secret_is_in_a_message_or_travels() -> None:
    for wrong in (
        {"env_variables": {"TOKEN": b"secret"}},
        {"env_variables": {"TOKEN": "secret\0"}},
        ["--extra-index-url https://me:secret@host/simple"],
        ["x @ https://secret@host/x.zip"],
    ):
        with pytest.raises(UsageError) as caught:
            environment_of(wrong)
        assert "secret" not in str(caught.value)
    kept = environment_of(["--index-url https://${USER}:${TOKEN}@host/simple", "x"])
    assert kept.indexes == ("--index-url https://${USER}:${TOKEN}@host/simple",)


def test_a_requirements_file_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# what we need\n"
        "six==1.16.0  # pinned\n"
        "\n"
        "-r more.txt\n"
        "-c limits.txt\n"
        "--extra-index-url=https://host/simple\n"
        "numpy==2.0 \\\n    --hash=sha256:abc\n"
        "pandas ; python_version >= '3.8'\n"
        "x @ git+https://host/x@main\n"
    )
    (tmp_path / "more.txt").write_text("attrs[cov]>=1\n")
    (tmp_path / "limits.txt").write_text("idna<4\n")
    found = environment_of(str(tmp_path / "requirements.txt"))
    assert found.pip == (
        "attrs[cov]>=1",
        "numpy==2.0 --hash=sha256:abc",
        "pandas ; python_version >= '3.8'",
        "six==1.16.0",
        "x @ git+https://host/x@main",
    )
    assert found.constraints == ("idna<4",)
    assert found.indexes == ("--extra-index-url https://host/simple",)
    assert environment_of({"pip": ["-r " + str(tmp_path / "more.txt")]}).pip == ("attrs[cov]>=1",)


def test_an_error_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n\nnum py\n")
    with pytest.raises(UsageError, match=r"requirements\.txt, line 3: 'num py'"):
        environment_of(tmp_path / "requirements.txt")
    (tmp_path / "requirements.txt").write_text("-r requirements.txt\n")
    with pytest.raises(UsageError, match="includes itself"):
        environment_of(tmp_path / "requirements.txt")
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        environment_of(tmp_path / "requirements.txt")


def test_a_project_tells_its_dependencies_and_where_they_come_from(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(
        "[project]\nname='p'\nversion='1'\nrequires-python='>=3.8'\n"
        "dependencies=['six>=1', 'x[a]', 'y']\n"
        "[tool.uv.sources]\nX={git='https://host/x', tag='v1'}\ny={index='ours'}\n"
        "[[tool.uv.index]]\nname='ours'\nurl='https://ours/simple'\nexplicit=true\n"
        "[[tool.uv.index]]\nname='main'\nurl='https://main/simple'\ndefault=true\n"
    )
    found = environment_of(project)
    assert found.pip == ("six>=1", "x[a] @ git+https://host/x@v1", "y")
    assert found.indexes == (
        "--index-url https://main/simple",
        "--extra-index-url https://ours/simple",
    )
    project.write_text("[project]\nname='p'\nversion='1'\nrequires-python='<3'\n")
    with pytest.raises(UsageError, match="requires Python <3"):
        environment_of(project)
    project.write_text("[project]\nname='p'\ndynamic=['dependencies']\n")
    with pytest.raises(UsageError, match="are dynamic"):
        environment_of(project)
    project.write_text("[tool.x]\n")
    with pytest.raises(UsageError, match=r"has no table \[project\]"):
        environment_of(project)
    project.write_text("[project\n")
    with pytest.raises(UsageError, match="is no TOML"):
        environment_of(project)


def test_the_block_of_a_script_is_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = types.ModuleType("__main__")
    program.__file__ = str(tmp_path / "script.py")
    monkeypatch.setitem(sys.modules, "__main__", program)
    block = (
        "# /// script\n# requires-python = '>=3.8'\n"
        "# dependencies = [\n#   'six==1.16.0',\n# ]\n# ///\n"
    )
    Path(program.__file__).write_text(f"{block}print(1)\n")
    assert environment_of("script").pip == ("six==1.16.0",)
    Path(program.__file__).write_text("print(1)\n")
    with pytest.raises(UsageError, match="has no blocks"):
        environment_of("script")
    program.__file__ = None
    with pytest.raises(UsageError, match="has no file"):
        environment_of("script")


def test_what_the_program_imports_is_pinned_to_what_is_here(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import own\n"
        "def f():\n    import pandas\n"
        "from pymonik.environments.asked import environment_of\n"
        "found = environment_of('here')\n"
        "print(*found.pip, '|', *found.constraints)\n"
    )
    (tmp_path / "own.py").write_text("import hypothesis.strategies\n")
    output = subprocess.check_output([sys.executable, str(program)], text=True, timeout=60)
    pip, _, constraints = output.partition("|")
    versions = {name: importlib.metadata.version(name) for name in ("hypothesis", "pandas")}
    assert pip.split() == [f"{name}=={version}" for name, version in versions.items()]
    assert f"numpy=={importlib.metadata.version('numpy')}" in constraints.split()


def test_the_nearest_packages_replace_and_variables_merge() -> None:
    wide = environment_of({"pip": ["numpy"], "env_variables": {"A": "1", "B": "1"}})
    near = environment_of({"pip": ["six"], "env_variables": {"B": "2"}})
    assert near.over(wide) == Environment(pip=("six",), env_variables={"A": "1", "B": "2"})
    variables = environment_of({"env_variables": {"B": "2"}})
    assert variables.over(wide).pip == ("numpy",)
    assert Environment().over(wide) == wide


def test_a_list_too_long_for_every_payload_goes_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines = [f"package-{number}==1.0" for number in range(100)]
    found = environment_of(lines)
    (file,) = found.files
    assert found.pip == (f"-r {local_packages.TRAVELLING}100-packages.txt",)
    assert local_packages.unfolded(found.pip, found.files) == tuple(sorted(lines))
    assert locks.in_words(found) == ("100-packages",)
    other = environment_of([*lines, "one-more"])
    assert other.packages_id != found.packages_id
    placed = found.at({file.digest: "r"})
    assert placed.packages_id == found.packages_id
    assert placed.files[0].result_id == "r"
