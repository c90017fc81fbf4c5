"""`add`, the standing run that added tasks belong to, and prompts that roles run."""

import json
from pathlib import Path

import pytest

from tests.support.repos import commit, files_at, git
from tests.support.terminal import Terminal, open_terminal

ASK = '{"status": "blocked", "open_questions": ["tabs or spaces?"]}'
#: An agent: writes its prompt down, and asks a question at first.
AGENT = f"""#!/bin/sh
printf '%s' "$1" > src/prompt
test "$WFLEDGER_ATTEMPT" = 2 || echo '{ASK}' > "$WFLEDGER_RESULT_FILE"
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path)


def with_agent(tmp_path: Path, script: str = AGENT, more: str = "") -> Terminal:
    agent = tmp_path / "agent"
    agent.write_text(script)
    agent.chmod(0o755)
    return open_terminal(tmp_path, fleet=f'[role.agent]\nargv = ["{agent}", "{{prompt}}"]\n{more}')


def test_added_command_belongs_to_the_run_of_the_branch(terminal: Terminal) -> None:
    said = terminal("wfledger add 'Write it' --id it --write src -- sh -c 'echo 2 > src/app.py'")
    assert said.out == "main.it\n"
    assert "wfledger run main" in said.err
    terminal("wfledger run main")
    assert files_at(terminal.root, "wf/main")["src/app.py"] == "2"
    assert terminal.task("main.it").spec.title == "Write it"


@pytest.mark.requirement("WFL-PLAN-025")
def test_model_and_budget_of_an_added_prompt_are_kept(terminal: Terminal) -> None:
    terminal("wfledger add Look --id look --prompt p --model a/b --budget usd=1,time=2m --budget steps=3")
    spec = terminal.task("main.look").spec
    assert spec.model is not None
    assert (spec.model.model, spec.limits.wall_s) == ("a/b", 120)
    assert spec.budget is not None
    assert (spec.budget.usd, spec.budget.steps) == (1, 3)
    terminal("wfledger add Look --model a/b -- true", status=2)


@pytest.mark.long
def test_dependencies_may_be_named_in_short(terminal: Terminal) -> None:
    plan = terminal.run({"id": "planned", "command": "true"})
    terminal("wfledger add First --id first -- true")
    terminal("wfledger add Second --id second --after first --after planned -- true")
    assert terminal.task("main.second").spec.after == ("main.first", f"{plan}.planned")
    terminal("wfledger run main")
    assert terminal.status("main.second") == "done"
    terminal("wfledger add Third --after nothing -- true", status=2)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("--write ../x -- true", 7),
        ("--id 'Not Good' -- true", 2),
        ("--timeout 0 -- true", 2),
        ("--priority 9999999 -- true", 2),
        ("--prompt p -- true", 2),
        ("--role agent", 2),
        ("--prompt p --role nobody", 7),
        ("--target nowhere -- true", 2),
        ("--timeout nan -- true", 2),
        ("--verify ' ' -- true", 2),
        ("--wirte src", 2),
        ("ls --wirte src", 2),
    ],
)
def test_bad_task_is_refused_and_changes_nothing(
    terminal: Terminal, options: str, status: int
) -> None:
    before = git(terminal.root, "for-each-ref")
    terminal(f"wfledger add Title {options}", status=status)
    assert terminal.workspace.ledger.runs() == []
    assert git(terminal.root, "for-each-ref") == before


def test_task_for_people_is_claimed(terminal: Terminal) -> None:
    said = terminal("wfledger add 'Look into it' --id look")
    terminal(said.err.strip().partition("next: ")[2])
    assert terminal.status("main.look") == "in-progress"


@pytest.mark.long
def test_standing_run_follows_its_branch_while_nothing_is_unlanded(terminal: Terminal) -> None:
    terminal("wfledger add One --id one --write src -- sh -c 'echo 1 > src/one'")
    first = commit(terminal.root, {"later.txt": "1\n"})
    terminal("wfledger run main")
    assert git(terminal.root, "merge-base", "main", "wf/main") == first
    commit(terminal.root, {"later.txt": "2\n"})
    terminal("wfledger add Two --id two --write src -- sh -c 'cat later.txt > src/two'")
    terminal("wfledger run main")
    assert git(terminal.root, "show", "wf/main:src/two") == "1"
    terminal("wfledger land main --yes")
    commit(terminal.root, {"later.txt": "3\n"})
    terminal("wfledger add Three --id three --write src -- sh -c 'cat later.txt > src/three'")
    terminal("wfledger run main")
    assert git(terminal.root, "show", "wf/main:src/three") == "3"
    terminal("wfledger land main --yes")
    assert (terminal.root / "src/three").read_text() == "3\n"


# -- prompts -------------------------------------------------------------------------------------


def test_prompt_is_run_by_its_role_and_is_given_inputs_and_answers(tmp_path: Path) -> None:
    terminal = with_agent(tmp_path)
    say = """echo '{"status": "succeeded", "summary": "the moon is full"}' > "$WFLEDGER_RESULT_FILE" """
    run = terminal.run(
        {"id": "look", "command": say},
        {"id": "one", "prompt": "Format it.", "worker": "agent", "write": ["src"], "after": ["look"]},
        status=10,
    )  # fmt: skip
    block = terminal.task(f"{run}.one").block
    assert block is not None
    assert (block.code, block.reason) == ("question", "tabs or spaces?")
    terminal(block.command.replace("YOUR ANSWER", "spaces, as ever"))
    terminal(f"wfledger run {run}")
    prompt = git(terminal.root, "show", f"wf/{run}:src/prompt")
    assert prompt.startswith("Format it.")
    assert "spaces, as ever" in prompt
    assert f"{run}.look" in prompt
    assert "the moon is full" in prompt
    assert terminal.task(f"{run}.one").attempt == 2


@pytest.mark.parametrize("fields", [{}, {"worker": "nobody"}])
def test_prompt_without_a_role_is_refused_before_anything_starts(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    # With a single role there is no doubt about who runs a prompt.
    terminal = with_agent(tmp_path, more='[role.other]\nargv = ["true", "{prompt}"]\n')
    plan = terminal.plan(
        {"id": "other", "command": "echo 1 > src/x", "write": ["src"]},
        {"id": "one", "prompt": "Do it.", **fields},
    )
    before = git(terminal.root, "for-each-ref")
    refused = terminal.json(f"wfledger run --yes {plan}", status=7)
    assert "one" in refused["message"]
    assert "fleet.toml" in refused["hint"]
    assert terminal.workspace.ledger.runs() == []
    assert git(terminal.root, "for-each-ref") == before
    assert json.loads(terminal("wfledger list --json").out)["tasks"] == []


def test_added_prompt_is_run_by_the_default_role(tmp_path: Path) -> None:
    script = '#!/bin/sh\nprintf "%s" "$1" > src/prompt\n'
    terminal = with_agent(tmp_path, script, '[defaults]\nrole = "agent"\n')
    terminal("wfledger add 'Do it' --id it --prompt 'Do it well.' --write src")
    terminal("wfledger run main")
    assert git(terminal.root, "show", "wf/main:src/prompt") == "Do it well."
