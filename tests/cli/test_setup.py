"""The verb `setup`: shown first, asked for, put in, put in again, taken out."""

import json
import os
import shutil
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import contents, wf, wf_json
from tests.support.repos import make_repo
from tests.support.terminal import Terminal, open_terminal

AGENTS = ("claude", "codex", "kimi", "opencode", "qwen")
#: What each agent reads of a project, and where its server stands there.
FILES = {
    "claude": {".mcp.json", ".claude/settings.json", ".claude/skills/wfledger/SKILL.md", "CLAUDE.md"},
    "codex": {".codex/config.toml", ".agents/skills/wfledger/SKILL.md", "AGENTS.md"},
    "kimi": {".kimi-code/mcp.json", ".kimi-code/skills/wfledger/SKILL.md", "AGENTS.md"},
    "opencode": {"opencode.json", ".opencode/plugins/wfledger.js",
                 ".opencode/skills/wfledger/SKILL.md", "AGENTS.md"},
    "qwen": {".qwen/settings.json", ".qwen/skills/wfledger/SKILL.md", "AGENTS.md"},
}  # fmt: skip
#: Files as people have them, for every agent.
BEFORE = {
    ".mcp.json": '{"mcpServers": {"db": {"command": "db"}}}',
    ".claude/settings.json": '{\n    "permissions": {"allow": []},\n    "hooks": {\n'
    '        "Stop": [{"hooks": [{"type": "command", "command": "beep"}]}]\n    }\n}\n',
    "CLAUDE.md": "# Mine\n\nDo this.",
    ".codex/config.toml": '# mine\nmodel = "x"   # why\n\n[mcp_servers.db]\ncommand = "db"\n',
    "AGENTS.md": "# Agents\r\n\r\nDo that.\r\n",
    ".kimi-code/mcp.json": "{}\n",
    "opencode.json": '{\n  // mine\n  "mcp": {\n  },\n}\n',
    ".qwen/settings.json": '{"$version": 3, "hooks": {}}',
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "KIMI_CODE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return make_repo(tmp_path / "repo", {"README.md": "# sample\n"})


def files(root: Path) -> dict[str, bytes]:
    """Return every file of a checkout but git's own."""
    return {
        name: path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not (name := str(path.relative_to(root))).startswith(".git/")
    }


def furnish(root: Path) -> None:
    for name, text in BEFORE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


@pytest.mark.requirement("WFL-SETUP-001", "WFL-SETUP-003", "WFL-SETUP-005")
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("is_furnished", [False, True])
def test_setup_twice_and_remove_leaves_every_byte(
    repo: Path, agent: str, is_furnished: bool
) -> None:
    if is_furnished:
        furnish(repo)
    before = files(repo)
    done = wf_json(repo, "setup", agent, "--yes")
    assert done["written"]
    assert {str(Path(one["path"]).relative_to(repo)) for one in done["files"]} == FILES[agent]
    assert {one["change"] for one in done["files"]} <= {"create", "edit"}
    between = files(repo)
    assert {name for name in between if between[name] != before.get(name)} == FILES[agent]
    assert wf(repo, "setup", agent, "--yes").out.startswith("there is nothing to do")
    assert wf_json(repo, "setup", agent)["files"] == []
    assert files(repo) == between
    assert wf(repo, "setup", agent, "--remove", "--yes").status == 0
    assert files(repo) == before
    assert wf(repo, "setup", agent, "--remove", "--yes").out == "there is nothing to do\n"


def test_all_agents_at_once_and_one_by_one_away(repo: Path) -> None:
    furnish(repo)
    before = files(repo)
    for agent in AGENTS:
        assert wf(repo, "setup", agent, "--yes").status == 0
    stanza = (repo / "AGENTS.md").read_bytes()
    for agent in AGENTS[:-1]:
        assert wf(repo, "setup", agent, "--remove", "--yes").status == 0
        assert (repo / "AGENTS.md").read_bytes() == stanza
    assert wf(repo, "setup", AGENTS[-1], "--remove", "--yes").status == 0
    assert files(repo) == before


@pytest.mark.requirement("WFL-SETUP-002")
def test_without_a_terminal_the_diff_is_shown_and_nothing_written(repo: Path) -> None:
    furnish(repo)
    before = contents(repo)
    done = wf(repo, "setup", "claude")
    assert done.status == 2
    assert "--- .mcp.json\n+++ .mcp.json\n@@" in done.out
    assert "--- /dev/null\n+++ .claude/skills/wfledger/SKILL.md\n" in done.out
    assert "wfledger setup claude --yes" in done.err
    assert wf(repo, "setup", "claude", "--dry-run").status == 0
    assert wf_json(repo, "setup", "claude", "--dry-run")["written"] is False
    assert contents(repo) == before


@pytest.mark.requirement("WFL-SETUP-006")
@pytest.mark.parametrize(
    ("agent", "name", "text"),
    [
        ("claude", ".mcp.json", '{"mcpServers": {"wfledger": {"command": "other"}}}'),
        ("claude", ".claude/settings.json", "not json"),
        ("claude", "CLAUDE.md", b"\xff\xfe"),
        ("codex", ".codex/config.toml", '[mcp_servers.wfledger]\ncommand = "other"\n'),
        ("codex", ".codex/config.toml", "[hooks\n"),
        ("opencode", ".opencode/plugins/wfledger.js", "// another\n"),
        ("qwen", ".qwen/settings.json", '{"mcpServers": 1}'),
        ("kimi", ".kimi-code/mcp.json", ""),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(
    repo: Path, agent: str, name: str, text: str | bytes
) -> None:
    (repo / name).parent.mkdir(parents=True, exist_ok=True)
    (repo / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = files(repo)
    done = wf(repo, "setup", agent, "--yes")
    assert done.status == 1
    assert name in done.err
    [clash] = wf_json(repo, "setup", agent, "--yes", status=1)["conflicts"]
    assert clash["path"] == str(repo / name)
    assert "wfledger" in clash["add"]
    assert files(repo) == before


@pytest.mark.requirement("WFL-SETUP-007")
def test_links_within_the_project_are_followed_and_others_refused(
    repo: Path, tmp_path: Path
) -> None:
    (repo / "AGENTS.md").write_text("# one\n")
    (repo / "CLAUDE.md").symlink_to("AGENTS.md")
    (repo / "AGENTS.md").chmod(0o664)
    assert wf(repo, "setup", "claude", "--yes").status == 0
    assert (repo / "CLAUDE.md").is_symlink()
    assert "wf_claim" in (repo / "AGENTS.md").read_text()
    assert stat.S_IMODE((repo / "AGENTS.md").stat().st_mode) == 0o664
    assert wf(repo, "setup", "codex", "--yes").status == 0
    assert (repo / "AGENTS.md").read_text().count("wf_claim") == 1
    assert wf(repo, "setup", "claude", "--remove", "--yes").status == 0
    assert "wf_claim" in (repo / "AGENTS.md").read_text()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "settings.json").write_text("{}")
    (repo / ".qwen").symlink_to(outside)
    [clash, *_] = wf_json(repo, "setup", "qwen", "--yes", status=1)["conflicts"]
    assert "leads out of here" in clash["reason"]
    assert (outside / "settings.json").read_text() == "{}"
    (repo / "opencode.json").symlink_to("nowhere.json")
    assert "not there" in wf(repo, "setup", "opencode", "--yes").err


@pytest.mark.requirement("WFL-SETUP-007")
@pytest.mark.parametrize("agent", AGENTS)
def test_user_reach_writes_below_the_home_alone(
    repo: Path, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(os.environ["HOME"])
    before, project = files(home), files(repo)
    done = wf_json(repo, "setup", agent, "--user", "--yes")
    assert done["written"]
    assert all(Path(one["path"]).is_relative_to(home) for one in done["files"])
    assert files(repo) == project
    assert wf(repo, "setup", agent, "--user", "--remove", "--yes").status == 0
    assert files(home) == before


def test_folders_that_agents_are_told_of_by_variables_are_theirs(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for agent, name in (("codex", "CODEX_HOME"), ("kimi", "KIMI_CODE_HOME"),
                        ("claude", "CLAUDE_CONFIG_DIR")):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / name))
        assert wf(repo, "setup", agent, "--user", "--yes").status == 0
    hooks = tomllib.loads((tmp_path / "KIMI_CODE_HOME/config.toml").read_text())["hooks"]
    assert [hook["event"] for hook in hooks] == ["PreToolUse", "PostToolUse", "Stop"]
    codex = tomllib.loads((tmp_path / "CODEX_HOME/config.toml").read_text())
    assert codex["mcp_servers"]["wfledger"]["args"] == ["mcp"]
    assert (tmp_path / "CLAUDE_CONFIG_DIR/settings.json").exists()


def _commands(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["command"]] if isinstance(value.get("command"), str) else []
        return own + [one for inner in value.values() for one in _commands(inner)]
    return [one for inner in value for one in _commands(inner)] if isinstance(value, list) else []


@pytest.mark.long
def test_commands_that_are_written_run_and_bother_nobody(tmp_path: Path, repo: Path) -> None:
    """Every hook's command starts the verb; where there is no wfledger it is quiet."""
    terminal = open_terminal(tmp_path / "t")
    for agent in ("claude", "codex", "qwen"):
        terminal(f"wfledger setup {agent} --yes")
    said = [
        *_commands(json.loads((terminal.root / ".claude/settings.json").read_text())["hooks"]),
        *_commands(json.loads((terminal.root / ".qwen/settings.json").read_text())["hooks"]),
        *_commands(tomllib.loads((terminal.root / ".codex/config.toml").read_text())["hooks"]),
    ]
    assert len(said) == 14
    for command in said[::5]:
        assert terminal.shell(command, stdin="{}") == (0, "", "")
    (terminal.programs / "wfledger").unlink()
    bare = {"PATH": str(Path(shutil.which("sh") or "/bin/sh").parent)}
    assert terminal.shell(said[0], stdin="{}", env=bare) == (0, "", "")


@pytest.mark.requirement("WFL-SETUP-008")
def test_worker_of_an_attempt_does_not_set_itself_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal(tmp_path)
    task = {"id": "one", "command": "true", "write": ["src"]}
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan(task)}")["run"]
    folder = Path(terminal.json(f"wfledger claim {run}.one --worktree")["worktree"])
    for reach in ("--project", "--user"):
        assert wf(folder, "setup", "claude", reach, "--yes").status == 2
    assert wf(terminal.root / ".wfledger", "setup", "claude", "--yes").status == 2
    monkeypatch.setenv("WFLEDGER_ATTEMPT", "1")
    assert wf(terminal.root, "setup", "claude", "--yes").status == 2
    assert not (folder / ".mcp.json").exists()


def test_what_is_told_is_short_and_names_the_ways_on(repo: Path) -> None:
    done = wf(repo, "setup", "kimi", "--yes")
    assert "wfledger setup kimi --user" in done.out
    assert "commit them" in done.out
    assert "there is no ledger here yet: wfledger init" in done.out
    skill = (repo / ".kimi-code/skills/wfledger/SKILL.md").read_text()
    assert len(skill.splitlines()) <= 60
    assert skill.startswith("---\nname: wfledger\ndescription: ")
    for word in ("wfledger claim", "wfledger complete", "scope", "Exit status 4", ".wfledger/"):
        assert word in skill


def test_verbs_outside_of_any_checkout_say_so(tmp_path: Path) -> None:
    assert wf(tmp_path, "setup", "claude", "--yes").status == 2


def test_outfit_of_a_jsonc_project_goes_into_the_file_that_is_there(repo: Path) -> None:
    (repo / "opencode.jsonc").write_text("{ /* mine */ }")
    assert wf(repo, "setup", "opencode", "--yes").status == 0
    assert not (repo / "opencode.json").exists()
    assert wf(repo, "setup", "opencode", "--remove", "--yes").status == 0
    assert (repo / "opencode.jsonc").read_text() == "{ /* mine */ }"


@pytest.mark.long
def test_terminal_is_the_one_that_is_asked(repo: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    terminal = Terminal(repo, repo.parent / "bin")
    for said, status in (("n", 1), ("y", 0)):
        child = pexpect.spawn(
            str(terminal.programs / "wfledger"), ["setup", "kimi"], cwd=str(repo), encoding="utf-8",
            env=dict(os.environ), timeout=60,
        )  # fmt: skip
        child.expect("Change these files")
        child.sendline(said)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == status
        assert (repo / ".kimi-code/mcp.json").exists() == (status == 0)
