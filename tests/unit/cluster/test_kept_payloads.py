"""Payloads of failed tasks stay, as long as they are few."""

from __future__ import annotations

from pymonik.cluster.state.kept_payloads import MOST_BYTES, MOST_PAYLOADS, KeptPayloads


def test_kept_payloads_are_bounded():
    kept = KeptPayloads()
    assert [kept.add(str(n), 1) for n in range(MOST_PAYLOADS)] == [[]] * MOST_PAYLOADS
    assert kept.add("one more", 1) == ["0"]
    assert kept.add("large", MOST_BYTES - 10) == [str(n) for n in range(1, MOST_PAYLOADS - 9)]
    assert kept.add("too large", MOST_BYTES + 1)[-1] == "too large"
    kept.take("unknown")
