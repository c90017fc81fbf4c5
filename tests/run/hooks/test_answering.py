"""What agents are answered: scope before a tool, the claim after it, the result before they stop.

Recorded calls of each agent (`CALLS`) go through the door as the agent's program would send them.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.repos import git
from tests.support.terminal import Terminal, open_terminal
from wfledger.clock import SystemClock
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.claims import closed
from wfledger.run.hooks.answering import Answer, Asked, answer

AGENTS = ("claude", "codex", "kimi", "opencode", "qwen")
#: How each agent names the tool that writes a file, and its arguments.
WRITES: dict[str, Any] = {
    "claude": ("Write", lambda path: {"file_path": path, "content": "x"}),
    "codex": ("apply_patch", lambda path: {
        "command": f"*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch\n"}),
    "kimi": ("Write", lambda path: {"path": path, "content": "x", "mode": "overwrite"}),
    "opencode": ("write", lambda path: {"filePath": path, "content": "x"}),
    "qwen": ("write_file", lambda path: {"file_path": path, "content": "x"}),
}  # fmt: skip
SHELLS = {"claude": "Bash", "codex": "Bash", "kimi": "Bash", "opencode": "bash",
          "qwen": "run_shell_command"}  # fmt: skip


@dataclass
class Session:
    """An agent's session with a claimed task."""

    terminal: Terminal
    task: str
    token: str
    folder: Path
    agent: str = "claude"
    name: str = "session-1"

    @property
    def env(self) -> dict[str, str]:
        return {"WFLEDGER_TASK": self.task, "WFLEDGER_TOKEN": self.token}

    def ask(
        self, event: str, tool: str = "", given: Mapping[str, Any] | None = None, *,
        cwd: Path | None = None, env: Mapping[str, str] | None = None, **more: Any,
    ) -> Answer:  # fmt: skip
        place = cwd or self.folder
        said = {"session_id": self.name, "cwd": str(place), "hook_event_name": event} | more
        if tool:
            said |= {"tool_name": tool, "tool_input": dict(given or {})}
        state = Path(os.environ["XDG_STATE_HOME"])
        raw = json.dumps(said).encode()
        return answer(Asked(self.agent, event, raw, env or {}, place, SystemClock(), state))

    def write(self, path: Path | str, **options: Any) -> Answer:
        tool, arguments = WRITES[self.agent]
        return self.ask("PreToolUse", tool, arguments(str(path)), **options)

    def shell(self, command: str, **options: Any) -> Answer:
        return self.ask("PreToolUse", SHELLS[self.agent], {"command": command}, **options)


def claim(terminal: Terminal, **fields: Any) -> Session:
    task = {"id": "one", "prompt": "do it", "worker": "me", "write": ["src", "*.md"], **fields}
    task.pop("worker")
    task["command"] = task.pop("prompt")
    run = terminal.json(f"wfledger run --yes --detach {terminal.plan(task)}")["run"]
    found = terminal.json(f"wfledger claim {run}.one --worktree")
    return Session(terminal, found["task"]["id"], found["token"], Path(found["worktree"]))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return claim(open_terminal(tmp_path))


def take_away(session: Session) -> None:
    """End the attempt as recovery does when its lease is over."""
    workspace = session.terminal.workspace
    with workspace.ledger.transaction("test") as changes:
        task = changes.get(session.task).task
        ended = closed(workspace, task, "lost", "the lease was over")
        changes.move(task.id, Status.WAITING, actor=Actor.FINDER, why="lost",
                     attempts=(ended,), claim=None)  # fmt: skip


# -- before a tool ---------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HOOK-002")
@pytest.mark.sampled(5)
@pytest.mark.parametrize("agent", AGENTS)
def test_write_out_of_scope_is_refused_with_what_is_allowed(session: Session, agent: str) -> None:
    session.agent = agent
    refused = session.write("docs/guide.txt")
    assert (refused.status, refused.out) == (2, "")
    assert "docs/guide.txt" in refused.err
    assert "src, *.md" in refused.err
    assert "wfledger fail --kind question" in refused.err
    assert session.write("src/new.py") == Answer()
    assert session.write(session.folder / "README.md") == Answer()
    assert session.shell("echo 1 > docs/x").status == 2
    assert session.shell("echo 1 > src/x && cat docs/y") == Answer()


@pytest.mark.requirement("WFL-HOOK-002")
def test_write_outside_of_the_worktree_is_refused(session: Session) -> None:
    root = session.terminal.root
    for path in (root / "src/app.py", root / ".wfledger/ledger.json", Path("/etc/x"), Path("../x")):
        assert session.write(path).status == 2, path
        assert session.shell(f"touch {path}").status == 2, path
    assert session.write(session.folder / ".git").status == 2
    link = session.folder / "src/link"
    link.symlink_to(root)
    assert session.write(link / "src/app.py").status == 2
    assert session.shell("echo > /dev/null 2> /tmp/wfledger-test-log").status == 0


