"""Agents at work: from a task to what has landed, with a program of our own in the agent's place."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support import agents
from tests.support.attempts import FILES, ID, result_of
from tests.support.confining import needs_bwrap
from tests.support.engines import AT_ONCE, LIMITS, drive, outcomes, statuses
from tests.support.repos import git
from tests.support.workspaces import BRANCH, add_task, make_workspace
from wfledger.core.documents import Task
from wfledger.run.workspace import Workspace

WORK = "DO echo new > src/new.txt"
KEY = "sk-canary-0123456789abcdefghijklmn"
SEEDED = "canary-that-nobody-lists"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return ready(tmp_path, monkeypatch)


def ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, role: str = 'sandbox = "none"',
    served: bool = False,
) -> Workspace:  # fmt: skip
    """Return a ledger with the agent installed, its key set, and secrets that are none of its."""
    path = agents.install(tmp_path / "bin")
    agents.allow_unsandboxed()
    monkeypatch.setenv("THERE_KEY", KEY)
    monkeypatch.setenv("OTHER_SECRET", SEEDED)
    return make_workspace(tmp_path, FILES, fleet=agents.fleet(path, role=role, served=served))


def do(workspace: Workspace, prompt: str, **spec: Any) -> Task:
    """Let the agent do one task, to its end."""
    fields = {"prompt": prompt, "command": None, "write": ("src",), "limits": LIMITS}
    add_task(workspace, "a", **(fields | {"retry": {"max_attempts": 1}} | spec))
    drive(workspace, slots=1)
    return workspace.ledger.get(ID).task


def log_of(workspace: Workspace) -> str:
    return workspace.ledger.layout.log(ID, 1).read_text()


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-010")
@pytest.mark.requirement("WFL-ADAPT-032")
def test_work_of_an_agent_lands_and_its_result_says_who_it_was(made: Workspace) -> None:
    do(made, WORK)
    assert statuses(made)[ID] == "done"
    assert git(made.main, "show", f"{BRANCH}:src/new.txt") == "new"
    result = result_of(made)
    assert result.summary == "All done."
    assert result.agent == {"adapter": "scripted", "version": "7.1", "session": "s-1"}
    assert result.usage is not None
    assert (result.usage.input, result.usage.output, result.usage.source) == (10, 2, "agent")
    assert result.confined is not None
    assert result.confined.sandbox == "none"


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-012")
@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("fail '401 Unauthorized' 0", "auth"), ("fail 'insufficient_quota' 1", "quota"),
        ("fail 'it broke'", "task"),
        ("exit 0", "task"), ("trap 'exit 3' EXIT", "task"), (":", "no_change"),
        ("echo outside > README.md", "out_of_scope"),
    ],
)  # fmt: skip
def test_end_of_an_agent_is_what_its_events_its_diff_and_its_status_say(
    made: Workspace, line: str, outcome: str
) -> None:
    task = do(made, f"DO {line}")
    assert statuses(made)[ID] != "done"
    found = task.attempts[-1].outcome if task.block is None else task.block.code
    assert outcome in {found, task.attempts[-1].outcome}
    assert git(made.main, "rev-parse", BRANCH) == git(made.main, "rev-parse", "main")


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-013", "WFL-PROC-002")
def test_session_that_died_of_its_server_is_gone_on_with_in_the_same_attempt(
    made: Workspace,
) -> None:
    do(made, f"DO [ $tries -lt 3 ] && echo $tries >> src/tries && fail 'HTTP 503'\n{WORK}")
    assert statuses(made)[ID] == "done"
    assert outcomes(made, ID) == ["succeeded"]
    assert git(made.main, "show", f"{BRANCH}:src/tries").split() == ["1", "2"]
    # The log says what it died of, too, and nothing of that is taken for what it said last.
    said = log_of(made)
    assert said.count("HTTP 503") > 1
    assert said.count("[wfledger: it goes on with its session after this: ") == 2
    assert "resumed s-1" in said


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-013")
def test_session_is_gone_on_with_twice_and_then_left_to_another_attempt(made: Workspace) -> None:
    line = "DO echo x >> src/tries; fail 'connection reset'"
    do(made, line, retry={"max_attempts": 2, **AT_ONCE})
    assert outcomes(made, ID) == ["transport", "transport"]
    kept = f"refs/wfledger/keep/{ID}/1"
    assert git(made.main, "show", f"{kept}:src/tries").split() == ["x"] * 3


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-016")
def test_agent_that_tries_again_until_its_time_is_up_has_met_a_failing_server(
    made: Workspace,
) -> None:
    line = """DO echo '{"type": "error", "error": {"message": "503, again"}}'; exec sleep 60"""
    task = do(made, line, limits={"wall_s": 0.5})
    assert task.attempts[-1].outcome == "transport"
    assert "its limit" in task.attempts[-1].message


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-014")
def test_agent_hands_in_by_its_result_file(made: Workspace) -> None:
    asks = '{"status": "blocked", "summary": "which?", "open_questions": ["a or b?"]}'
    task = do(made, f"DO printf '%s' '{asks}' > $WFLEDGER_RESULT_FILE")
    assert task.block is not None
    assert (task.block.code, task.block.reason) == ("question", "a or b?")


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-021")
@pytest.mark.requirement("WFL-ADAPT-022")
def test_key_goes_to_the_agent_alone_and_no_other_secret_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ready(tmp_path, monkeypatch, role='sandbox = "none"', served=True)
    asks = '{"status": "succeeded", "summary": "the key is \'"$AGENT_KEY"\'"}'
    do(workspace, "\n".join([
        "DO env | sort", f"DO printf '%s' '{asks}' > $WFLEDGER_RESULT_FILE",
        "DO env | sed 's/=.*//' | sort > src/names", WORK,
    ]))  # fmt: skip
    assert statuses(workspace)[ID] == "done"
    assert result_of(workspace).summary == "the key is [redacted]"
    names = git(workspace.main, "show", f"{BRANCH}:src/names").split()
    assert {"AGENT_KEY", "AGENT_URL", "AGENT_MODEL", "AGENT_HOME"} <= set(names)
    assert {"THERE_KEY", "OTHER_SECRET"} & set(names) == set()
    assert "AGENT_KEY=[redacted]" in log_of(workspace)
    for root in (workspace.common_dir, workspace.ledger.layout.root, workspace.state):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                raw = path.read_bytes()
                assert KEY.encode() not in raw, path
                assert SEEDED.encode() not in raw, path
    everything = git(workspace.main, "log", "--all", "-p")
    assert KEY not in everything
    assert SEEDED not in everything


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-015")
def test_tokens_are_priced_as_fleet_toml_prices_the_providers_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ready(tmp_path, monkeypatch, served=True)
    do(workspace, WORK)
    result = result_of(workspace)
    assert result.usage is not None
    assert result.usage.cost_usd == pytest.approx((10 * 1.0 + 2 * 10.0) / 1e6)
    assert result.agent is not None
    assert result.agent["model"] == "small"
    assert result.route is not None
    assert (result.route.provider, result.route.model) == ("there", "small")


@pytest.mark.long
def test_missing_program_is_the_machines_with_what_installs_it(
    made: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "scripted-agent").unlink()
    task = do(made, WORK)
    assert task.block is not None
    assert task.block.code == "environment"
    assert "install it: make install" in task.block.reason


@pytest.mark.long
def test_agent_that_is_not_logged_in_is_told_how(made: Workspace) -> None:
    task = do(made, "DO fail 'Not logged in'")
    assert "log in: scripted-agent login" in task.attempts[-1].message


@pytest.mark.long
def test_prompt_that_no_argument_holds_is_read_from_a_file(made: Workspace) -> None:
    do(made, "x" * 140_000)
    assert "asked: Your task is in the file /" in log_of(made)


@needs_bwrap
@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-030")
@pytest.mark.requirement("WFL-ADAPT-032")
def test_agent_in_our_sandbox_writes_its_worktree_and_its_home_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Path(os.environ["HOME"]) / ".codex" / "auth.json"
    login.parent.mkdir()
    login.write_text('{"token": "of a person"}')
    workspace = ready(tmp_path, monkeypatch, role="")
    outside = workspace.main / "README.md"
    do(workspace, "\n".join([
        f"DO echo x >> {outside} || echo kept >> src/new.txt",
        f"DO [ -s {login} ] || echo hidden >> src/new.txt",
        "DO echo mine > $AGENT_HOME/mine && echo own >> src/new.txt",
    ]))  # fmt: skip
    assert statuses(workspace)[ID] == "done"
    assert git(workspace.main, "show", f"{BRANCH}:src/new.txt").split() == ["kept", "hidden", "own"]
    assert outside.read_text() == FILES["README.md"]
    confined = result_of(workspace).confined
    assert confined is not None
    assert (confined.sandbox, confined.isolation) == ("bwrap", "clone")


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-032")
def test_agent_that_shuts_itself_in_is_told_to_and_its_result_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ready(tmp_path, monkeypatch, role='sandbox = "own"')
    path = workspace.ledger.layout.root / "fleet.toml"
    text = path.read_text().replace('"{prompt}"]', '"{prompt}", "", "{+own}"]', 1)
    path.write_text(text.replace("stream =", 'args = { own = ["--shut", "{desk}"] }\nstream =', 1))
    do(workspace, "DO echo $3 > src/new.txt")
    assert git(workspace.main, "show", f"{BRANCH}:src/new.txt") == "--shut"
    confined = result_of(workspace).confined
    assert confined is not None
    assert (confined.sandbox, confined.isolation) == ("own", "clone")


@pytest.mark.long
@pytest.mark.requirement("WFL-ADAPT-031")
def test_agent_that_may_not_run_in_the_open_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ready(tmp_path, monkeypatch)
    agents.allow_unsandboxed('["somebody-else"]')
    task = do(workspace, WORK)
    assert task.block is not None
    assert "allow_unsandboxed" in task.block.reason
    assert not workspace.ledger.layout.log(ID, 1).exists()
