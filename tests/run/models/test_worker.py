"""Tasks done by models, through the real engine: landed, refused, ended, and nothing given away."""

import json
import os
import signal
import stat
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.confining import needs_bwrap
from tests.support.engines import AT_ONCE, NOTHING_LEFT, drive, leftovers, outcomes
from tests.support.models import KEY, calls, submits, told
from tests.support.rehearsals import Rehearse, allow_unsandboxed
from tests.support.repos import git
from tests.support.waiting import until
from tests.support.workspaces import BRANCH, add_task, make_workspace
from wfledger.core.documents import Result
from wfledger.run.config.known import built_in
from wfledger.run.money import breakers
from wfledger.run.rehearsal.script import FAILURES, Script
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.workspace import Workspace

WRITES = calls("write", path="src/a.py", content="a = 1\n")
DONE = (WRITES, submits())
TASK = "r1.t"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for profile in built_in().values():
        if profile.key is not None:
            monkeypatch.setenv(profile.key, KEY)


def _fleet(server: Rehearsal, provider: str = "deepseek", model: str = "", **role: Any) -> str:
    """Return a fleet whose one role is a model of *provider*, a server that waits for nothing."""
    profile = built_in()[provider]
    name = model or next((one.name for one in profile.models), "a-model")
    said = "".join(f"{key} = {value}\n" for key, value in role.items())
    return (
        f'[role.coder]\nmodel = "{provider}/{name}"\n{said}'
        f'[provider.{provider}]\nbase_url = "{server.chat_url}"\n'
    )


def _workspace(
    tmp_path: Path, fleet: str, files: Mapping[str, str] | None = None, **spec: Any
) -> Workspace:
    workspace = make_workspace(tmp_path, {"src/old.py": "old = 1\n", **(files or {})}, fleet=fleet)
    task = {"command": None, "prompt": "Do it.", "write": ("src/**",), "retry": AT_ONCE, **spec}
    add_task(workspace, "t", **task)
    return workspace


def _result(workspace: Workspace, attempt: int = 1) -> Result:
    result = workspace.ledger.result(TASK, attempt)
    assert result is not None
    return result


def _landed(workspace: Workspace) -> str:
    return git(workspace.main, "ls-tree", "-r", "--name-only", BRANCH)


