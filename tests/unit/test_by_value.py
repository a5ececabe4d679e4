"""Code by value: made once, set again only when it changed, and never where it was defined."""

from __future__ import annotations

import sys
import threading
import uuid
from typing import TYPE_CHECKING

import pytest

from pymonik import SerializationError, Task
from pymonik.code import arrivals, codec, main_module, packed_function
from pymonik.code.gathering import gather
from pymonik.code.pickler import Need, Pickler
from pymonik.wire.definitions import Definition, split_definitions, with_definitions

if TYPE_CHECKING:
    from collections.abc import Callable


def local_class() -> type:
    class Local:
        count = 0

        def double(self, n: int) -> int:
            return 2 * n

    return Local


def elsewhere(data: bytes, *, again: str = "") -> tuple[list[Definition], bytes]:
    """The same bytes as another process would have sent them, with classes of its own."""
    definitions, stream = split_definitions(data)
    stream = bytes(stream)
    for one in definitions:
        old = one.key[1:].encode()
        new = (again or uuid.uuid4().hex).encode()
        stream = stream.replace(old, new)
        definitions = [
            Definition(
                other.key.replace(old.decode(), new.decode()),
                other.digest,
                other.stream.replace(old, new),
            )
            for other in definitions
        ]
    return definitions, stream


def test_a_class_that_was_defined_here_is_not_set_by_what_arrives() -> None:
    cls = local_class()
    data = codec.dumps(cls())
    cls.count = 5  # type: ignore[attr-defined]
    method = vars(cls)["double"]
    assert type(codec.loads(data)) is cls
    assert cls.count == 5 and vars(cls)["double"] is method  # noqa: PT018


def test_a_class_that_arrives_is_made_once_and_set_again_when_it_changed() -> None:
    cls = local_class()
    uid = uuid.uuid4().hex
    before = with_definitions(*elsewhere(codec.dumps(cls()), again=uid))
    made = type(codec.loads(before))
    assert made is not cls
    assert made().double(2) == 4
    made.count = 7  # what a task keeps on its class
    assert type(codec.loads(before)) is made
    assert made.count == 7
    cls.extra = 1  # type: ignore[attr-defined]
    after = with_definitions(*elsewhere(codec.dumps(cls()), again=uid))
    assert type(codec.loads(after)) is made
    assert (made.count, made.extra) == (0, 1)


def test_what_arrived_is_passed_on_as_it_came() -> None:
    definitions, stream = elsewhere(codec.dumps(local_class()()))
    value = codec.loads(with_definitions(definitions, stream))
    type(value).count = 9
    passed_on, _ = split_definitions(codec.dumps(value))
    assert passed_on == definitions


def test_names_of_another_program_have_a_module_of_their_own() -> None:
    stream = codec.dumps([1])
    key = arrivals.key_of_name("program", "TABLE")
    arrivals.accept([Definition(key, b"1", stream)])
    names = main_module.names_of("program")
    assert names["TABLE"] == [1]
    names["TABLE"].append(2)
    arrivals.accept([Definition(key, b"1", stream)])
    assert names["TABLE"] == [1, 2]
    arrivals.accept([Definition(key, b"2", stream)])
    assert names["TABLE"] == [1]
    assert "TABLE" not in globals()


def test_a_lock_is_made_anew_in_code_and_refused_in_data() -> None:
    lock = threading.Lock()
    task = Task(lambda: lock.acquire(blocking=False))
    with lock:
        assert packed_function.load_function(task.packed().container)() is True
    with pytest.raises(SerializationError, match=r"args\[0\]\['a'\] \(lock\)"):
        codec.pack_call(({"a": lock},), {})


class Large:
    """Says that it is large, and counts how often it is pickled."""

    nbytes = 1 << 20
    pickled = 0

    def __reduce__(self) -> tuple[type[Large], tuple[()]]:
        Large.pickled += 1
        return Large, ()


@pytest.mark.parametrize("hold", [lambda one: one, lambda one: {"a": [one]}])
def test_what_is_large_is_not_pickled_only_to_be_left_out(
    hold: Callable[[Large], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Large, "pickled", 0)
    names = sys.modules["__main__"].__dict__
    monkeypatch.setitem(names, "LARGE", hold(Large()))
    key = arrivals.key_of_name(str(main_module.main_id_of(names)), "LARGE")
    pickler = Pickler()
    pickler.needs[key] = Need(names, "LARGE", is_optional=True)
    assert gather(pickler) == []
    assert Large.pickled == 0
    pickler.needs[key] = Need(names, "LARGE")
    assert [one.key for one in gather(pickler)] == [key]
    assert Large.pickled == 1
