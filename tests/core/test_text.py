"""What a worker writes cannot act on the reader's terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core.text import clean, clean_line, listed


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\dcs", "dcs"),
        ("\x9b31mc1", "c1"),
        ("\x1b]never ended\nnext", "never ended\nnext"),
        ("\x1b(Bcharset", "charset"),
        ("over\rwritten", "over\nwritten"),
        ("dos\r\nline", "dos\nline"),
        ("back\x08space\x7f\x00", "backspace"),
        ("a\u202ecod.exe", "acod.exe"),
        ("\u2066iso\u2069lated", "isolated"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag\U000e0041s", "tags"),
        ("half \ud800 one", "half \ufffd one"),
        ("famil\u200dy", "famil\u200dy"),
        ("line\u2028sep", "line\nsep"),
        ("Grüße 漢字 🙂", "Grüße 漢字 🙂"),
    ],
)
def test_only_what_can_be_read_is_left(given_text: str, shown: str) -> None:
    assert clean(given_text) == shown


@given(st.text(alphabet=st.sampled_from("\x1b[]P\\m0;\x07\x9b\x9d\r\n a\u202e") | st.characters()))
def test_nothing_is_left_to_clean(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    bad = [c for c in cleaned if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]
    assert bad == []


@pytest.mark.parametrize("start", ["\x1b]", "\x9d", "\x1b[", "\x9b", "\x1bP"])
def test_unfinished_sequences_are_cleaned_in_linear_time(start: str) -> None:
    assert clean(start * 200_000) == ""


def test_list_of_names_ends_with_how_many_there_are_besides() -> None:
    assert [listed(("a", "b", "c"), most) for most in (2, 3)] == ["a, b and 1 more", "a, b, c"]
    assert listed((), 3) == ""


def test_line_is_one_line_and_bounded() -> None:
    assert clean_line(" a\n\x1b[1mb\t c ") == "a b c"
    assert clean_line("x" * 300, 10) == "x" * 9 + "…"