@pytest.mark.requirement("WFL-MODEL-052")
def test_a_model_does_a_task_that_lands(tmp_path: Path, rehearse: Rehearse) -> None:
    lies = submits(usage={"input": 1, "cost_usd": 99.0, "source": "meter"}, changed=["x"])
    server = rehearse(script=Script((WRITES, lies), rules=("deepseek",), key=KEY))
    # What a worktree holds is not taken for a module of ours.
    planted = {"openai.py": "raise SystemExit(7)\n", "wfledger/__init__.py": "boom\n"}
    workspace = _workspace(tmp_path, _fleet(server), files=planted)
    drive(workspace)
    assert "src/a.py" in _landed(workspace)
    result = _result(workspace)
    assert result.usage is not None
    assert (result.usage.requests, result.usage.tokens, result.usage.source) == (2, 240, "meter")
    assert result.usage.cost_usd == pytest.approx(0.0004224)
    assert result.agent == {
        "adapter": "model", "model": "deepseek-v4-pro", "session": f"{TASK}.1",
    }  # fmt: skip
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
def test_servers_of_this_machine_do_their_tasks_beside_a_provider_that_is_paid(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    """The others that are paid are asked by examples/models."""
    names = ["minimax", *sorted(name for name, known in built_in().items() if known.key is None)]
    scripts, fleet = {}, ""
    for name in names:
        field = "reasoning_details" if name == "minimax" else "reasoning_content"
        writes = calls("write", path=f"{name}/a.py", content="a = 1\n")
        turns = (replace(one, reasoning_field=field) for one in (writes, submits()))
        rule = name if built_in()[name].key else "local"
        scripts[_model(name)] = Script(tuple(turns), rules=(rule,))
    server = rehearse(script=Script(models=scripts))
    for name in names:
        fleet += (
            f'[role.{name}]\nmodel = "{name}/{_model(name)}"\n'
            f'[provider.{name}]\nbase_url = "{server.chat_url}"\n'
        )
    workspace = make_workspace(tmp_path, fleet=fleet)
    for name in names:
        add_task(workspace, name, command=None, prompt="Do it.", role=name, write=(f"{name}/**",))
    drive(workspace, slots=4)
    assert set(_landed(workspace).split()) == {"README.md", *(f"{name}/a.py" for name in names)}
    for name in names:
        result = workspace.ledger.result(f"r1.{name}", 1)
        assert result is not None
        assert result.usage is not None
        assert (result.usage.cost_usd is None) == (built_in()[name].key is None)
        assert result.usage.tokens == 240


def _model(name: str) -> str:
    return next((one.name for one in built_in()[name].models), f"a-model-of-{name}")


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-050")
@pytest.mark.requirement("WFL-MODEL-051")
def test_a_key_is_nowhere_but_where_it_belongs(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(
        calls("list"), calls("write", path="src/a.py", content=f"key = '{KEY}'\n"),
        submits(summary=f"The key is {KEY}.", findings=[{"key": KEY}]),
    )  # fmt: skip
    seen: list[str] = []
    workspace = _workspace(tmp_path, _fleet(server))
    looker = threading.Thread(target=_look_at_children, args=(server, seen))
    looker.start()
    drive(workspace)
    looker.join()
    assert server.asked[0].key == KEY
    assert seen, "the child was seen at work"
    assert all(KEY not in one for one in seen)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    holding = {path.name for path in written if KEY.encode() in path.read_bytes()}
    # The model wrote it into a file: nobody told it, it was in the script.
    assert holding <= {"a.py"}
    assert "[redacted]" in _result(workspace).summary
    transcript = workspace.ledger.layout.local / "transcripts" / f"{TASK}.1.jsonl"
    assert stat.S_IMODE(transcript.stat().st_mode) == 0o600
    assert "transcripts" not in _landed(workspace)


def _look_at_children(server: Rehearsal, seen: list[str]) -> None:
    """Note the command line and what can be read of the environment of the model's process."""
    server.await_requests(1)
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - numbers
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if "wfledger.run.models" in command:
            seen.append(command)
            try:
                seen.append(Path(f"/proc/{pid}/environ").read_text())
            except OSError:
                continue


@pytest.mark.long
def test_a_provider_that_refuses_everybody_is_closed(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script((WRITES,), after=FAILURES["429-quota"]))
    workspace = _workspace(tmp_path, _fleet(server))
    drive(workspace)
    assert outcomes(workspace, TASK) == ["quota"]
    opened = breakers.state(workspace, "deepseek").opened
    assert opened is not None
    assert opened.kind == "quota"
    assert server.count() == 2
    assert _result(workspace).head != _result(workspace).base, "what was written is kept"


@pytest.mark.long
def test_what_is_the_tasks_own_blocks_it(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=FAILURES["400"]))
    workspace = _workspace(tmp_path, _fleet(server))
    drive(workspace)
    assert outcomes(workspace, TASK) == ["request"]
    assert breakers.state(workspace, "deepseek").opened is None
    assert server.count() == 1


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-013")
def test_a_session_goes_on_where_a_server_broke_off(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.run.models.worker._PAUSE_S", 0.01)
    server = rehearse(WRITES, *[FAILURES["500"]] * 5, submits())
    workspace = _workspace(tmp_path, _quick(server))
    drive(workspace)
    assert "src/a.py" in _landed(workspace)
    assert told(server)[:4] == told(server, 1)[:4]
    usage = _result(workspace).usage
    assert usage is not None
    assert usage.requests == 2


def _quick(server: Rehearsal) -> str:
    """Return a fleet with a provider of its own profile, which waits for nothing."""
    return (
        '[role.coder]\nmodel = "own/m"\n'
        "[profile.own]\nbackoff_s = 0.001\n"
        f'[provider.own]\nprofile = "own"\nbase_url = "{server.chat_url}"\n'
    )


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-013")
def test_a_process_that_is_killed_goes_on_with_its_session(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfledger.run.models.worker._PAUSE_S", 0.01)
    server = rehearse(WRITES, FAILURES["hang"], submits())
    workspace = _workspace(tmp_path, _quick(server))
    killer = threading.Thread(target=_kill_the_child, args=(server,))
    killer.start()
    drive(workspace)
    killer.join()
    assert "src/a.py" in _landed(workspace)
    assert told(server, 2) == told(server, 1), "it is the same conversation"
    usage = _result(workspace).usage
    assert usage is not None
    assert usage.requests == 2


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-013")
def test_a_session_that_its_time_would_end_does_not_go_on(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    server = rehearse(script=Script((WRITES,), after=FAILURES["500"]))
    workspace = _workspace(
        tmp_path, _quick(server), limits={"wall_s": 20.0}, retry={"max_attempts": 1}
    )
    drive(workspace)
    assert outcomes(workspace, TASK) == ["transport"]
    assert server.count() == 6
    usage = _result(workspace).usage
    assert usage is not None
    assert usage.tokens == 120
    assert _result(workspace).head != _result(workspace).base


def _kill_the_child(server: Rehearsal) -> None:
    server.await_requests(2)
    until(lambda: _children() != [])
    for pid in _children():
        os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Return the processes of models that this process has started."""
    pids = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for task in Path("/proc/self/task").iterdir():
        pids += (task / "children").read_text().split()
    return [
        int(pid) for pid in dict.fromkeys(pids)
        if "wfledger.run.models" in Path(f"/proc/{pid}/cmdline").read_text()
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-040")
def test_a_budget_that_is_used_up_keeps_the_work(tmp_path: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=WRITES))
    workspace = _workspace(tmp_path, _fleet(server, budget="{ steps = 3 }"))
    drive(workspace)
    assert outcomes(workspace, TASK) == ["budget"]
    assert server.count() == 3
    message = workspace.ledger.get(TASK).task.attempts[0].message
    assert "budget of 3 steps is used up: what [role.coder] of fleet.toml gives" in message
    result = _result(workspace)
    assert result.head != result.base
    assert [change.path for change in result.changed] == ["src/a.py"]


@pytest.mark.long
@needs_bwrap
@pytest.mark.requirement("WFL-MODEL-033")
@pytest.mark.requirement("WFL-MODEL-034")
def test_commands_run_in_a_sandbox_and_see_no_secret(
    tmp_path: Path, rehearse: Rehearse
) -> None:
    line = (
        "env; echo mine > src/a.py; echo no > /etc/x; echo no > ../../x;"
        f" (setsid sleep 300 &) ; echo {tmp_path}; cat /proc/1/cmdline | tr '\\0' ' '"
    )
    server = rehearse(calls("run", command=line), calls("run", command="exit 3"), submits())
    tools = json.dumps(["read", "write", "run"])
    workspace = _workspace(tmp_path, _fleet(server, tools=tools))
    drive(workspace)
    assert "src/a.py" in _landed(workspace)
    answers = [one["content"] for one in told(server) if one["role"] == "tool"]
    assert answers[0].startswith("(exit status 0")
    assert answers[1] == "(exit status 3)\n"
    assert KEY not in json.dumps([one.body for one in server.asked])
    assert "WFLEDGER_TOKEN" not in answers[0]
    assert "DEEPSEEK" not in answers[0]
    assert "wfledger.run.models" not in answers[0]
    confined = _result(workspace).confined
    assert confined is not None
    assert confined.sandbox == "bwrap"
    assert leftovers(workspace) == NOTHING_LEFT


@pytest.mark.long
@pytest.mark.requirement("WFL-MODEL-033")
@pytest.mark.requirement("WFL-MODEL-034")
@pytest.mark.requirement("WFL-MODEL-035")
def test_commands_without_a_sandbox_are_a_matter_of_this_machine(
    tmp_path: Path, home: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wfledger.run.workers.confining.trouble", lambda confinement: "there is none"
    )
    server = rehearse(
        calls("run", command="echo mine > src/a.py; env"),
        calls("run", command="echo begun; sleep 300", timeout_s=0.3),
        calls("run", command="head -c 300000 /dev/zero | tr '\\0' x"), submits(),
    )  # fmt: skip
    fleet = _fleet(server, tools=json.dumps(["read", "run"]))
    workspace = _workspace(tmp_path, fleet)
    drive(workspace)
    assert outcomes(workspace, TASK) == ["environment"]
    assert server.count() == 0
    message = workspace.ledger.get(TASK).task.attempts[0].message
    assert 'allow_unsandboxed = ["coder"]' in message
    allow_unsandboxed(home)
    add_task(
        workspace, "u", command=None, prompt="Do it.", write=("src/**",), retry=AT_ONCE
    )
    drive(workspace)
    assert outcomes(workspace, "r1.u") == ["succeeded"]
    answers = [one["content"] for one in told(server) if one["role"] == "tool"]
    assert KEY not in answers[0]
    assert "WFLEDGER_TOKEN" not in answers[0]
    assert answers[1].startswith("(ended after 0.3 s, its limit")
    assert "begun" in answers[1]
    assert len(answers[2]) < 40_000
