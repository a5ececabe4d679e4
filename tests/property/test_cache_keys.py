"""Whatever a call can tell apart has another key, and nothing else has."""

from __future__ import annotations

import importlib
import itertools
import pickle
import struct
import sys
import textwrap
from abc import ABC
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pymonik.cache.canonical import digest_of
from pymonik.cache.reached import reached
from pymonik.cache.walk import CannotDigestError
from pymonik.code.bundle import Bundler

if TYPE_CHECKING:
    from pathlib import Path

# -- values --------------------------------------------------------------------------------------


@dataclass
class Point:
    x: Any
    y: Any = 0


class Names(list):  # type: ignore[type-arg]
    """A subclass, with attributes of its own."""


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), 1j, complex(0.0, -0.0)])
    | st.sampled_from(["", "a", "1", "\ud800", "ä"])
    | st.sampled_from([b"", b"a", b"1"])
)
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.frozensets(hashable, max_size=3)
        | st.builds(Point, inner, inner)
        | st.lists(inner, max_size=2).map(Names)
        | st.lists(inner, max_size=2).map(deque)
    ),
    max_leaves=6,
)


def is_same(one: Any, other: Any) -> bool:
    """Whether no task could tell two values apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, complex):
        return is_same(one.real, other.real) and is_same(one.imag, other.imag)
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and any(
            all(map(is_same, one, order)) for order in itertools.permutations(other)
        )
    if isinstance(one, dict):
        return is_same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Point):
        return is_same((one.x, one.y), (other.x, other.y))
    return bool(one == other)


@settings(max_examples=400)
@given(values, values)
@example(1, True)
@example(1, 1.0)
@example(0.0, -0.0)
@example({1: "a", 2: "b"}, {2: "b", 1: "a"})
@example([1, [2]], [[1], 2])
@example(("a", "b"), ("ab", ""))
@example([[], []], [[[]]])
@example({"a", "b", "c"}, {"c", "b", "a"})
def test_values_have_the_same_digest_exactly_if_they_are_the_same(one, other):
    assert (digest_of(one) == digest_of(other)) is is_same(one, other)


@given(values)
def test_a_copy_has_the_same_digest(value):
    assert digest_of(pickle.loads(pickle.dumps(value))) == digest_of(value)


shapes = st.sampled_from([(6,), (2, 3), (3, 2), (1, 6), (6, 1), (2, 1, 3), (0,), (0, 3)])
arrays = st.builds(
    lambda dtype, shape, first: (
        (np.arange(int(np.prod(shape))) + first).astype(dtype).reshape(shape)
    ),
    st.sampled_from(["i4", ">i4", "i8", "f4", "f8", "u1", "?", "c8", "M8[s]", "M8[D]", "U2"]),
    shapes,
    st.integers(0, 1),
)


@given(arrays, arrays)
def test_arrays_are_the_same_with_their_kind_shape_and_content(one, other):
    same = one.dtype == other.dtype and one.shape == other.shape and bool(np.all(one == other))
    assert (digest_of(one) == digest_of(other)) is same


@given(arrays)
def test_an_array_is_known_as_it_arrives(array):
    spread = np.empty((*array.shape, 2), array.dtype)
    spread[..., 0] = array
    view = spread[..., 0]  # the same values with gaps between them
    assert digest_of(view) == digest_of(array)
    fortran = np.asfortranarray(array)
    both_orders = array.flags.c_contiguous and array.flags.f_contiguous
    assert (digest_of(fortran) == digest_of(array)) is both_orders


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float64(1), np.float32(1)),
        (np.float64(1), 1.0),
        (np.array([1, "a"], object), np.array([True, "a"], object)),
        (Names([1]), [1]),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), defaultdict(lambda: 1, a=1)),
        (Point(1), Point(2)),
        (bytearray(b"a"), b"a"),
        (range(3), range(4)),
        (lambda: 1, lambda: 2),
        (Point, Names),
    ],
)
def test_these_differ(one, other):
    assert digest_of(one) != digest_of(other)


def test_classes_that_were_registered_count():
    def shape(*, registers: bool) -> type:
        class Shape(ABC):  # noqa: B024 - it says what is one, not what that does
            pass

        class Square:
            pass

        if registers:
            Shape.register(Square)
        return Shape

    assert digest_of(shape(registers=True)) != digest_of(shape(registers=False))
    assert digest_of(shape(registers=True)) == digest_of(shape(registers=True))


def test_attributes_of_a_subclass_count():
    one, other = Names([1]), Names([1])
    other.label = "b"  # type: ignore[attr-defined]
    assert digest_of(one) != digest_of(other)


def test_an_object_that_is_reached_twice_is_not_two_equal_ones():
    shared = [1]
    assert digest_of([shared, shared]) != digest_of([[1], [1]])


@pytest.mark.parametrize("value", [(one for one in [1]), sys.stdout, sys._getframe()])
def test_what_cannot_travel_has_no_digest(value):
    with pytest.raises(CannotDigestError):
        digest_of([value])


def test_a_value_that_contains_itself_has_a_digest():
    value: list[Any] = [1]
    value.append(value)
    assert digest_of(value) != digest_of([1, [1]])


# -- functions of a script -----------------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """A program with one thing of each kind that a task can reach; `looks` changes nothing."""

    helper: int = 1
    constant: object = 1
    default: object = 1
    keyword: int = 1
    closure: object = 1
    variable: object = 1
    attribute: int = 1
    method: int = 1
    decorator: int = 1
    inner: int = 1
    of_class: int = 1
    looks: int = field(default=0, compare=False)

    def text(self) -> str:
        """The program."""
        gap = "\n" * self.looks + f"# {self.looks}\n" * self.looks
        return textwrap.dedent(
            f"""
            import functools
            {"#" * self.looks}
            TABLE = {{"a": [{self.variable!r}]}}  # {self.looks}

            def decorated(function):
                @functools.wraps(function)
                def run(*args):
                    return function(*args) + {self.decorator}
                return run

            class Base:
                size = {self.of_class}

            class Model(Base):
                factor = {self.attribute}
                def run(self, n):
                    # {"-" * self.looks}
                    return n * self.factor + {self.method}

            def helper(n):
                return n + {self.helper}

            @decorated
            def wrapped(n):
                return n

            def make(closed):
                def closing(n):
                    return (n, closed)
                return closing

            closing = make({self.closure!r})

            def work(n, by={self.default!r}, *, key={self.keyword}):

                def inside(n):
                    return n + {self.inner}

                found = [inside(one) for one in (n, {self.constant!r}) if one in {{"a", "b", n}}]
                return helper(wrapped(n)), Model().run(n), closing(n), TABLE, found, by, key
            """.replace("GAP", gap)
        ).replace("def helper", f"{gap}def helper")

    def digest(self) -> bytes:
        """Of its task."""
        names: dict[str, Any] = {"__name__": "made_by_hand"}
        exec(compile(self.text(), f"<{self.looks}>", "exec"), names)
        return digest_of(names["work"])


numbers = st.integers(1, 2)
constants = st.sampled_from([1, True, 1.0, "a", b"a", (1,), (1.0,), None, 0.0, -0.0])
programs = st.builds(
    Program,
    **{
        one.name: constants if one.type == "object" else numbers
        for one in fields(Program)
        if one.name != "looks"
    },
    looks=st.integers(0, 3),
)


def differ(one: Program, other: Program) -> bool:
    return any(
        not is_same(getattr(one, name), getattr(other, name))
        for name in (each.name for each in fields(Program) if each.name != "looks")
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(programs, programs)
def test_functions_have_the_same_digest_exactly_if_their_code_is_the_same(one, other):
    assert (one.digest() != other.digest()) is differ(one, other)


@pytest.mark.parametrize("name", [one.name for one in fields(Program) if one.name != "looks"])
def test_each_edit_is_seen_and_its_looks_are_not(name):
    program = Program()
    assert replace(program, **{name: 2}).digest() != program.digest()
    assert replace(program, looks=3).digest() == program.digest()


# -- modules -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """A module that imports a package, which has data; `unused` and `looks` change nothing."""

    function: int = 1
    body: int = 1
    imported: int = 1
    below: int = 1
    data: int = 1
    parent: int = 1
    unused: int = field(default=1, compare=False)
    looks: int = field(default=0, compare=False)

    def write(self, folder: Path, name: str) -> None:
        """The files."""
        gap = f"# {self.looks}\n" * self.looks
        package = folder / f"{name}_package"
        package.mkdir()
        (folder / f"{name}.py").write_text(
            f"{gap}from {name}_package.inner import below\nTABLE = [{self.body}]\n"
            f"{gap}def function(n):\n    return below(n) + {self.function}\n"
        )
        (package / "__init__.py").write_text(f"PARENT = {self.parent}\n{gap}")
        (package / "inner.py").write_text(
            f"{gap}def below(n):\n    from .late import later\n    return later(n) + {self.below}\n"
        )
        (package / "late.py").write_text(f"def later(n):\n{gap}    return n + {self.imported}\n")
        (package / "unused.py").write_text(f"def nothing():\n    return {self.unused}\n")
        (package / "table.csv").write_text(f"a,{self.data}\n")


projects = st.builds(
    Project,
    **{one.name: st.integers(0, 2) if one.name == "looks" else numbers for one in fields(Project)},
)
_numbers = itertools.count()


def digest_of_project(project: Project, folder: Path) -> bytes:
    """Of a task in its module, whose name does not count here."""
    here = folder / str(next(_numbers))
    here.mkdir()
    project.write(here, "cached_project")
    sys.path.insert(0, str(here))
    importlib.invalidate_caches()
    try:
        modules = frozenset({"cached_project"})
        bundle = Bundler().bundle(modules)
        assert bundle is not None
        return reached(bundle, modules, is_dynamic=False).digest
    finally:
        sys.path.remove(str(here))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(one=projects, other=projects)
def test_modules_have_the_same_digest_exactly_if_what_they_do_is_the_same(one, other, tmp_path):
    folder = tmp_path / str(next(_numbers))
    folder.mkdir()
    same = digest_of_project(one, folder) == digest_of_project(other, folder)
    assert same is (one == other)
