"""Who may talk to the live page."""

from __future__ import annotations

import pytest

from pymonik.page.gate import Gate

OURS = {"Host": "127.0.0.1:8001"}
HEADER = {"X-Pymonik": "1"}


@pytest.fixture
def gate() -> Gate:
    return Gate(8001, ["hub.example.org"])


@pytest.mark.parametrize(
    "headers",
    [
        OURS,
        {"Host": "localhost:8001"},
        {"Host": "[::1]:8001", "Origin": "http://[::1]:8001"},
        {"Host": "hub.example.org", "Origin": "https://hub.example.org"},
        {"Host": "Hub.example.org:443"},
        {**OURS, "Origin": "http://127.0.0.1:8001", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_the_page_itself_may_ask_and_act(gate: Gate, headers: dict[str, str]) -> None:
    assert gate.refusal(headers, acts=False) == ""
    assert gate.refusal({**headers, **HEADER}, acts=True) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example.com"},
        {"Host": "evil.example.com:8001"},  # a name that was bound to this machine
        {"Host": "127.0.0.1:9000"},
        {"Host": "127.0.0.1.evil.example.com:8001"},
        {**OURS, "Origin": "http://evil.example.com"},
        {**OURS, "Origin": "null"},
        {**OURS, "Origin": "http://127.0.0.1:9000"},
        {**OURS, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_others_may_neither_ask_nor_act(gate: Gate, headers: dict[str, str]) -> None:
    assert gate.refusal(headers, acts=False)
    assert gate.refusal({**headers, **HEADER}, acts=True)


def test_a_link_of_another_site_opens_the_page_and_does_nothing(gate: Gate) -> None:
    link = {**OURS, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert gate.refusal(link, acts=False) == ""
    assert gate.refusal({**link, **HEADER}, acts=True)


def test_a_form_of_another_site_cannot_set_the_header(gate: Gate) -> None:
    assert "X-Pymonik" in gate.refusal(OURS, acts=True)


def test_a_refused_host_is_told_what_to_write(gate: Gate) -> None:
    assert "hosts=['lab.example.org']" in gate.refusal({"Host": "lab.example.org"}, acts=False)


def test_the_token_stands_in_the_path_behind_any_prefix(gate: Gate) -> None:
    assert gate.below_token(f"/{gate.token}/") == ""
    assert gate.below_token(f"/user/ada/proxy/8001/{gate.token}/state") == "state"
    for path in ("/", "/state", "/x/state", f"/{gate.token[:-1]}!/state", f"/{gate.token}"):
        assert gate.below_token(path) is None
    assert Gate(8001).below_token(f"/{gate.token}/") is None
