"""The tools for files: what they return, what they refuse, and that nothing leads out."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import toolbox
from wfledger.core.changes import Rules
from wfledger.core.policy import Policy
from wfledger.core.scopes import parse_all
from wfledger.run.models.answers import ToolCall
from wfledger.run.models.files import Files
from wfledger.run.models.places import Place
from wfledger.run.models.toolbox import Toolbox, granted, schemas


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src/app").mkdir(parents=True)
    (root / "src/app/a.py").write_text("one = 1\ntwo = 2\n")
    (root / "README.md").write_text("# sample\n")
    (root / ".git").write_text("gitdir: elsewhere\n")
    return root


def _call(box: Toolbox, name: str, **arguments: Any) -> str:
    return box.call(ToolCall("1", name, arguments), at_most_s=10.0).text


@pytest.mark.requirement("WFL-MODEL-030")
def test_tools_follow_from_scope_and_grant() -> None:
    assert granted(None, writes=True) == ("list", "read", "search", "edit", "write")
    assert granted(None, writes=False) == ("list", "read", "search")
    assert granted(("run", "read", "edit"), writes=True) == ("read", "edit", "run")
    assert granted(("run", "read", "edit"), writes=False) == ("read", "run")
    names = [tool["function"]["name"] for tool in schemas(("read",))]
    assert names == ["read", "submit_result"]


@pytest.mark.requirement("WFL-MODEL-030")
def test_a_reader_cannot_write(root: Path) -> None:
    box = toolbox(root)
    said = _call(box, "write", path="README.md", content="x")
    assert said.startswith("error: there is no tool 'write' for you; there are: list, read, search")
    assert (root / "README.md").read_text() == "# sample\n"


def test_folders_are_listed_without_what_is_gits(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    box = toolbox(root)
    assert _call(box, "list").splitlines() == ["README.md", "link (a link, not followed)", "src/"]
    assert "src/app/a.py" in _call(box, "list", path="src", recursive=True).splitlines()
    assert "error: there is nothing at lib" in _call(box, "list", path="lib")


def test_files_are_read_in_parts(root: Path) -> None:
    (root / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 5001)))
    box = toolbox(root)
    assert _call(box, "read", path="README.md") == "# sample\n"
    found = _call(box, "read", path="long.txt", offset=10, limit=2)
    assert found == "(lines 10 to 11 of 5000; go on with offset 12)\nline 10\nline 11\n"
    assert _call(box, "read", path="long.txt").startswith("(lines 1 to 1000 of 5000; go on")
    assert _call(box, "read", path="long.txt", offset=9000) == "(long.txt has 5000 lines)"


@pytest.mark.requirement("WFL-MODEL-035")
def test_what_a_tool_returns_is_bounded(root: Path) -> None:
    (root / "wide.txt").write_text("x" * 1_000_000 + "\n" + "y\n" * 100_000)
    box = toolbox(root)
    for arguments in ({"path": "wide.txt"}, {"path": "wide.txt", "offset": 2, "limit": 99_999}):
        assert len(_call(box, "read", **arguments)) < 40_000
    assert len(_call(box, "search", pattern=".")) < 40_000


def test_lines_are_searched_by_expression_folder_and_glob(root: Path) -> None:
    box = toolbox(root)
    assert _call(box, "search", pattern=r"t.o = \d") == "src/app/a.py:2: two = 2"
    assert _call(box, "search", pattern="sample", glob="*.py") == "(no match)"
    assert _call(box, "search", pattern="one", path="src", glob="src/**") != "(no match)"
    assert "no regular expression" in _call(box, "search", pattern="(")


@pytest.mark.long
def test_a_search_that_would_take_for_ever_is_broken_off(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.run.models.files._SEARCH_S", 0.2)
    (root / "evil.txt").write_text("a" * 60 + "b\n")
    assert "took more than" in _call(toolbox(root), "search", pattern="^(a+)+$")


def test_text_is_replaced_exactly_and_once(root: Path) -> None:
    box = toolbox(root, "src/**")
    assert _call(box, "edit", path="src/app/a.py", old="one = 1", new="one = 11") == (
        "replaced 1 in src/app/a.py"
    )
    assert "occurs 2 times" in _call(box, "edit", path="src/app/a.py", old=" = ", new="=")
    assert _call(box, "edit", path="src/app/a.py", old=" = ", new="=", all=True) == (
        "replaced 2 in src/app/a.py"
    )
    assert (root / "src/app/a.py").read_text() == "one=11\ntwo=2\n"
    missing = _call(box, "edit", path="src/app/a.py", old="two = 2", new="x")
    assert "is not in src/app/a.py as it stands" in missing
    assert "nearest is line 2: two=2" in missing
    assert box.has_changed


def test_files_are_written_with_the_folders_above_them(root: Path) -> None:
    box = toolbox(root, "src/**")
    assert _call(box, "write", path="src/new/deep/b.py", content="x\n") == (
        "wrote src/new/deep/b.py, 2 bytes"
    )
    assert (root / "src/new/deep/b.py").read_text() == "x\n"


def test_a_mode_stays_and_other_names_of_a_file_do_not_change(root: Path, tmp_path: Path) -> None:
    script = root / "src/run.sh"
    script.write_text("old\n")
    script.chmod(0o755)
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    os.link(outside, root / "src/hard")
    box = toolbox(root, "src/**")
    _call(box, "write", path="src/run.sh", content="new\n")
    _call(box, "write", path="src/hard", content="changed\n")
    assert script.stat().st_mode & 0o777 == 0o755
    assert (outside.read_text(), (root / "src/hard").read_text()) == ("mine\n", "changed\n")


@pytest.mark.requirement("WFL-MODEL-031")
@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("README.md", "README.md is outside of your write scope: src/**"),
        ("lib/x.py", "outside of your write scope: src/**"),
        ("src/.gitattributes", "is protected"),
        ("src/app/A.PY", "ignores case"),
        ("src/e\u0301.py", "normal form NFC"),
        ("src/app", "is a folder"),
        ("src", "is a folder"),
    ],
)
def test_what_would_not_land_is_not_written(root: Path, path: str, word: str) -> None:
    box = toolbox(root, "src/**")
    said = _call(box, "write", path=path, content="x")
    assert said.startswith("error: ")
    assert word in said
    assert not box.has_changed
    assert (root / "README.md").read_text() == "# sample\n"
    assert sorted(one.name for one in (root / "src").rglob("*")) == ["a.py", "app"]


@pytest.mark.requirement("WFL-MODEL-031")
def test_a_refusal_says_what_to_do(root: Path) -> None:
    said = _call(toolbox(root, "src/**"), "edit", path="README.md", old="sample", new="x")
    assert "src/**" in said
    assert "status blocked" in said
    large = toolbox(root, "src/**", policy=Policy(max_blob_bytes=10))
    assert "at most 10 are allowed" in _call(large, "write", path="src/b", content="x" * 11)


@pytest.mark.requirement("WFL-MODEL-032")
@pytest.mark.parametrize("tool", ["list", "read", "search", "write"])
def test_nothing_leads_out_of_the_worktree(root: Path, tmp_path: Path, tool: str) -> None:
    (tmp_path / "secret").write_text("canary\n")
    (root / "folder").symlink_to(tmp_path)
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    (root / "src/dangling").symlink_to(tmp_path / "made")
    os.mkfifo(root / "pipe")
    box = toolbox(root, "**")
    for path in (
        "../secret", "/etc/passwd", "~/secret", "src/../../secret", "folder/secret", "file",
        ".git", ".git/config", "src/.GIT/hooks/x", ".wfledger/fleet.toml", "loop", "a\\..\\b",
        "src/dangling", "pipe", "x\0y",
    ):  # fmt: skip
        said = _call(box, tool, path=path, content="x", pattern="can.ry")
        assert "canary" not in said
        if tool != "list" or path not in {"file", "loop", "src/dangling", "pipe"}:
            assert said.startswith("error: ") or said == "(no match)", (path, said)
    assert (tmp_path / "secret").read_text() == "canary\n"
    assert not (tmp_path / "made").exists()


@pytest.mark.requirement("WFL-MODEL-032")
def test_a_path_within_the_worktree_may_be_written_absolutely(root: Path) -> None:
    assert _call(toolbox(root), "read", path=str(root / "README.md")) == "# sample\n"


def test_inputs_outside_of_the_worktree_are_read_and_nothing_more(
    root: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "desk" / "inputs"
    inputs.mkdir(parents=True)
    (inputs / "r1.a.json").write_text("{}\n")
    (tmp_path / "desk" / "order.json").write_text("secret\n")
    files = Files(Place(root), parse_all(["**"]), Rules.of(Policy()), inputs=Place(inputs))
    box = Toolbox(("read", "write"), files, None)
    assert _call(box, "read", path=str(inputs / "r1.a.json")) == "{}\n"
    assert _call(box, "read", path=f"{inputs}/../order.json").startswith("error: ")
    assert _call(box, "write", path=str(inputs / "x"), content="x").startswith("error: ")


@pytest.mark.requirement("WFL-MODEL-023")
@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("read", {}, "path must be a text"),
        ("read", {"path": 3}, "path must be a text"),
        ("read", {"path": "README.md", "offset": 0}, "whole number from 1"),
        ("edit", {"path": "src/app/a.py", "old": "", "new": "x"}, "old is empty"),
        ("edit", {"path": "src/app/a.py", "old": "x", "new": "x"}, "are the same"),
        ("search", {"pattern": "x", "glob": "/abs"}, "absolute"),
        ("bash", {"command": "ls"}, "there is no tool 'bash'"),
        ("run", {"command": "ls"}, "there is no tool 'run'"),
    ],
)
def test_arguments_that_cannot_be_used_are_answered(
    root: Path, name: str, arguments: dict[str, Any], word: str
) -> None:
    said = _call(toolbox(root, "src/**"), name, **arguments)
    assert said.startswith("error: ")
    assert word in said


def test_what_is_no_text_is_neither_read_nor_edited(root: Path) -> None:
    (root / "src/x.bin").write_bytes(b"\x00\x01")
    (root / "src/latin.txt").write_bytes(b"caf\xe9\n")
    box = toolbox(root, "src/**")
    assert "is no text" in _call(box, "read", path="src/x.bin")
    assert "caf" in _call(box, "read", path="src/latin.txt")
    assert "not UTF-8" in _call(box, "edit", path="src/latin.txt", old="caf", new="x")
    assert (root / "src/latin.txt").read_bytes() == b"caf\xe9\n"
