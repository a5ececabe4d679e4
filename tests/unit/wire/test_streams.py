"""Which part of a text went to which stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pymonik.executor.output_files import ERR, OUT
from pymonik.wire import streams

pieces = st.lists(st.tuples(st.sampled_from([OUT, ERR]), st.binary(max_size=5)), max_size=8)


def told(text: bytes, turns: tuple[int, ...]) -> list[tuple[int, bytes]]:
    found, position = [], 0
    for place, length in enumerate(turns or (len(text),)):
        if length:
            found.append((place % 2, text[position : position + length]))
        position += length
    return found


@given(pieces, st.integers(0, 45), st.integers(0, 45))
def test_a_slice_of_a_text_knows_its_streams(
    given_: list[tuple[int, bytes]], one: int, other: int
) -> None:
    text = b"".join(data for _, data in given_)
    turns = streams.turns_of((stream, len(data)) for stream, data in given_)
    assert told(text, turns) == streams.joined(given_)
    start, stop = sorted((one, other))
    of_each = [(stream, bytes([byte])) for stream, data in given_ for byte in data]
    part = streams.cut(turns, start, stop) if turns else ()
    assert told(text[start:stop], part) == streams.joined(of_each[start:stop])


def test_characters_that_streams_cut_stay_whole() -> None:
    euro = "€".encode()
    said = [(OUT, euro[:1]), (OUT, euro[1:]), (ERR, b"no\xff\n"), (OUT, euro)]
    text, turns = streams.as_text(said)
    assert streams.apart(text, turns) == [
        ("stdout", "€"), ("stderr", "no\\xff\n"), ("stdout", "€")
    ]  # fmt: skip
    assert streams.apart("all out", ()) == [("stdout", "all out")]
    assert streams.apart("", ()) == []


@given(pieces, st.integers(0, 45))
def test_the_last_bytes_are_kept(given_: list[tuple[int, bytes]], most: int) -> None:
    text = b"".join(data for _, data in given_)
    kept = streams.last_of(given_, most)
    assert b"".join(data for _, data in kept) == (text[-most:] if most else b"")
