"""Each call of a chunk has one owner, and the journal says what was done, however it was cut."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.content import objects
from pymonik.executor import claims as module
from pymonik.executor.claims import Claims, Offer
from pymonik.wire.call import MOST_CALLS, ItemMeta, ResultRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.wire.containers import Buffer

WAIT_S = 30.0
ROUNDS = 20


@pytest.fixture
def offer() -> Iterator[Offer]:
    one = Offer()
    yield one
    one.close()


@pytest.fixture
def claims(offer: Offer) -> Claims:
    return Claims(*offer.fds)


@pytest.fixture
def all_in_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has room in the part that is mapped."""
    monkeypatch.setattr(module, "_MAPPED_BYTES", 1)


def note(claims: Claims, *values: bytes, is_all: bool = True) -> None:
    claims.note(ItemMeta(len(values)), values, is_all=is_all)


def test_calls_are_claimed_until_none_is_left(offer: Offer, claims: Claims) -> None:
    offer.offer(3)
    assert [claims.claim() for _ in range(5)] == [True] * 3 + [False] * 2
    assert offer.take_back() == 0


def test_what_was_taken_back_is_not_claimed_and_can_be_given_back(
    offer: Offer, claims: Claims
) -> None:
    offer.offer(MOST_CALLS)
    assert claims.claim()
    left = offer.take_back()
    assert (left, claims.claim()) == (MOST_CALLS - 1, False)
    offer.give_back(left)
    assert sum(iter(claims.claim, False)) == left


def test_a_new_offer_forgets_the_one_before(offer: Offer, claims: Claims) -> None:
    offer.offer(10)
    note(claims, b"old")
    offer.offer(2)
    claims.begin()
    assert offer.finished() == []
    assert offer.take_back() == 2


CLAIM_ALL = """
import sys
from pymonik.executor.claims import Claims
claims = Claims(int(sys.argv[1]), int(sys.argv[2]))
print("up", flush=True)
for _ in sys.stdin:
    print(sum(iter(claims.claim, False)), flush=True)
"""