@pytest.mark.long
def test_clone_of_an_attempt_is_known_like_a_worktree(tmp_path: Path) -> None:
    session = claim(open_terminal(tmp_path, fleet='[defaults]\nisolation = "clone"\n'))
    assert (session.folder / ".git").is_dir()
    assert session.write("docs/x").status == 2
    assert session.write("src/x") == Answer()
    assert session.write(session.folder / ".git/config").status == 2
    assert session.ask("PostToolUse", "Read") == Answer()
    assert session.terminal.workspace.ledger.layout.beat(session.task, 1).read_text() == "1"


def test_protected_path_is_refused_although_a_pattern_covers_it(tmp_path: Path) -> None:
    session = claim(open_terminal(tmp_path), write=["**"])
    assert "protected" in session.write(".github/workflows/ci.yml").err
    assert session.write("any/thing.py") == Answer()


def test_reader_may_write_nothing_but_its_result_file(tmp_path: Path) -> None:
    session = claim(open_terminal(tmp_path), write=[])
    result = tmp_path / "result.json"
    assert "only reads" in session.write("src/app.py").err
    assert session.write(result).status == 2
    assert session.write(result, env={"WFLEDGER_RESULT_FILE": str(result)}) == Answer()


@pytest.mark.requirement("WFL-HOOK-001")
def test_session_without_a_claim_is_let_go_on(session: Session, tmp_path: Path) -> None:
    root = session.terminal.root
    for event in ("PreToolUse", "PostToolUse", "Stop", "SubagentStop", "TeammateIdle", "Other"):
        assert session.ask(event, "Write", {"file_path": "any"}, cwd=root) == Answer()
        assert session.ask(event, "Write", {"file_path": "any"}, cwd=tmp_path) == Answer()
    stale = {"WFLEDGER_TASK": session.task, "WFLEDGER_TOKEN": "wrong"}
    assert session.ask("Stop", cwd=root, env=stale) == Answer()
    assert session.ask("Stop", cwd=root, env={"WFLEDGER_TASK": "../x", "WFLEDGER_TOKEN": "y"}) == Answer()


@pytest.mark.requirement("WFL-HOOK-001")
def test_claim_is_known_by_environment_wherever_the_session_stands(session: Session) -> None:
    root = session.terminal.root
    assert session.write("src/app.py", cwd=root, env=session.env).status == 2
    assert session.write(session.folder / "src/app.py", cwd=root, env=session.env) == Answer()
    # and without any, what is written into an attempt's worktree is held to its scope
    assert session.write(session.folder / "docs/x", cwd=root).status == 2


@pytest.mark.requirement("WFL-HOOK-001")
def test_claim_is_known_once_a_tool_has_shown_its_token(session: Session) -> None:
    root = session.terminal.root
    assert session.write(root / "src/app.py", cwd=root) == Answer()
    claimed = json.dumps({"task": session.task, "token": session.token})
    said = [{"type": "text", "text": claimed}]
    tool = "mcp__wfledger__wf_claim"
    assert session.ask("PostToolUse", tool, cwd=root, tool_response=said) == Answer()
    assert beat(session).read_text() == "1"
    assert session.write(root / "src/app.py", cwd=root).status == 2
    assert session.write(session.folder / "src/app.py", cwd=root) == Answer()
    assert session.ask("Stop", cwd=root).status == 2
    session.name = "another"
    assert session.write(root / "src/app.py", cwd=root) == Answer()
    assert session.ask("Stop", cwd=root) == Answer()


@pytest.mark.requirement("WFL-HOOK-005")
def test_session_that_lost_a_shown_claim_is_told_once(session: Session) -> None:
    root = session.terminal.root
    said = f"export WFLEDGER_TOKEN={session.token}\n"
    session.ask("PostToolUse", "Bash", cwd=root, tool_response=said)
    take_away(session)
    assert session.ask("PostToolUse", cwd=root).status == 2
    assert session.ask("PostToolUse", cwd=root) == Answer()
    assert session.write(root / "x", cwd=root) == Answer()


# -- after a tool ----------------------------------------------------------------------------------


def beat(session: Session) -> Path:
    return session.terminal.workspace.ledger.layout.beat(session.task, 1)


@pytest.mark.requirement("WFL-HOOK-005")
def test_claim_is_renewed_but_not_at_every_tool(session: Session) -> None:
    assert session.ask("PostToolUse", "Read") == Answer()
    assert beat(session).read_text() == "1"
    assert session.ask("PostToolUse", "Read") == Answer()
    assert beat(session).read_text() == "1"
    os.utime(beat(session), (1, 1))
    assert session.ask("PostToolUse", "Read", cwd=session.terminal.root, env=session.env) == Answer()
    assert beat(session).read_text() == "2"


