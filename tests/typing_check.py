"""What type checkers see; checked by mypy, not run."""

from typing_extensions import assert_type

from pymonik import MultiResultHandle, ResultHandle, task


@task
def add(a: int, b: int) -> int:
    return a + b


@task(priority=2)
def text(a: int) -> str:
    return str(a)


assert_type(add.invoke(1, 2), ResultHandle[int])
assert_type(add(1, 2), int)
assert_type(add.invoke(1, 2).get(), int)
assert_type(text.map_invoke([1]), MultiResultHandle[str])
assert_type(text.map_invoke([1]).get(), list[str])
assert_type(text.map_invoke([1])[0].wait(), ResultHandle[str])
