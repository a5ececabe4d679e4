"""Whatever stands in a field stays a text for the shell, wherever the field stands."""

from __future__ import annotations

import subprocess

import pytest

from pymonik.wire import command_lines

VALUES = [
    "plain",
    "",
    "two words",
    "it's",
    '"',
    "$HOME",
    "`id`",
    "$(id)",
    "; id",
    "\\",
    "a\nb",
    "-n",
]


def said(line: str, value: str) -> str:
    words = command_lines.filled([line], {"x": [value]}, is_line=True)
    done = subprocess.run(["/bin/sh", "-c", *words], capture_output=True, text=True, timeout=20)
    return done.stdout


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("line", "around"),
    [
        ("printf %s {x}", ("", "")),
        ("printf %s a{x}b", ("a", "b")),
        ("printf %s '{x}'", ("", "")),
        ("printf %s 'a {x} b'", ("a ", " b")),
        ('printf %s "{x}"', ("", "")),
        ('printf %s "a $0 \\" {x}"', ('a /bin/sh " ', "")),
        ("printf %s it\\'s{x}", ("it's", "")),
        ('printf %s "$(printf %s "it")"; :', ("it", None)),
        ("# it's\nprintf %s {x}", ("", "")),
        ("a=$((1 + (2)))${{b:-}}; printf %s {x}", ("", "")),
    ],
)
def test_a_value_is_a_text_in_plain_lines_and_in_quotes(
    line: str, around: tuple[str, str | None], value: str
) -> None:
    before, after = around
    expected = before if after is None else before + value + after
    assert said(line, value) == expected


@pytest.mark.parametrize(
    "line",
    [
        "echo `echo {x}`",
        "cat <<E\n{x}\nE",
        "echo $(({x} + 1))",
        "echo $((2 * (1 + {x})))",
        "echo ${{y:-{x}}}",
        'echo "$(echo {x})"',
        'echo "`echo {x}`"',
        "true # {x}",
        "echo \\{x}",
        "echo $'{x}'",
    ],
)
def test_where_quotes_do_not_help_only_harmless_values_stand(line: str) -> None:
    for value in ("$(id)", "it's", "a\nb", "`id`", "two words"):
        with pytest.raises(ValueError, match="cannot stand where quotes do not help"):
            command_lines.filled([line], {"x": [value]}, is_line=True)
    assert "12" in command_lines.filled([line], {"x": ["12"]}, is_line=True)[0]


def test_several_values_are_words_or_one_text_in_quotes() -> None:
    fields = {"x": ["a b", "c"]}
    assert command_lines.filled(["ls {x} '{x}'"], fields, is_line=True) == ["ls 'a b' c 'a b c'"]
