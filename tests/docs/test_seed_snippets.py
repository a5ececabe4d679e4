"""The programs of the getting-started guide, letter for letter, on both kinds of cluster.

Fragments get the names that they use from a prelude; the snippet between is never changed, but for
the endpoint, which is taken out for the embedded cluster, and the gap left for it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.docs.conftest import Programs

SNIPPETS = Path(__file__).parent / "snippets"
BASE = "from __future__ import annotations\nfrom pymonik import Pymonik, Task, task\n"
NUMPY = BASE + "import numpy as np\n"


class Surroundings(NamedTuple):
    """What a snippet needs before and after it, and what the program then prints."""

    before: str
    after: str
    prints: str  # a pattern


def _same_sum(a: str, b: str) -> str:
    return f"print(np.array_equal(vec_add.invoke({a}, {b}).wait().get(), {a} + {b}))\n"


def _with(code: str) -> str:
    return f"with Pymonik(environment={{'pip': ['numpy']}}):\n    {code}"


CASES = {
    "01_partition": Surroundings(BASE, "print('made')\n", "made"),
    "02_hello": Surroundings("", "", "Hello World!"),
    "03_chain": Surroundings(BASE, "", "25"),
    "04_numpy_environment": Surroundings("", "", r"\[6 6 6\]"),
    "05_map_invoke": Surroundings("", "", r"\d+"),
    "06_split_handles": Surroundings("", "", r"\d+"),
    "07_anonymous_task": Surroundings(
        BASE + "pymonik = Pymonik()\npymonik.create()\n",
        "print(add_task.map_invoke([(1,2), (1,3)]).wait().get())\npymonik.close()\n",
        r"\[3, 4\]",
    ),
    "08_anonymous_numpy": Surroundings(
        NUMPY, _with("print(numpy_sum.invoke(np.array([1, 2, 3])).wait().get())\n"), "6"
    ),
    "09_vector_addition": Surroundings(
        NUMPY, _with(_same_sum("np.arange(3)", "np.ones(3)")), "True"
    ),
    "10_adaptive_vector_addition": Surroundings(
        NUMPY, _with(_same_sum("np.arange(2000)", "np.ones(2000)")), "True"
    ),
    "11_context": Surroundings(
        BASE, "with Pymonik():\n    print(my_task.invoke().wait().get())\n", "None"
    ),
    "12_put": Surroundings(
        BASE
        + "import pandas as pd\n"
        + "@task\ndef some_operation(df):\n    return int(df['a'].sum())\n"
        + "some_other_operation = some_operation\n",
        "    print(some_operation.invoke(df_handle).wait().get())\n",
        "6",
    ),
    "13_two_clusters": Surroundings(
        BASE + "@task\ndef my_task(a, b):\n    return a + b\narg1, arg2 = 1, 2\n",
        "print(my_task.invoke(arg1, arg2, pymonik=pymonik2).wait().get())\n"
        "pymonik1.close()\npymonik2.close()\n",
        "3",
    ),
}


def _program(name: str, change: Callable[[str], str], folder: Path) -> Path:
    (folder / "some_data.csv").write_text("a,b\n1,4\n2,5\n3,6\n")
    snippet = (SNIPPETS / f"{name}.py").read_text(encoding="utf-8")
    program = folder / f"{name}.py"
    case = CASES[name]
    program.write_text(case.before + change(snippet) + case.after, encoding="utf-8")
    return program


def _without_endpoint(snippet: str) -> str:
    return re.sub(r'endpoint="localhost:5001"(, )?|""""""', "", snippet)


def _with_endpoint(snippet: str) -> str:
    """With the connection options where the guide has a gap for them."""
    return snippet.replace('""""""', 'endpoint="localhost:5001"')


def test_every_snippet_has_its_surroundings() -> None:
    assert {path.stem for path in SNIPPETS.glob("*.py")} == set(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_snippet_runs_on_the_embedded_cluster(name: str, programs: Programs) -> None:
    program = _program(name, _without_endpoint, programs.folder)
    ended = programs.run(program)
    assert ended.returncode == 0, ended.errors
    assert re.fullmatch(CASES[name].prints, ended.output.strip())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_snippet_runs_on_a_cluster_at_port_5001(
    name: str, programs: Programs, cluster_on_5001: str
) -> None:
    program = _program(name, _with_endpoint, programs.folder)
    config = programs.folder / "cluster.yaml"
    config.write_text(json.dumps({"endpoint": f"http://{cluster_on_5001}"}))
    ended = programs.run(program, AKCONFIG=str(config))
    assert ended.returncode == 0, ended.errors
    assert re.fullmatch(CASES[name].prints, ended.output.strip())