def test_two_processes_own_each_call_once_between_them(offer: Offer) -> None:
    arguments = [sys.executable, "-c", CLAIM_ALL, *map(str, offer.fds)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=offer.fds
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        for _ in range(ROUNDS):
            offer.offer(MOST_CALLS)
            other.stdin.write(b"go\n")
            other.stdin.flush()
            taken = offer.take_back()
            assert int(other.stdout.readline()) + taken + offer.take_back() == MOST_CALLS


def test_an_executor_whose_parent_is_gone_claims_nothing() -> None:
    offer = Offer()
    reader = os.dup(offer.fds[0])
    claims = Claims(reader, -1)
    offer.close()
    assert not claims.claim()
    os.close(reader)


def test_the_journal_says_what_each_call_gave(offer: Offer, claims: Claims) -> None:
    offer.offer(4)
    note(claims, b"stream", b"", b"buffer" * 1000)
    claims.note(ItemMeta(1, failed=True), [b"failure"])
    claims.note(ItemMeta(0, ref=ResultRef("new:1", 0)), [], is_all=False)
    found = offer.finished()
    assert [list(map(bytes, one.blobs)) for one in found] == [
        [b"stream", b"", b"buffer" * 1000], [b"failure"], [],
    ]  # fmt: skip
    assert [one.item.failed for one in found] == [False, True, False]
    assert [one.is_all for one in found] == [True, True, False]
    assert offer.count_finished() == 3


def test_arrays_are_noted_as_their_bytes(offer: Offer, claims: Claims) -> None:
    offer.offer(1)
    whole: Any = memoryview(bytearray(range(200)) * 8).cast("d")
    claims.note(ItemMeta(1), [whole])
    assert offer.finished()[0].blobs == [whole.tobytes()]


@pytest.mark.usefixtures("all_in_file")
def test_a_journal_that_was_cut_tells_of_what_is_whole(offer: Offer, claims: Claims) -> None:
    offer.offer(3)
    ends = []
    for value in (b"a" * 10, b"", b"c" * 3000):
        note(claims, value)
        ends.append(os.fstat(offer.fds[1]).st_size)
    for size in sorted({*ends, *range(0, ends[-1], 7)}, reverse=True):
        os.ftruncate(offer.fds[1], size)
        whole = sum(end <= size for end in ends)
        assert (len(offer.finished()), offer.count_finished()) == (whole, whole)


def test_a_record_is_there_from_its_last_step_on(offer: Offer, claims: Claims) -> None:
    journal = offer.fds[1]
    before = 0
    for whole, value in enumerate((b"a" * 10, b"", b"c" * 3000)):
        note(claims, value)
        first = os.pread(journal, 1, before)
        os.pwrite(journal, bytes(1), before)
        assert (len(offer.finished()), offer.count_finished()) == (whole, whole)
        os.pwrite(journal, first, before)
        assert (len(offer.finished()), offer.count_finished()) == (whole + 1, whole + 1)
        before += 13 + 8 + len(value)


@pytest.mark.parametrize("room", range(1, 120, 3))
def test_what_has_no_room_in_the_mapping_follows_in_the_file(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(module, "_MAPPED_BYTES", room)
    offer = Offer()
    claims = Claims(*offer.fds)
    for values in ([b"a", b"b" * 60, b"c"], [b"d"], [b"e" * 90, b"f"]):
        offer.offer(3)
        claims.begin()
        for value in values:
            note(claims, value)
        assert [one.blobs for one in offer.finished()] == [[value] for value in values]
        assert offer.count_finished() == len(values)
    offer.close()


def test_who_reads_the_journal_does_not_disturb_who_writes_it(offer: Offer, claims: Claims) -> None:
    offer.offer(300)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            counts.append(len(offer.finished()))

    counts: list[int] = []
    thread = threading.Thread(target=read)
    thread.start()
    for number in range(300):
        note(claims, number.to_bytes(4, "big") * 100)
    over.set()
    thread.join(WAIT_S)
    assert counts == sorted(counts)
    assert [bytes(one.blobs[0][:4]) for one in offer.finished()] == [
        number.to_bytes(4, "big") for number in range(300)
    ]


@pytest.mark.usefixtures("all_in_file")
@pytest.mark.parametrize("size", [3, 20_000])
def test_after_a_write_that_failed_nothing_is_noted_until_the_next_chunk(
    offer: Offer, claims: Claims, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    offer.offer(10)
    note(claims, b"first")
    write, room = os.write, [22]  # bytes on the disk

    def write_what_fits(fd: int, data: Buffer) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "no space left")
        return write(fd, data[: room.pop()])

    with monkeypatch.context() as full:
        full.setattr(os, "write", write_what_fits)
        full.setattr(os, "writev", lambda fd, parts: write_what_fits(fd, b"".join(parts)))
        note(claims, b"s" * size)
    note(claims, b"third")
    assert [one.blobs for one in offer.finished()] == [[b"first"]]
    offer.offer(1)
    claims.begin()
    note(claims, b"new")
    assert [one.blobs for one in offer.finished()] == [[b"new"]]


def test_a_journal_does_not_grow_without_bound(
    offer: Offer, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    offer.offer(10)
    for value in (b"a" * 600, b"b" * 600, b"c"):
        note(claims, value)
    assert [one.blobs for one in offer.finished()] == [[b"a" * 600]]


def test_a_value_of_more_than_four_gigabytes_can_be_noted(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Huge:
        nbytes = 5 << 30

    written: list[object] = []
    monkeypatch.setattr(module, "_MOST_BYTES", 1 << 40)
    monkeypatch.setattr(module, "memoryview", lambda _: Huge, raising=False)
    monkeypatch.setattr(objects, "write", lambda _, segments: written.append(segments))
    note(claims, b"stands for it")
    assert written


def test_closing_frees_what_was_opened() -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    offer = Offer()
    offer.offer(5)
    offer.close()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_plain_values_and_others_stand_in_the_journal_in_their_order(
    offer: Offer, claims: Claims
) -> None:
    claims.note_value(b"one")
    claims.note(ItemMeta(2), [b"two", b"parts"])
    claims.note_value(b"")
    assert [(one.item, one.blobs, one.is_all) for one in offer.finished()] == [
        (ItemMeta(1), [b"one"], True),
        (ItemMeta(2), [b"two", b"parts"], True),
        (ItemMeta(1), [b""], True),
    ]


def test_plain_values_go_on_in_the_file_when_the_mapped_part_is_full(
    offer: Offer, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAPPED_BYTES", 100)
    values = [bytes([number]) * 10 for number in range(9)]
    offer.offer(len(values))
    for value in values:
        claims.note_value(value)
    assert [blob for one in offer.finished() for blob in one.blobs] == values


def test_no_plain_value_follows_one_that_the_journal_has_no_room_for(
    offer: Offer, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 20)
    claims.note_value(b"one")
    claims.note(ItemMeta(1), [b"too large for it"])
    claims.note_value(b"two")  # would be taken for the value of the call before
    assert [one.blobs for one in offer.finished()] == [[b"one"]]
