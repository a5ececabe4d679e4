"""A module that is not at the worker: the error is Python's own, and says what to write."""

import importlib

from pymonik import Pymonik, task


@task
def by_name(name: str) -> int:
    return importlib.import_module(name).VALUE


def noted(error: BaseException) -> str:
    return "\n".join(error.__notes__) if hasattr(error, "__notes__") else str(error.__cause__)


with Pymonik():
    for name, advice in {
        "left_" + "behind": "Pymonik(include=['left_behind'])",
        "no_such_" + "module": "not installed here either",
    }.items():
        try:
            by_name.invoke(name).get(timeout=60)
        except ModuleNotFoundError as error:
            assert error.name == name
            assert advice in noted(error), noted(error)
        else:
            raise AssertionError(name)
        errors = [handle.exception(timeout=60) for handle in by_name.map_invoke([name] * 3)]
        assert all(advice in noted(error) for error in errors)

with Pymonik(include=["left_behind"]):
    assert by_name.invoke("left_behind").get(timeout=60) == 1