def test_runtime_speaks_for_the_worker_that_it_started(session: Session, tmp_path: Path) -> None:
    env = {**session.env, "WFLEDGER_RESULT_FILE": str(tmp_path / "result.json")}
    assert session.ask("PostToolUse", "Read", env=env) == Answer()
    assert not beat(session).exists()


@pytest.mark.requirement("WFL-HOOK-005")
def test_agent_whose_claim_was_taken_away_is_told_to_stop(session: Session) -> None:
    take_away(session)
    told = session.ask("PostToolUse", "Read")
    assert told.status == 2
    assert "Stop working on it" in told.err
    assert "lost" in told.err
    assert session.write("src/app.py").status == 2
    assert session.write(session.terminal.root / "x") == Answer()
    assert session.ask("Stop") == Answer()


def test_session_that_has_handed_in_is_let_alone(session: Session) -> None:
    (session.folder / "src/app.py").write_text("A = 2\n")
    session.terminal(f"wfledger complete {session.task} --token {session.token}")
    root = session.terminal.root
    for event in ("PostToolUse", "Stop"):
        assert session.ask(event, "Read", cwd=root, env=session.env) == Answer()
    assert session.write(root / "x", cwd=root, env=session.env) == Answer()


# -- before a stop ---------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HOOK-003", "WFL-HOOK-004")
@pytest.mark.sampled(5)
@pytest.mark.parametrize("agent", AGENTS)
def test_stop_without_a_result_is_held_twice_and_then_let_go(session: Session, agent: str) -> None:
    session.agent = agent
    first, second, third = (session.ask("Stop") for _ in range(3))
    assert (first.status, second.status, third.status) == (2, 2, 0)
    assert "wfledger complete" in first.err
    assert "reminder 2 of 2" in second.err
    said = third.out if agent in {"kimi", "opencode"} else json.loads(third.out)["systemMessage"]
    assert "lets this session stop" in said
    session.name = "session-2"
    assert session.ask("Stop").status == 2


@pytest.mark.requirement("WFL-HOOK-003")
def test_every_event_that_ends_something_counts_for_the_same_session(session: Session) -> None:
    assert session.ask("TaskCompleted", task_id="3", task_subject="x").status == 2
    assert session.ask("TeammateIdle", teammate_name="t").status == 2
    assert session.ask("Stop").status == 0
    assert session.ask("SubagentStop", agent_id="a", agent_type="Explore") == Answer()
    assert session.ask("SubagentStop", agent_id="a", agent_type="worker").status == 2


@pytest.mark.requirement("WFL-HOOK-004")
def test_hooks_at_the_same_time_hold_no_more_than_twice(session: Session) -> None:
    found: list[int] = []
    ready = threading.Barrier(6)

    def stop() -> None:
        ready.wait()
        found.append(session.ask("Stop").status)

    threads = [threading.Thread(target=stop) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 0, 2, 2]


@pytest.mark.requirement("WFL-HOOK-003")
def test_worker_of_a_runtime_is_held_for_what_could_not_count(
    session: Session, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    env = {**session.env, "WFLEDGER_RESULT_FILE": str(result)}
    assert "nothing has changed" in session.ask("Stop", env=env).err
    (session.folder / "src/app.py").write_text("A = 2\n")
    assert session.ask("Stop", env=env) == Answer()
    result.write_text("{")
    assert "as valid JSON" in session.ask("Stop", env=env).err
    result.write_text('{"status": "succeeded", "summary": "done"}')
    assert session.ask("Stop", env=env) == Answer()
    git(session.folder, "commit", "-qam", "work")
    result.unlink()
    assert session.ask("Stop", env=env) == Answer()


# -- trouble ---------------------------------------------------------------------------------------


@pytest.mark.requirement("WFL-HOOK-006")
def test_half_a_character_keeps_nobody_from_a_tool(session: Session) -> None:
    session.name = "\ud800"
    assert session.write("\ud800").status == 0
    assert {session.ask(event).status for event in ("PostToolUse", "Stop")} == {0}


@pytest.fixture
def broken(session: Session) -> Iterator[Session]:
    """A session whose ledger cannot be read."""
    ledger = session.terminal.root / ".wfledger"
    aside = ledger.with_name("aside")
    ledger.rename(aside)
    yield session
    with suppress(FileNotFoundError):
        aside.rename(ledger)


@pytest.mark.requirement("WFL-HOOK-006")
def test_trouble_of_the_ledger_never_stops_a_tool(broken: Session) -> None:
    for event in ("PreToolUse", "PostToolUse", "Stop"):
        given = broken.ask(event, "Write", {"file_path": "docs/x"}, env=broken.env)
        assert given.status == 0, given
    (broken.terminal.root / ".wfledger").write_text("no folder")
    assert broken.write("docs/x", env=broken.env).status == 0
    (broken.terminal.root / ".wfledger").unlink()
