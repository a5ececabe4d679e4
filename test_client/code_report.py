"""Report on a folder of Python code, measured in parallel: sizes, and where it is complex.

    python test_client/code_report.py                    # the standard library of this Python
    python test_client/code_report.py ~/my-project       # your own code
    python test_client/code_report.py --endpoint host:5001

Writes ``report/code.md`` and ``report/code.svg``, and prints the former. Sources travel as
arguments, so the workers need not see the folder.
"""

from __future__ import annotations

import argparse
import ast
import os
import socket
import sysconfig
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from code_picture import picture

from pymonik import MultiResultHandle, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_BYTES = 400_000  # of source in one task: about half a second of work
SKIPPED = {"site-packages", "dist-packages", "__pycache__", "node_modules", ".venv", ".git"}
BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert,
    ast.comprehension, ast.match_case,
)  # fmt: skip
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Function:
    """A function of a file; complexity is the number of ways through it (cyclomatic)."""

    path: str
    name: str
    line: int
    lines: int
    complexity: int


@dataclass(frozen=True)
class File:
    """A file; ``code`` counts the lines that are neither blank nor only a comment."""

    path: str
    lines: int
    code: int
    classes: int
    functions: list[Function]
    problem: str = ""

    @property
    def complexity(self) -> int:
        """That of its most complex function."""
        return max((function.complexity for function in self.functions), default=1)


@dataclass(frozen=True)
class Batch:
    """What one task measured, where, and in how many seconds."""

    files: list[File]
    worker: str
    seconds: float


@dataclass(frozen=True)
class Summary:
    """All batches together."""

    files: list[File]
    workers: int
    seconds: float

    @property
    def functions(self) -> list[Function]:
        """Of all files, the most complex ones first."""
        found = [function for file in self.files for function in file.functions]
        return sorted(found, key=lambda one: (-one.complexity, one.path, one.line))

    @property
    def packages(self) -> list[tuple[str, int]]:
        """Lines of code by first folder (or file, where there is none), the largest first."""
        counts: Counter[str] = Counter()
        for file in self.files:
            counts[file.path.split("/")[0].removesuffix(".py")] += file.code
        return counts.most_common()


@task
def measure(sources: list[tuple[str, bytes]]) -> Batch:
    """Measure files given as (path, source)."""
    begin = time.perf_counter()
    files = [measure_file(path, source) for path, source in sources]
    worker = f"{socket.gethostname()}:{os.getpid()}"
    return Batch(files, worker, time.perf_counter() - begin)


@task
def summarise(batches: list[Batch]) -> Summary:
    """Put the batches together; runs where they are, once all of them are there."""
    files = sorted((file for batch in batches for file in batch.files), key=lambda f: f.path)
    workers = {batch.worker for batch in batches}
    return Summary(files, len(workers), sum(batch.seconds for batch in batches))


