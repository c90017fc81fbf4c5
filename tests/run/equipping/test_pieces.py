"""Pieces go into files of any form and come out again without a trace."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wfledger.run.equipping import jsonc
from wfledger.run.equipping.blocks import Marks
from wfledger.run.equipping.pieces import Block, ClashError, Entry, Whole

SERVER = Entry(("mcpServers", "wfledger"), {"command": "wfledger", "args": ["mcp"]})
HOOK = Entry(("hooks", "Stop"), {"hooks": [{"command": "wfledger hook x"}]}, True, "wfledger hook x")
OTHER = Entry(("hooks", "Post"), {"hooks": [{"command": "wfledger hook x Post"}]}, True, "hook x Post")
ENTRIES = (SERVER, HOOK, OTHER)
MARKS = Marks("# >>> ours", "# <<< ours")
STANZA = Block(MARKS, "one\ntwo\n")
ADDS = {"mcp_servers": {"wfledger": {"command": "w"}}, "hooks": {"Stop": [{"a": 1}]}}
TOML = Block(
    MARKS, '[mcp_servers.wfledger]\ncommand = "w"\n[[hooks.Stop]]\na = 1\n', ADDS
)  # fmt: skip

# -- JSON as people type it ------------------------------------------------------------------------

_space = st.sampled_from(["", " ", "  ", "\n", "\n  ", "\t", "\n\n    "])
_comment = st.sampled_from(["// c // d", "/* c */", "/* a\n b */", "//", "/**/"])


@st.composite
def _gap(draw: st.DrawFn, comments: bool) -> str:
    if not comments or not draw(st.booleans()):
        return draw(_space)
    comment = draw(_comment)
    return draw(_space) + comment + ("\n" if comment.startswith("//") else "") + draw(_space)


def _values() -> st.SearchStrategy[Any]:
    names = st.sampled_from(["mcpServers", "hooks", "Stop", "Post", "a", "é", 'q"', "//"])
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6))
    inner = st.recursive(
        leaves, lambda one: st.lists(one, max_size=3) | st.dictionaries(names, one, max_size=3),
        max_leaves=6,
    )  # fmt: skip
    servers = st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2)
    hooks = st.dictionaries(st.sampled_from(["Stop", "Post", "Pre"]), st.lists(inner, max_size=2))
    known = st.fixed_dictionaries({}, optional={"mcpServers": servers, "hooks": hooks})
    return st.tuples(known, st.dictionaries(st.sampled_from(["a", "é", "//"]), inner, max_size=2)).map(
        lambda both: {**both[1], **both[0]}
    )


@st.composite
def typed(draw: st.DrawFn) -> str:
    """A JSON object in a form that somebody might have given it."""
    comments, trailing = draw(st.booleans()), draw(st.booleans())
    style = draw(st.sampled_from(["free", "indent", "tabs", "compact"]))
    value = draw(_values())

    def render(one: Any) -> str:
        if isinstance(one, dict):
            parts = [
                json.dumps(key) + draw(_gap(comments)) + ":" + draw(_gap(comments)) + render(item)
                for key, item in one.items()
            ]
            return _joined("{", parts, "}")
        if isinstance(one, list):
            return _joined("[", [render(item) for item in one], "]")
        return json.dumps(one, ensure_ascii=draw(st.booleans()))

    def _joined(opening: str, parts: list[str], closing: str) -> str:
        made = [draw(_gap(comments)) + part + draw(_gap(comments)) for part in parts]
        end = "," + draw(_gap(comments)) if parts and trailing and draw(st.booleans()) else ""
        return opening + ",".join(made) + end + (draw(_gap(comments)) if not parts else "") + closing

    if style == "free":
        text = draw(_gap(comments)) + render(value) + draw(_gap(comments))
    else:
        indent: Any = {"indent": 4, "tabs": "\t", "compact": None}[style]
        text = json.dumps(value, indent=indent) + draw(st.sampled_from(["", "\n"]))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return bom + (text.replace("\n", "\r\n") if draw(st.booleans()) else text)


def _there(text: str | None, pieces: tuple[Any, ...]) -> str:
    for piece in pieces:
        text = piece.put(text)
    assert text is not None
    return text


def _back(text: str | None, pieces: tuple[Any, ...]) -> str | None:
    for piece in reversed(pieces):
        text = piece.take(text)
    return text


def _round_trip(before: str) -> None:
    meant = jsonc.parse(before).value
    after = _there(before, ENTRIES)
    found = jsonc.parse(after).value
    assert found["mcpServers"].pop("wfledger") == SERVER.value
    for hook in (HOOK, OTHER):
        assert found["hooks"][hook.path[1]].pop() == hook.value
        if not found["hooks"][hook.path[1]] and hook.path[1] not in meant.get("hooks", {}):
            del found["hooks"][hook.path[1]]
    for name in ("mcpServers", "hooks"):
        if not found[name] and name not in meant:
            del found[name]
    assert found == meant
    assert _there(after, ENTRIES) == after
    assert _back(after, ENTRIES) == before


@pytest.mark.requirement("WFL-SETUP-004", "WFL-SETUP-005")
@settings(max_examples=15)
@given(typed())
@example("{}")
@example('{"mcpServers": {\n}, "hooks": {"Stop": [ ]}}')
@example('{"a": 1 // one\n}')
@example('{\r\n  "a": 1, // one\r\n}')
def test_entries_go_in_and_out_of_any_json_without_a_trace(before: str) -> None:
    _round_trip(before)


@pytest.mark.long
@settings(max_examples=120)
@given(typed())
def test_entries_go_in_and_out_of_much_json_without_a_trace(before: str) -> None:
    _round_trip(before)


@pytest.mark.requirement("WFL-SETUP-004")
def test_comments_and_form_of_the_user_stay() -> None:
    before = '{\n    // mine\n    "a": 1, // one\n    "mcpServers": {\n        "x": {} // ex\n    },\n}\n'
    after = _there(before, (SERVER,))
    assert after == (
        '{\n    // mine\n    "a": 1, // one\n    "mcpServers": {\n        "x": {}, // ex\n'
        '        "wfledger": {\n            "command": "wfledger",\n            "args": [\n'
        '                "mcp"\n            ]\n        }\n    },\n}\n'
    )


def test_a_file_that_is_made_is_taken_away_again() -> None:
    assert _back(_there(None, ENTRIES), ENTRIES) is None


def test_what_the_user_added_since_stays() -> None:
    after = _there('{"a": 1}', (SERVER,)).replace('"wfledger": {', '"mine": {}, "wfledger": {')
    left = _back(after, (SERVER,))
    assert left is not None
    assert jsonc.parse(left).value == {"a": 1, "mcpServers": {"mine": {}}}


@pytest.mark.requirement("WFL-SETUP-006")
@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {"wfledger": {"command": "another"}}}',
        '{"mcpServers": []}',
        '{"hooks": {"Stop": [{"hooks": [{"command": "wfledger hook x", "timeout": 1}]}]}}',
        '{"hooks": {"Stop": {}}}',
        "[]",
        "",
        "{'a': 1}",
        '{"a": 1, "a": 2}',
        '{"a": 01}',
        '{"a": 1} x',
        '{"a" 1}',
        '{"a": 1 "b": 2}',
        "[" * 500,
    ],
)
def test_what_is_in_the_way_is_named_and_left(text: str) -> None:
    with pytest.raises(ClashError):
        _there(text, ENTRIES)
    assert [entry.is_in(text) for entry in ENTRIES] == [False] * 3


# -- blocks ----------------------------------------------------------------------------------------

_lines = st.lists(st.sampled_from(["", "text", "# >>> ours too", "é", "  "]), max_size=4)
_tables = st.lists(
    st.sampled_from(["a = 1", "[t]", "# c", "[mcp_servers.x]", "", "[[hooks.Pre]]", 'b = """\nx\n"""']),
    max_size=5, unique=True,
)  # fmt: skip


def _ended(lines: st.SearchStrategy[list[str]]) -> st.SearchStrategy[str]:
    return st.tuples(lines, st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
        lambda drawn: drawn[1].join(drawn[0]) + drawn[1] * (drawn[2] and bool(drawn[0]))
    )


@pytest.mark.requirement("WFL-SETUP-005")
@given(_ended(_lines))
@example("")
@example("\n")
@example("a")
def test_blocks_go_in_and_out_of_any_text_without_a_trace(before: str) -> None:
    after = STANZA.put(before)
    assert after.startswith(before)
    assert STANZA.put(after) == after
    assert STANZA.take(after) == before


@pytest.mark.requirement("WFL-SETUP-004", "WFL-SETUP-005")
@given(_ended(_tables))
def test_blocks_of_toml_only_add(before: str) -> None:
    try:
        meant = tomllib.loads(before)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ClashError):
            TOML.put(before)
        return
    after = TOML.put(before)
    found = tomllib.loads(after)
    assert found["mcp_servers"]["wfledger"] == {"command": "w"}
    assert {key: found[key] for key in meant if key not in ADDS} == {
        key: meant[key] for key in meant if key not in ADDS
    }
    assert TOML.put(after) == after
    assert TOML.take(after) == before


@pytest.mark.parametrize(
    "text",
    ['[mcp_servers.wfledger]\ncommand = "mine"\n', "hooks = []\n", "mcp_servers = 1\n", "a = \n",
     "[hooks]\nStop = [{b = 1}]\n", "a = 1\rb = 2"],
)  # fmt: skip
@pytest.mark.requirement("WFL-SETUP-006")
def test_toml_that_leaves_no_place_is_named_and_left(text: str) -> None:
    with pytest.raises(ClashError):
        TOML.put(text)
    assert TOML.take(text) == text


def test_block_is_replaced_where_it_stands_and_taken_from_between() -> None:
    old = Block(MARKS, "old\n").put("top\n") + "below\n"
    assert STANZA.put(old) == "top\n\n# >>> ours\none\ntwo\n# <<< ours\nbelow\n"
    assert STANZA.take(old) == "top\nbelow\n"


@pytest.mark.parametrize("make", [lambda: STANZA, lambda: TOML, lambda: Whole("text\n")])
def test_file_of_one_piece_comes_and_goes(make: Callable[[], Any]) -> None:
    piece = make()
    made = piece.put(None)
    assert piece.is_in(made)
    assert piece.take(made) is None
    assert piece.take(None) is None


def test_whole_file_of_another_text_is_left() -> None:
    with pytest.raises(ClashError):
        Whole("a").put("b")
    assert Whole("a").take("b") == "b"
