import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wfledger.core import bounds
from wfledger.errors import PlanError
from wfledger.plans import reading

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


def refusal(text: str | bytes, source: str = "plan.yaml") -> PlanError:
    with pytest.raises(PlanError) as caught:
        reading.read(text, source=source)
    return caught.value


def place(error: PlanError) -> tuple[int, int]:
    return error.facts["line"], error.facts["column"]


@pytest.mark.requirement("WFL-PLAN-004")
def test_yaml_words_that_were_booleans_are_texts() -> None:
    text = "on: yes\nno: off\ntime: 12:30\ndate: 2026-01-02\nquoted: '1'\n"
    assert reading.read(text, source="p.yml") == {
        "on": "yes", "no": "off", "time": "12:30", "date": "2026-01-02", "quoted": "1",
    }  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-004")
def test_yaml_numbers_are_those_of_the_core_schema() -> None:
    text = "[1, -2, +3, 0x1F, 0o17, 017, 1.5, .5, 1e3, 1_000, ~, null, '', true, False]"
    assert reading.read(text, source="p.yaml") == [
        1, -2, 3, 31, 15, 17, 1.5, 0.5, 1000.0, "1_000", None, None, "", True, False,
    ]  # fmt: skip


@given(values)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    assert reading.read(json.dumps(value), source="p.json") == value


@pytest.mark.long
@given(st.dictionaries(st.text("abc", max_size=3), values, min_size=1))
@pytest.mark.requirement("WFL-PLAN-001")
def test_json_text_means_the_same_to_both_readers(value: object) -> None:
    text = json.dumps(value)
    assert reading.read(text, source="p.yaml") == reading.read(text, source="p")


@pytest.mark.requirement("WFL-PLAN-001")
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("p.json", '{"a": 1}'),
        ("p", ' \n{"a": 1}'),
        ("p", "{a: 1}"),
        ("p", "a: 1"),
        ("p.yaml", "\ufeffa: 1"),
    ],
)
def test_format_is_told_by_ending_or_first_characters(source: str, text: str) -> None:
    assert reading.read(text, source=source) == {"a": 1}


@pytest.mark.requirement("WFL-PLAN-003", "WFL-PLAN-006")
@pytest.mark.parametrize(
    ("source", "text", "where"),
    [
        ("p.json", '{"a": 1,\n "b": {"x": "a"}, "a": 2}', (2, 19)),
        ("p.json", '[{"a": 1}, {"a": 1, "b": [":"], "\\u0061": 2}]', (1, 33)),
        ("p.yaml", "a: 1\nb: 2\n'a': 3\n", (3, 1)),
        ("p.yaml", "a: {x: 1, x: 2}\n", (1, 11)),
    ],
)
def test_key_that_stands_twice_is_refused_with_its_place(
    source: str, text: str, where: tuple[int, int]
) -> None:
    error = refusal(text, source)
    assert place(error) == where
    assert "twice" in error.message


@pytest.mark.requirement("WFL-PLAN-003", "WFL-PLAN-004", "WFL-PLAN-005", "WFL-PLAN-006")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: !!str 1", (1, 4)),
        ("a: !!python/object:os.system x", (1, 4)),
        ("- !x [1]", (1, 3)),
        ("%YAML 1.1\n---\na: yes", (2, 1)),
        ("%TAG ! tag:x,2000:\n---\na: 1", (2, 1)),
        ("a: 1\n---\nb: 2", (2, 1)),
        ("b: &b {x: 1}\na:\n  <<: *b\n", (3, 3)),
        ("a: &a [1, *a]", (1, 11)),
        ("a: *ghost", (1, 4)),
        ("1: a", (1, 1)),
        ("? [a]\n: b", (1, 3)),
        ("a: .nan", (1, 4)),
        ("a: -.inf", (1, 4)),
        ("a: 1e999", (1, 4)),
        ("a: " + "9" * 5000, (1, 4)),
        ("a: [1", (1, 6)),
        ("a: b: c", (1, 5)),
        ("a: \x01", (1, 4)),
    ],
)
def test_yaml_beyond_plain_data_is_refused_with_its_place(
    text: str, where: tuple[int, int]
) -> None:
    assert place(refusal(text)) == where


@pytest.mark.requirement("WFL-PLAN-005", "WFL-PLAN-006")
@pytest.mark.parametrize(
    "text",
    ['{"a":\n NaN}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": 1,}', '{"a"', "", "9" * 5000],
)
def test_json_beyond_the_standard_is_refused(text: str) -> None:
    assert refusal(text, "p.json").facts["line"] >= 1


def test_yaml_key_may_be_quoted_where_its_plain_form_is_no_text() -> None:
    assert reading.read("'1': a\n'<<': b\n", source="p.yaml") == {"1": "a", "<<": "b"}


@pytest.mark.parametrize("source", ["p.json", "p.yaml"])
def test_half_of_a_surrogate_pair_is_refused_and_a_whole_one_read(source: str) -> None:
    assert reading.read('{"\\ud83d\\ude00": "\\uD83D\\uDE00"}', source=source) == {"😀": "😀"}
    assert place(refusal('{"a": "\\ud83d"}', source))[0] == 1
    assert place(refusal('{"\\ude00": 1}', source))[0] == 1


def test_aliases_are_what_they_name() -> None:
    assert reading.read("a: &x [1, 2]\nb: *x\nc: &y s\nd: *y\n", source="p.yaml") == {
        "a": [1, 2], "b": [1, 2], "c": "s", "d": "s",
    }  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-002")
def test_aliases_of_aliases_are_counted_as_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    error = refusal("\n".join(lines))
    assert str(reading.VALUES) in error.message
    assert place(error)[0] == 7


@pytest.mark.long
@pytest.mark.requirement("WFL-PLAN-002")
@pytest.mark.parametrize("source", ["p.json", "p.yaml"])
@pytest.mark.parametrize("levels", [reading.DEPTH + 2, 20_000])
def test_deep_nesting_is_refused_without_recursion(source: str, levels: int) -> None:
    assert "deeper" in refusal("[" * levels + "]" * levels, source).message


@pytest.mark.parametrize("source", ["p.json", "p.yaml"])
def test_nesting_up_to_the_bound_is_read(source: str) -> None:
    levels = reading.DEPTH
    assert reading.read("[" * levels + "]" * levels, source=source)


@pytest.mark.requirement("WFL-PLAN-002")
def test_text_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    assert str(bounds.PLAN_BYTES) in refusal(b" " * (bounds.PLAN_BYTES + 1)).message
    assert str(bounds.PLAN_BYTES) in refusal("ä" * (bounds.PLAN_BYTES // 2 + 1)).message


@pytest.mark.requirement("WFL-PLAN-002", "WFL-PLAN-006")
def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    assert place(refusal(b"a: 1\nb: \xff")) == (2, 4)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    for source in ("p.json", "p.yaml"):
        where = (1, 1)
        try:
            reading.read(text, source=source)
        except PlanError as error:
            where = place(error)
        assert min(where) >= 1