def measure_file(path: str, source: bytes) -> File:
    """Count and parse; a file that this Python cannot parse is counted and says why."""
    stripped = [line.strip() for line in source.splitlines()]
    code = sum(1 for line in stripped if line and not line.startswith(b"#"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape in the file
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        return File(path, len(stripped), code, 0, [], f"{type(error).__name__}: {error}")
    classes = sum(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    return File(path, len(stripped), code, classes, list(functions_of(path, tree)))


def functions_of(path: str, tree: ast.AST) -> Iterator[Function]:
    """Every function below ``tree`` with its qualified name, nested ones too."""
    todo: list[tuple[ast.AST, str]] = [(tree, "")]
    while todo:
        node, prefix = todo.pop()
        for child in ast.iter_child_nodes(node):
            name = f"{prefix}{child.name}" if isinstance(child, SCOPES) else prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (child.end_lineno or child.lineno) - child.lineno + 1
                yield Function(path, name, child.lineno, lines, complexity_of(child))
            todo.append((child, f"{name}." if isinstance(child, SCOPES) else prefix))


def complexity_of(function: ast.AST) -> int:
    """One, and one more for each branch; what is defined inside counts for itself."""
    total, todo = 1, list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        if isinstance(node, SCOPES):
            continue
        total += isinstance(node, BRANCHES)
        if isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        todo.extend(ast.iter_child_nodes(node))
    return total


def batches_of(folder: Path) -> Iterator[tuple[list[tuple[str, bytes]]]]:
    """Arguments for `measure`: the files below ``folder``, `BATCH_BYTES` of source together."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if SKIPPED.intersection(name.parts) or not path.is_file():
            continue
        batch.append((name.as_posix(), path.read_bytes()))
        size += len(batch[-1][1])
        if size >= BATCH_BYTES:
            yield (batch,)
            batch, size = [], 0
    if batch:
        yield (batch,)


def text_of(summary: Summary, title: str, took: str) -> str:
    """The report as Markdown that is also readable in a terminal."""
    files, functions = summary.files, summary.functions
    totals = [
        ("files", len(files)),
        ("lines", sum(file.lines for file in files)),
        ("lines of code", sum(file.code for file in files)),
        ("classes", sum(file.classes for file in files)),
        ("functions", len(functions)),
    ]
    mean = sum(one.complexity for one in functions) / max(len(functions), 1)
    complex_ones = [
        (f.complexity, f.lines, shortened(f.name, 40), f"{shortened(f.path, 38)}:{f.line}")
        for f in functions[:12]
    ]
    largest = sorted(files, key=lambda file: -file.code)[:12]
    sizes = [(f.code, len(f.functions), f.complexity, shortened(f.path, 60)) for f in largest]
    problems = [(shortened(f.path, 50), shortened(f.problem, 60)) for f in files if f.problem]
    parts = [
        f"# {title}\n\n{took}\n",
        table(("what", "number"), totals),
        f"Mean complexity of a function: {mean:.2f}\n",
        "## Most complex functions\n",
        table(("complexity", "lines", "function", "where"), complex_ones),
        "## Largest files\n",
        table(("lines of code", "functions", "highest complexity", "file"), sizes),
    ]
    if problems:
        parts += [f"## Not parsed by this Python ({len(problems)})\n"]
        parts += [table(("file", "why"), problems[:12])]
    return "\n".join(parts)


def table(heads: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Columns of equal width; numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    right = [bool(rows) and isinstance(cell, int) for cell in (rows[0] if rows else heads)]
    widths = [max(len(row[i]) for row in [list(heads), *texts]) for i in range(len(heads))]

    def line(cells: list[str]) -> str:
        fitted = zip(cells, widths, right, strict=True)
        return "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in fitted) + " |"

    rule = ["-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(list(heads)), line(rule), *map(line, texts)]) + "\n"


def shortened(text: str, width: int) -> str:
    """The end of ``text``, which says more than its beginning."""
    return text if len(text) <= width else "…" + text[1 - width :]


def main() -> None:
    """Measure, then write and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="default: the standard library")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    parser.add_argument("--output", type=Path, default=Path("report"), help="default: report/")
    options = parser.parse_args()
    folder = (options.folder or Path(sysconfig.get_path("stdlib"))).expanduser().resolve()
    title = f"Python code in {folder}" if options.folder else "The standard library of Python"

    begin = time.perf_counter()
    with Pymonik(endpoint=options.endpoint):
        measured: MultiResultHandle[Batch] = measure.map_invoke(list(batches_of(folder)))
        if not measured:
            parser.error(f"no Python files in {folder}")
        summary = summarise.invoke(measured).wait().get()
        seconds = time.perf_counter() - begin

    took = (
        f"{len(measured)} tasks, {summary.seconds:.1f} s of measuring, took {seconds:.1f} s "
        f"on {summary.workers} workers."
    )
    text = text_of(summary, title, took)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "code.md").write_text(text, encoding="utf-8")
    points = [(file.code, file.complexity, file.path) for file in summary.files if file.functions]
    drawing = picture(title, took, summary.packages, points)
    (options.output / "code.svg").write_text(drawing, encoding="utf-8")
    print(text)
    print(f"Written: {options.output / 'code.md'} and {options.output / 'code.svg'}")


if __name__ == "__main__":
    main()
