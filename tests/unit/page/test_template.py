"""The page as one document."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from pymonik.page import template

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "]]>&lt;&amp;",
    "line\u2028end\u2029",
    "{{script}} {{data}} {{title}}",
    '"\\',
)


def data_in(document: str) -> object:
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.S)
    assert block is not None
    return json.loads(block.group(1))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_users_say_stays_data(text: str) -> None:
    document = template.document(text, data={text: [text]})
    assert data_in(document) == {text: [text]}
    assert document.count("<script") == template.document("", data={}).count("<script")
    title = re.search(r"<title>(.*?)</title>", document, re.S)
    assert title is not None
    assert "<" not in title.group(1)


def test_a_lone_surrogate_does_not_keep_the_page_from_being_written() -> None:
    document = template.document("page", data={"text": "\ud800"})
    assert data_in(document.encode().decode()) == {"text": "?"}


def test_only_the_script_of_the_page_may_run_and_nothing_comes_from_elsewhere() -> None:
    document = template.document("page", data={})
    script = re.search(r"<script>(.*?)</script>", document, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in document
    assert "default-src 'none'" in document
    assert "connect-src 'none'" in document
    assert "connect-src 'self'" in template.document("page")
    assert "<script src" not in document
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", document))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # which names a kind of elements


def test_the_script_makes_no_markup_of_texts() -> None:
    script = re.search(r"<script>(.*?)</script>", template.document("page"), re.S)
    assert script is not None
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script.group(1)
    )


def test_a_page_that_is_written_again_is_read_again() -> None:
    assert '<meta http-equiv="refresh" content="5">' in template.document("p", refresh_s=5)
    assert 'http-equiv="refresh"' not in template.document("p")
