"""Code of modules runs on another Python than the program's; code by value is refused."""

import sys
from pathlib import Path

from shapes import Square, TooLargeError, area, function_made_there, parent, python, total

from pymonik import LocalCluster, Pymonik, SerializationError, task


@task
def of_the_script() -> int:
    return 1


@task(max_retries=3, retry_on=Exception)
def of_the_script_with_retries(number: int) -> int:
    return number


def call(function: object) -> str:
    try:
        function()
    except SerializationError as error:
        return str(error)
    raise AssertionError("nothing was refused")


worker = [sys.argv[1], "-m", "pymonik.worker"]
with LocalCluster(workers=1, worker=worker) as cluster, Pymonik(cluster):
    here = sys.version_info[:2]
    there = python.invoke().get(timeout=60)
    assert there != here
    assert area.invoke(Square(3)).get(timeout=60) == 9
    assert area.map_invoke([Square(n) for n in range(50)]).get(timeout=60)[7] == 49
    assert parent.invoke(Path("a/b")).get(timeout=60) == Path("a")
    assert total.invoke(5).get(timeout=60) == 25
    error = area.invoke(Square(300)).exception(timeout=60)
    assert type(error) is TooLargeError, error
    assert error.args == (Square(300),)

    texts = [
        call(lambda: of_the_script.invoke().get(timeout=60)),
        call(lambda: of_the_script_with_retries.invoke(2).get(timeout=60)),
        call(lambda: area.invoke(lambda: 3).get(timeout=60)),
        call(lambda: of_the_script_with_retries.map_invoke(range(9)).get(timeout=60)),
        call(lambda: function_made_there.invoke().get(timeout=60)),
    ]
    for text in texts:
        assert "Python {}.{}".format(*here) in text, text
        assert "Python {}.{}".format(*there) in text, text
        assert "partition=" in text, text
        assert "module" in text, text
    assert area.invoke(Square(4)).get(timeout=60) == 16
    # What the workers have is known by now: such calls are refused where they are made.
    assert call(of_the_script.invoke) == texts[0]
    assert call(lambda: area.invoke(lambda: 3)) == texts[2]
    assert call(lambda: of_the_script_with_retries.map_invoke(range(9))) == texts[3]
