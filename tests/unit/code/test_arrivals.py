"""Definitions are made in whatever order they arrive."""

from __future__ import annotations

import itertools
import pickle

import pytest

from pymonik.code import arrivals, gathering, main_module
from pymonik.code.arrivals import Together, key_of_name
from pymonik.code.pickler import Need, Pickler
from pymonik.wire.definitions import Definition


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_shares_objects_is_set_in_any_order(order: tuple[int, ...]) -> None:
    program = f"program of {order}"
    keys = [key_of_name(program, name) for name in ("first", "second", "third")]
    shared = ["an object"]
    stream = pickle.dumps(Together(dict.fromkeys(keys, shared)))
    definitions = [
        Definition(keys[0], b"1", stream, (keys[1], keys[2])),
        Definition(keys[1], b"2", b"", (keys[0],)),
        Definition(keys[2], b"3", b"", (keys[0],)),
    ]
    arrivals.accept([definitions[place] for place in order])
    names = main_module.names_of(program)
    assert names["first"] == shared
    assert names["first"] is names["second"] is names["third"]


def test_what_shares_objects_is_passed_on_with_all_that_the_others_need() -> None:
    program = "program that is passed on"
    first, second, helper = (key_of_name(program, name) for name in ("first", "second", "helper"))
    shared = pickle.dumps(Together({first: ["an object"], second: ["an object"]}))
    arrivals.accept(
        [
            Definition(first, b"1", shared, (helper,)),
            Definition(second, b"2", b"", (first,)),
            Definition(helper, b"3", pickle.dumps("of both")),
        ]
    )
    pickler = Pickler()
    pickler.needs[second] = Need(main_module.names_of(program), "second")
    assert {one.key for one in gathering.gather(pickler)} == {first, second, helper}
