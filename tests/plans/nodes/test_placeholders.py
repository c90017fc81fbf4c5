"""Values in nodes: where they may stand, and that hostile ones stay what they are."""

import subprocess

import pytest

from tests.plans.nodes.trees import Document, kinds, leaf, loop, node, spec, warned, writer
from wfledger.errors import PlanError
from wfledger.plans.nodes.placeholders import VALUE_BYTES, fill_command, fill_text, widest

HOSTILE = [
    "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "a\nb\ntouch pwned",
    "\\", "'", "''", "-rf", "*", "~", "$HOME", "a b", "", "# x", "!!", "é\u202e\u0301", "2", "&& true",
    "{{index}}", "{{item}}", "%s%n", "\t", "\x1b[31m", "\r", "a" * 20_000,
]  # fmt: skip


def each(template: Document) -> Document:
    return spec(leaf("src"), node(
        "expand", "e", source="results.src", max_children=2, template=template
    ))  # fmt: skip


def words_of(line: str) -> list[str]:
    """Return the arguments that a real shell hands to a program."""
    script = f"show() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{line}"
    ran = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, timeout=20)
    return ran.stdout.decode().split("\0")[:-1]


@pytest.mark.requirement("WFL-NODE-052")
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_value_is_one_word_of_a_shell_line_and_acts_on_nothing(value: str) -> None:
    line = "show {{item}} x{{ item }}y 2>&1 && show -- {{item}}"
    filled = fill_command(line, {"item": value, "index": 7})
    assert isinstance(filled, str)
    assert words_of(filled) == [value, f"x{value}y", "--", value]


@pytest.mark.requirement("WFL-NODE-052")
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_value_is_part_of_one_word_of_a_vector(value: str) -> None:
    filled = fill_command(("show", "--name={{item}}", "end"), {"item": value})
    assert filled == ("show", f"--name={value}", "end")


@pytest.mark.requirement("WFL-NODE-052")
@pytest.mark.parametrize(
    "line",
    [
        "echo '{{item}}'", 'echo "{{item}}"', "echo x # {{item}}", "echo \\{{item}}",
        "cat <<EOF\n{{item}}\nEOF", "echo `echo {{item}}`", "echo ${X:-{{item}}}",
        "echo $(({{item}}))", "echo $'{{item}}'", "{{item}} --help", "x; {{item}}",
        "if {{item}}; then true; fi", "A=1 {{item}}", "> out {{item}}", "sh -c {{item}}",
        "python3 -c {{item}}", "bash -lc {{item}}", "eval {{item}}", "exec {{item}}",
        "echo a \\\n# {{item}}", ". {{item}}", "env; ( {{item}} )", "[[ {{item}} -eq 1 ]]",
        "node --eval {{item}}", 'echo "a\\" {{item}}"',
    ],
)  # fmt: skip
def test_place_where_no_value_is_safe_is_refused(line: str) -> None:
    assert kinds(each(node("leaf", "t", command=line))) == ["invalid_placeholder"]
    with pytest.raises(PlanError):
        fill_command(line, {"item": "x"})


@pytest.mark.requirement("WFL-NODE-052")
@pytest.mark.parametrize(
    "line",
    [
        "echo {{item}}", "A={{item}} run x", "echo $(echo {{item}})", "x 2>&1 {{item}}",
        "for f in {{item}}; do echo $f; done", "echo 'a b' {{item}} \"c\"", "sh x.sh {{item}}",
        "echo x > out/{{item}}", "python3 -m pytest {{item}}", "gcc -c {{item}}", "echo a#{{item}}",
        "# a comment\necho {{item}}", "true && echo {{item}} | cat", "case {{item}} in x) ;; esac",
    ],
)  # fmt: skip
def test_plain_place_is_fine(line: str) -> None:
    assert kinds(each(node("leaf", "t", command=line))) == []


@pytest.mark.requirement("WFL-NODE-052")
@pytest.mark.parametrize(
    "words", [["{{item}}"], ["sh", "-c", "echo {{item}}"], ["env", "python3", "-c", "{{item}}"],
              ["timeout", "5", "bash", "-ec", "{{item}}"]],
)  # fmt: skip
def test_word_that_would_be_an_order_is_refused(words: list[str]) -> None:
    assert kinds(each(node("leaf", "t", command=words))) == ["invalid_placeholder"]


@pytest.mark.requirement("WFL-NODE-051")
@pytest.mark.parametrize(
    "fields",
    [
        {"depends_on_results": ["{{item}}"]}, {"role": "{{item}}"}, {"worker": "{{item}}"},
        {"model": "{{item}}"}, {"contracts": ["{{item}}"]}, {"class": "{{index}}"},
        {"verify": [{"path": "a", "pattern": "{{item}}"}]}, {"env": ["{{item}}"]},
    ],
)  # fmt: skip
def test_nowhere_else_is_a_value_filled_in(fields: Document) -> None:
    assert kinds(each(leaf("t", **fields)))
    assert "invalid_placeholder" in kinds(each(leaf("{{item}}")))


@pytest.mark.requirement("WFL-NODE-051")
def test_placeholder_that_nothing_fills_in_is_said_and_left() -> None:
    assert "unfilled_placeholder" in warned(spec(leaf("a", prompt="about {{item}}")))
    assert "unfilled_placeholder" in warned(each(leaf("a", prompt="round {{round}}")))
    assert warned(spec(leaf("a", prompt="{{ .Id }} {{items}}"))) == []
    inner = loop("l", leaf("a", prompt="{{item}} {{index}} {{round}}"))
    assert "unfilled_placeholder" not in warned(each(inner))


@pytest.mark.requirement("WFL-NODE-050")
def test_values_are_filled_in_once_and_by_path() -> None:
    values = {"item": {"a": [{"b": "{{index}}"}], "n": 4, "yes": True, "o": {"é": [1, 2]}}}
    known = {**values, "index": 3}
    assert fill_text("{{item.a.0.b}}/{{index}}", known) == "{{index}}/3"
    assert fill_text("{{item.n}} {{item.yes}} {{item.o}}", known) == '4 true {"é":[1,2]}'


@pytest.mark.requirement("WFL-NODE-054")
@pytest.mark.parametrize("text", ["{{item.x}}", "{{item.a.1}}", "{{item.none}}", "{{item.a.b}}"])
def test_no_value_is_an_error(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        fill_text(text, {"item": {"a": [1], "none": None}})
    assert caught.value.facts["errors"][0]["kind"] == "missing_value"


@pytest.mark.requirement("WFL-NODE-054")
def test_value_that_is_too_long_is_an_error() -> None:
    assert len(fill_text("{{item}}", {"item": "x" * VALUE_BYTES})) == VALUE_BYTES
    with pytest.raises(PlanError):
        fill_text("{{item}}", {"item": "é" * VALUE_BYTES})


@pytest.mark.requirement("WFL-NODE-056")
@pytest.mark.parametrize(
    ("pattern", "found"),
    [("src/{{item}}.py", "src/**"), ("{{item}}", "**"), ("a/b{{item}}/c", "a/**"), ("x/*", "x/*")],
)
def test_widest_scope_covers_every_value(pattern: str, found: str) -> None:
    assert widest(pattern) == found


@pytest.mark.requirement("WFL-NODE-051")
def test_scope_with_a_placeholder_is_a_plan_without_errors() -> None:
    assert kinds(each(writer("t", "src/{{item.name}}.py", "doc/{{index}}"))) == []
