"""What a scan of a script's text tells apart, and what stays where it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wfledger.plans.frontends.scripttext import as_function, banned, code_of, is_script

DECLARATIVE = 'workflow({"goal": "g", "nodes": []});'


@pytest.mark.requirement("WFL-FRONT-050")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("export default async function () {}", True),
        ("/* about */\n  export default async function main(args) {\n}", True),
        ("export default function () {}", True),
        ("export default async (args) => 1", True),
        ("return await task('x')", True),
        ("// workflow(\nawait task('x')", True),
        (DECLARATIVE, False),
        ("await x; import y\n" + DECLARATIVE, False),
        ("// export default async function\n" + DECLARATIVE, False),
        ("const s = `\nexport default async function`;\n" + DECLARATIVE, False),
        ('workflow({"goal": "await it"})', False),
        ("export default {};", False),
        ("// await\n'await'", False),
    ],
)
def test_scripts_are_told_from_declarative_files(text: str, expected: bool) -> None:
    assert is_script(text) is expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a 'b' c", "a     c"),
        ("a // b\nc", "a     \nc"),
        ("a /* b\n c */ d", "a     \n      d"),
        ("`x${ y }z` + w", "     y     + w"),
        ("`a${ `b${ c }` }` + d", "          c       + d"),
        ("x = /'\"/.test(y)", "x =     .test(y)"),
        ("a / b / c", "a / b / c"),
        ("x = 1 / 2; // '", "x = 1 / 2;     "),
        ("return /[/'\"]/g", "return        g"),
        ("'\\'' + x", "     + x"),
        ("f(a) / 2 + '/'", "f(a) / 2 +    "),
        ("`${ {a: 1} }` + b", "    {a: 1}    + b"),
    ],
)
def test_strings_comments_and_expressions_are_blanked_out(text: str, code: str) -> None:
    assert code_of(text) == code


@pytest.mark.requirement("WFL-FRONT-052")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import x from 'y'\nexport default async function () {}", [("import", (1, 1))]),
        ("\n  const x = await import('y')", [("import", (2, 19))]),
        ("const fs = require('fs')", [("require", (1, 12))]),
        ("export { x }", [("export", (1, 1))]),
        ("export default async function () {}\nexport default 1", [("export", (2, 1))]),
        ("const o = {import: 1}; o.import; // import it\n'import'", []),
        ("export const meta = {}\nexport default async function () {}", []),
    ],
)
def test_what_belongs_to_modules_is_found_with_its_place(
    text: str, found: list[tuple[str, tuple[int, int]]]
) -> None:
    assert [(one.word, tuple(one.place)) for one in banned(text)] == found


def test_exports_are_taken_off_and_no_line_moves() -> None:
    text = "// export default\nexport const a = 1\n  export default async function () {}\n"
    made = as_function(text, exported="x")
    assert made == "// export default\n       const a = 1\n  x = async function () {}\n"


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="'\"`/*\\${}[]()=\n ab", max_size=60))
def test_whatever_is_scanned_keeps_its_length_and_its_lines(text: str) -> None:
    code = code_of(text)
    assert len(code) == len(text)
    assert [at for at, char in enumerate(text) if char == "\n" and code[at] != "\n"] == []
    assert as_function(text, exported="x").count("\n") == text.count("\n")
    assert list(banned(text)) == []
