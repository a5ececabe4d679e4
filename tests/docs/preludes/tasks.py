import pathlib

from pymonik import Pymonik, get_context, task


@task
def evaluate(line):
    return len(line)


def read_lines(path):
    return iter(pathlib.Path(path).read_text().splitlines())


pathlib.Path("lines").write_text("a\nbb\n")
file, total = "lines", 0
pk = Pymonik().create()
