"""`wfledger mcp`, as agents meet it: real clients, real pipes, real worktrees."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.driving import submit_tasks, take
from tests.support.mcpclients import Agent, agent, drive
from tests.support.repos import files_at, git, make_repo, write
from tests.support.sealed import ROOT
from tests.support.terminal import Terminal, open_terminal
from tests.support.waiting import until
from wfledger.core.policy import Policy
from wfledger.run.attempts.recovery import recover_lost

TOOLS = [
    "wf_brief", "wf_ready", "wf_claim", "wf_heartbeat", "wf_complete", "wf_fail", "wf_expand",
    "wf_status",
]  # fmt: skip
WRITER: dict[str, Any] = {
    "id": "one", "command": "true", "title": "Make A two", "write": ["src"],
    "verify": "grep -q 2 src/app.py",
}  # fmt: skip


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


async def size_of_tools(one: Agent) -> tuple[list[str], int]:
    listed = await one.client.list_tools()
    raw = json.dumps(listed.model_dump(mode="json", by_alias=True, exclude_none=True))
    return [tool.name for tool in listed.tools], len(raw.encode())


@pytest.mark.requirement("WFL-MCP-002", "WFL-MCP-003", "WFL-MCP-020", "WFL-MCP-021")
@pytest.mark.requirement("WFL-MCP-010", "WFL-MCP-011")
def test_agent_takes_a_task_mends_what_is_refused_and_lands_it(terminal: Terminal) -> None:
    run = submit_tasks(terminal, WRITER)

    async def script() -> None:
        async with agent(terminal.root) as one:
            names, size = await size_of_tools(one)
            assert (names, size <= 4096) == (TOOLS, True)
            assert "1 waiting" in (await one("wf_brief"))["text"]
            ready = await one("wf_ready")
            assert [task["task"] for task in ready["ready"]] == [f"{run}.one"]
            claim = await one("wf_claim")
            assert (claim["task"], claim["attempt"], claim["write"]) == (f"{run}.one", 1, ["src"])
            assert "grep -q 2 src/app.py" in claim["brief"]
            assert claim["deadline"].startswith("20")
            assert claim["token"] not in claim["brief"]
            folder = Path(claim["worktree"])
            assert git(folder, "rev-parse", "HEAD") == claim["base"]
            write(folder, {"stray.txt": "x\n", "src/app.py": "A = 1 + 0\n"})
            refused = await one.refused("wf_complete")
            assert [reason["code"] for reason in refused["reasons"]] == [
                "out_of_scope", "verification",
            ]  # fmt: skip
            assert (refused["claim"], refused["status"]) == ("kept", "in-progress")
            assert refused["reasons"][0]["paths"] == ["stray.txt"]
            write(folder, {"stray.txt": None, "src/app.py": "A = 2\n"})
            assert (await one("wf_complete", check_only=True))["checked"] == "passed"
            done = await one("wf_complete", summary="A is two", findings=[{"title": "it was one"}])
            assert (done["landing"], done["claim"], done["status"]) == ("done", "over", "done")

    drive(script)
    assert files_at(terminal.root, f"wf/{run}")["src/app.py"] == "A = 2"
    result = terminal.workspace.ledger.result(f"{run}.one", 1)
    assert result is not None
    assert (result.summary, result.findings) == ("A is two", ({"title": "it was one"},))


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-001", "WFL-MCP-004")
def test_two_agents_race_for_one_task_and_the_zombie_is_told(terminal: Terminal) -> None:
    """The second was started in the worktree of a claim, and outlives that."""
    noisy = {"id": "zero", "command": "true", "write": ["doc"], "verify": "echo {}; test -d doc"}
    first_run = submit_tasks(terminal, noisy)
    held = take(terminal, f"{first_run}.zero")

    async def script() -> None:
        async with agent(terminal.root) as one, agent(held.folder) as two:
            assert f"You hold attempt 1 of {held.task}" in (await two("wf_brief"))["text"]
            write(held.folder, {"doc/a.md": "x\n"})
            done = await two("wf_complete", task="zero", token=held.token)
            assert (done["landing"], held.folder.exists()) == ("done", False)
            await race(one, two)

    async def race(one: Agent, two: Agent) -> None:
        run = submit_tasks(terminal, WRITER)
        both = await asyncio.gather(one.ask("wf_claim"), two.ask("wf_claim"))
        assert sorted(is_error for _, is_error in both) == [False, True]
        first, second = (one, two) if both[1][1] else (two, one)
        lost = next(found for found, is_error in both if is_error)
        assert lost["code"] == "nothing_to_claim"
        mine = next(found for found, is_error in both if not is_error)
        # Both are connected, so the lease does not run out by itself: it is taken over.
        terminal(f"wfledger release {mine['task']} --token {mine['token']}")
        again = await second("wf_claim", task="one")
        assert again["attempt"] == 2
        write(Path(again["worktree"]), {"src/app.py": "A = 2\n"})
        for tool, args in (
            ("wf_heartbeat", {}), ("wf_complete", {}), ("wf_fail", {"reason": "x"}),
            ("wf_expand", {"tasks": [{"id": "a", "command": "true"}]}),
        ):  # fmt: skip
            args |= {"task": mine["task"], "token": mine["token"]}
            refused = await first.refused(tool, **args)
            assert refused["code"] == "stale"
            assert refused["message"].startswith("your claim is over: attempt 1 of")
        assert (await second("wf_complete"))["landing"] == "done"
        assert terminal.status(f"{run}.one") == "done"

    drive(script)


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-012", "WFL-MCP-013")
def test_lease_is_renewed_while_the_server_lives_and_runs_out_when_it_is_killed(
    tmp_path: Path,
) -> None:
    terminal = open_terminal(tmp_path, policy=Policy(lease_s=0.5))
    run = submit_tasks(terminal, WRITER)
    name, workspace = f"{run}.one", terminal.workspace
    beat = workspace.ledger.layout.beat(name, 1)

    def look() -> bool:
        return recover_lost(workspace, report=lambda *_: None) == 1

    with Server(terminal.root) as server:
        claim = server.begin()
        write(Path(claim["worktree"]), {"src/app.py": "A = 5\n"})
        until(lambda: beat.exists() and int(beat.read_text()) >= 6)
        assert not look()
        server.process.kill()
        assert terminal.status(name) == "in-progress"  # nothing is released by that
        until(look)
    ended = terminal.task(name).attempts[0]
    assert (ended.outcome, ended.kept is not None) == ("lost", True)
    terminal(f"wfledger heartbeat {name} --token {claim['token']}", status=4)


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-005", "WFL-MCP-006", "WFL-MCP-011", "WFL-EXPAND-001")
def test_session_before_there_is_a_ledger_with_bad_calls_and_several_claims(
    tmp_path: Path,
) -> None:
    root = make_repo(tmp_path / "repo", {"src/app.py": "A = 1\n"})

    async def script() -> None:
        async with agent(root) as one:
            for tool in ("wf_brief", "wf_claim", "wf_status"):
                refused = await one.refused(tool)
                assert (refused["code"], refused["hint"]) == ("no_ledger", "wfledger init")
            terminal = open_terminal(tmp_path)
            assert "tasks: none" in (await one("wf_brief"))["text"]
            await _call_badly(one)
            await _hold_two(one, terminal)

    drive(script)


async def _call_badly(one: Agent) -> None:
    for tool, given, said in (
        ("wf_claim", {"task": 5}, "task must be a string"),
        ("wf_claim", {"colour": "red"}, "colour is not known"),
        ("wf_ready", {"limit": 0}, "limit must be 1 to 50"),
        ("wf_ready", {"limit": True}, "limit must be an integer"),
        ("wf_fail", {}, "reason is missing"),
        ("wf_fail", {"reason": "x", "kind": "lazy"}, "kind must be one of"),
        ("wf_expand", {"tasks": "[1"}, "tasks must be an array"),
        ("wf_complete", {"outputs": [1]}, "outputs must be an object"),
        ("wf_heartbeat", {}, "You hold none"),
        ("wf_status", {"id": "nope"}, "there is no run nope"),
        ("wf_dance", {}, "there is no tool"),
    ):
        refused = await one.refused(tool, **given)
        assert said in refused["message"]
        assert refused["code"] in {"usage", "not_found"}


async def _hold_two(one: Agent, terminal: Terminal) -> None:
    by_hand = {"id": "one", "manual": True, "title": "Make A two", "write": ["src"]}
    looked_at = {"id": "two", "command": "true", "verify": {"kind": "manual"}}
    run = submit_tasks(terminal, by_hand, looked_at)
    await one("wf_claim", task="one")
    await one("wf_claim", task="two", worktree=False)
    assert f"{run}.one, {run}.two" in (await one.refused("wf_heartbeat"))["message"]
    assert (await one("wf_heartbeat", task="one", note="thinks"))["attempt"] == 1
    tasks = json.dumps([{"id": "sub", "command": "true", "write": ["src/sub"]}])
    added = await one("wf_expand", task="one", tasks=tasks)  # encoded twice
    assert added["tasks"] == {"sub": f"{run}.one.sub"}
    asked = await one("wf_fail", task="one", kind="question", reason="Which one?")
    assert (asked["status"], asked["claim"]) == ("blocked", "over")
    waits = await one("wf_complete")  # the only one left; that a person is asked is no failure
    assert (waits["code"], waits["claim"], waits["ok"]) == ("approval", "over", True)
    status = await one("wf_status")
    assert (status["counts"]["blocked"], status["yours"]) == (2, [])
    assert [need["code"] for need in status["needs"]] == ["question", "approval"]
    assert "Which one?" in (await one("wf_status", id="one"))["reason"]
    listed = await one.client.list_resources()
    assert [str(each.uri) for each in listed.resources] == [f"wf://run/{run}"]
    shown = await one.client.read_resource(f"wf://task/{run}.one")
    assert json.loads(getattr(shown.contents[0], "text", ""))["task"]["status"] == "blocked"


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-013", "WFL-MCP-022")
@pytest.mark.parametrize("way", ["hang up", "terminate"])
def test_server_that_ends_leaves_no_process_and_no_claim_behind(
    terminal: Terminal, tmp_path: Path, way: str
) -> None:
    mark = tmp_path / "running"
    verify = f"echo $$ > {mark}; sleep 600"
    run = submit_tasks(terminal, {**WRITER, "verify": verify})
    with Server(terminal.root) as server:
        _end_in_the_middle(server, mark, way)
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()
    assert terminal.status(f"{run}.one") == "in-progress"
    token = terminal.workspace.ledger.layout.token(f"{run}.one", 1).read_text()
    terminal(f"wfledger heartbeat one --token {token}")  # it is still good


def _end_in_the_middle(server: "Server", mark: Path, way: str) -> None:
    """End the server while it verifies."""
    claim = server.begin()
    write(Path(claim["worktree"]), {"src/app.py": "A = 2\n"})
    _verifies(server, mark)
    if way == "terminate":
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 128 + signal.SIGTERM
        return
    first = mark.read_text().strip()
    server.send(None, "notifications/cancelled", requestId=3)
    until(lambda: not Path(f"/proc/{first}").exists())
    _verifies(server, mark)  # the claim is kept, and the next call is free to try again
    server.process.stdout.close()  # as when the client was killed: an answer finds no reader
    server.send(9, "ping")
    server.process.stdin.close()
    assert server.process.wait(30) == 0


def _verifies(server: "Server", mark: Path) -> None:
    """Call wf_complete until its verification runs; the one before may be at its very end."""
    mark.unlink(missing_ok=True)

    def answered() -> bool:
        return bool(select.select([server.process.stdout], [], [], 0)[0])

    while not (mark.exists() and mark.read_text().strip()):
        server.send(3, "tools/call", name="wf_complete", arguments={})
        until(lambda: answered() or (mark.exists() and mark.read_text().strip() != ""))
        if answered():
            found = json.loads(server.process.stdout.readline())["result"]["structuredContent"]
            assert found.get("code") == "busy" or found["claim"] == "kept", found


class Server:
    """A server spoken with line by line, to see each byte of what it says."""

    def __init__(self, folder: Path) -> None:
        self.process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, "-m", "wfledger", "mcp"], cwd=folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()

    def send(self, number: int | None, method: str, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        line = message if number is None else {**message, "id": number}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self) -> dict[str, Any]:
        """Shake hands as older clients do, and take the first task."""
        self.ask(
            1, "initialize", protocolVersion="2025-06-18", capabilities={},
            clientInfo={"name": "test", "version": "1"},
        )  # fmt: skip
        self.send(None, "notifications/initialized")
        found = self.ask(2, "tools/call", name="wf_claim", arguments={})
        claim: dict[str, Any] = found["structuredContent"]
        return claim

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        self.send(number, method, **params)
        found = json.loads(self.process.stdout.readline())  # each line is a message
        assert found["id"] == number
        result: dict[str, Any] = found["result"]
        return result


@pytest.mark.long
@pytest.mark.requirement("WFL-MCP-014")
def test_agent_that_a_runtime_started_leaves_its_envelope_to_it(tmp_path: Path) -> None:
    """A worker of `wfledger run` is a program that speaks MCP, as an agent would."""
    fleet = f'[role.agent]\nargv = ["{sys.executable}", "-m", "tests.mcp.runner", "{{prompt}}"]\n'
    fleet += f'env = {{PYTHONPATH = "{ROOT}"}}\n'
    terminal = open_terminal(tmp_path, fleet=fleet)
    run = submit_tasks(
        terminal, {"id": "one", "prompt": "A = 2", "write": ["src"], "worker": "agent",
                   "verify": "grep -q 2 src/app.py"},
    )  # fmt: skip
    done = terminal.shell(f"wfledger run {run} --json")
    assert json.loads(done.out)["verdict"] == "succeeded"
    result = terminal.workspace.ledger.result(f"{run}.one", 1)
    assert result is not None
    assert (result.summary, result.exit_status) == ("said by wf_complete", 0)
