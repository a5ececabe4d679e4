"""Texts of the page can be read by those who see little contrast, on light and on dark."""

from __future__ import annotations

import re

import pytest

from pymonik.page import template

TEXTS = ("ink", "soft", "faint", "ok-ink", "failed-ink", "running-ink", "cancelled-ink")
GROUNDS = ("paper", "card", "shade")
LEAST = 4.5  # as WCAG 2 asks for texts


def colours(*, dark: bool) -> dict[str, str]:
    light, night = re.findall(r":root \{(.*?)\}", template._file("page.css"), re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", night))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stands_out(text: str, ground: str, *, dark: bool) -> None:
    found = colours(dark=dark)
    assert contrast(found[text], found[ground]) >= LEAST


@pytest.mark.parametrize("dark", [False, True])
def test_what_failed_is_told_from_what_is_ok_without_colours(*, dark: bool) -> None:
    found = colours(dark=dark)
    assert contrast(found["failed"], found["card"]) >= 3
    assert contrast(found["failed"], found["ok"]) >= (1.05 if dark else 1.5)
