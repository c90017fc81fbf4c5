"""Tasks that a worker adds below its own: checked like planned ones, and never more than it may."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.driving import Held, submit_tasks, take, writer
from tests.support.terminal import Terminal, open_terminal
from wfledger.core.documents import Task
from wfledger.core.ids import child_id
from wfledger.errors import InvalidDocumentError, PlanError, StaleError, UsageError, WfledgerError
from wfledger.run.attempts.claims import release
from wfledger.run.attempts.expanding import PER_CALL, PER_PARENT, expand
from wfledger.run.scheduler import Scheduler

FLEET = """
[defaults]
offers = ["gpu"]

[role.agent]
argv = ["true", "{prompt}"]
pass = ["HTTPS_PROXY"]
"""
LEXER = {"id": "lexer", "prompt": "Port the lexer.", "write": ["src/lexer"], "worker": "agent"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return open_terminal(tmp_path, fleet=FLEET)


@pytest.fixture
def held(terminal: Terminal) -> Held:
    run = submit_tasks(
        terminal,
        {"id": "one", "command": "true", "write": ["src"], "env": ["HTTPS_PROXY"]},
        {"id": "other", "command": "true"},
    )
    return take(terminal, f"{run}.one", worktree=False)


def add(terminal: Terminal, held: Held, *tasks: Any) -> dict[str, str]:
    return expand(terminal.workspace, held.task, held.token, tasks).tasks


def child(terminal: Terminal, held: Held, name: str) -> Task:
    return terminal.task(f"{held.task}.{name}")


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-004")
def test_children_join_the_run_with_what_they_wait_for(terminal: Terminal, held: Held) -> None:
    parser = {"id": "parser", "command": "true", "write": ["src/parser"], "after": ["lexer", "other"]}
    ids = add(terminal, held, parser, LEXER)
    assert ids == {"lexer": f"{held.task}.lexer", "parser": f"{held.task}.parser"}
    made = child(terminal, held, "parser").spec
    assert made.after == (f"{held.task}.lexer", f"{held.run}.other")
    assert made.inputs == made.after
    assert (made.parent, made.depth) == (held.task, 1)
    assert child(terminal, held, "lexer").spec.role == "agent"
    run = terminal.workspace.ledger.run(held.run)
    assert run.tasks[2:] == (ids["lexer"], ids["parser"])
    add(terminal, held, {"id": "late", "command": "true", "after": ["parser"], "inputs": []})
    assert child(terminal, held, "late").spec.after == (ids["parser"],)
    assert child(terminal, held, "late").spec.inputs == ()


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-007")
def test_child_waits_for_its_parent_where_their_scopes_meet(terminal: Terminal, held: Held) -> None:
    ids = add(terminal, held, LEXER, {"id": "look", "command": "true"})
    step = Scheduler(terminal.workspace).step(slots=4)
    assert ids["look"] in step.promoted
    assert held.task in step.waits[ids["lexer"]]


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-005")
def test_same_call_again_adds_nothing_also_in_a_later_attempt(terminal: Terminal, held: Held) -> None:
    first = add(terminal, held, LEXER)
    assert expand(terminal.workspace, held.task, held.token, [LEXER]).existing == ("lexer",)
    release(terminal.workspace, held.task, held.token)
    again = take(terminal, held.task, worktree=False)
    assert add(terminal, again, LEXER, {"id": "more", "command": "true"}) == {
        **first, "more": f"{held.task}.more",
    }  # fmt: skip
    with pytest.raises(InvalidDocumentError, match="added before with other content: lexer"):
        add(terminal, again, {**LEXER, "prompt": "Port it otherwise."})
    assert len(terminal.workspace.ledger.run(held.run).tasks) == 4


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-001")
def test_who_does_not_hold_the_task_adds_nothing(terminal: Terminal, held: Held) -> None:
    release(terminal.workspace, held.task, held.token)
    for token in (held.token, "wrong", None):
        with pytest.raises(StaleError):
            expand(terminal.workspace, held.task, token, [LEXER])
    ledger = terminal.workspace.ledger
    assert ledger.run(held.run).tasks == (held.task, f"{held.run}.other")
    assert ledger.find(f"{held.task}.lexer") is None


EXCESSES: dict[str, tuple[dict[str, Any], str]] = {
    "scope": ({"write": ["docs"]}, "it may write docs"),
    "wider": ({"write": ["src/**", "src*"]}, "it may write src\\*"),
    "variable": ({"env": ["AWS_KEY"]}, "its parent has not the variable AWS_KEY"),
    "abort": ({"on_failure": "abort"}, "its failure would abort the run"),
}


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-003")
@pytest.mark.parametrize("case", EXCESSES)
def test_child_that_exceeds_its_parent_is_refused(terminal: Terminal, held: Held, case: str) -> None:
    fields, said = EXCESSES[case]
    with pytest.raises(InvalidDocumentError, match=said):
        add(terminal, held, {"id": "fine", "command": "true"}, {**LEXER, **fields})
    assert terminal.workspace.ledger.find(f"{held.task}.fine") is None


@pytest.mark.long
def test_sandboxed_parent_has_no_child_outside_of_a_sandbox(tmp_path: Path) -> None:
    fleet = '[role.boxed]\nargv = ["true", "{prompt}"]\nsandbox = "bwrap"\nnetwork = false\n'
    terminal = open_terminal(tmp_path, fleet=fleet)
    run = submit_tasks(terminal, {"id": "one", "prompt": "do it", "worker": "boxed"})
    held = take(terminal, f"{run}.one", worktree=False)
    with pytest.raises(InvalidDocumentError) as refused:
        add(terminal, held, {"id": "two", "command": "curl example.org"})
    assert refused.value.facts["problems"] == [
        "two: it reaches the network, and its parent does not",
        "two: it would run without a sandbox, and its parent does not",
    ]
    with pytest.raises(InvalidDocumentError, match="checks would run without a sandbox"):
        add(terminal, held, {"id": "two", "prompt": "x", "worker": "boxed", "verify": "curl e.org"})
    assert add(terminal, held, {"id": "two", "prompt": "more of it"}) == {"two": f"{held.task}.two"}


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-002")
def test_children_are_checked_like_planned_tasks(terminal: Terminal, held: Held) -> None:
    with pytest.raises(PlanError) as refused:
        add(
            terminal, held, {"id": "a", "command": "true", "after": ["b"]},
            {"id": "b", "command": "true", "after": ["a", "nowhere"]}, {"id": "c", "colour": 1}, 5,
        )  # fmt: skip
    kinds = {one["kind"] for one in refused.value.facts["errors"]}
    assert "parse_error" in kinds
    with pytest.raises(PlanError) as refused:
        add(
            terminal, held, {"id": "a", "command": "true", "after": ["b"]},
            {"id": "b", "command": "true", "after": ["a", "nowhere"]},
        )  # fmt: skip
    kinds = {one["kind"] for one in refused.value.facts["errors"]}
    assert kinds == {"invalid_task_dependency", "dependency_cycle"}
    with pytest.raises(InvalidDocumentError) as excess:
        add(terminal, held, {"id": "a", "prompt": "x", "worker": "nobody", "write": ["docs"]})
    assert len(excess.value.facts["problems"]) == 2  # who does it, and where it may write
    assert terminal.workspace.ledger.run(held.run).tasks == (held.task, f"{held.run}.other")


@pytest.mark.long
@pytest.mark.requirement("WFL-EXPAND-006")
def test_calls_parents_and_depth_are_bounded(terminal: Terminal, held: Held) -> None:
    def many(count: int) -> list[dict[str, str]]:
        return [{"id": f"t{n}", "command": "true"} for n in range(count)]

    for count in (0, PER_CALL + 1):
        with pytest.raises(UsageError, match=f"1 to {PER_CALL}"):
            add(terminal, held, *many(count))
    folder = terminal.root / ".wfledger/done" / held.run
    folder.mkdir()
    for number in range(PER_PARENT - 1):
        (folder / f"{held.task}.x{number}.json").touch()
    add(terminal, held, *many(1))
    with pytest.raises(UsageError, match=f"at most {PER_PARENT}"):
        add(terminal, held, *many(2))


@pytest.mark.long
def test_generations_end_at_the_policys_depth(terminal: Terminal) -> None:
    held = writer(terminal)
    ids = add(terminal, held, {"id": "a", "manual": True, "title": "a"})
    below = take(terminal, ids["a"], worktree=False)
    ids = add(terminal, below, {"id": "b", "manual": True, "title": "b"})
    last = take(terminal, ids["b"], worktree=False)
    assert terminal.task(last.task).spec.depth == 0
    with pytest.raises(WfledgerError, match="depth is 0"):
        add(terminal, last, {"id": "c", "manual": True, "title": "c"})


def test_ids_of_children_fit_however_long_their_names_are() -> None:
    parent, name = f"r1.{'p' * 60}", "n" * 48
    made = child_id(parent, name)
    assert len(made) <= 64
    assert made.startswith("r1.")
    assert made == child_id(parent, name) != child_id(parent, "n" * 47)
    assert child_id("r1.one", "two") == "r1.one.two"


@pytest.mark.long
def test_verb_reads_a_file_or_standard_input(terminal: Terminal, held: Held) -> None:
    line = json.dumps([LEXER])
    done = terminal.shell(f"echo {json.dumps(line)} | wfledger expand --file -", env=held.env)
    assert done.out.split() == [f"{held.task}.lexer"]
    path = terminal.root.parent / "tasks.json"
    path.write_text(line)
    found = terminal.json(f"wfledger expand --file {path}", env=held.env)
    assert found["existing"] == ["lexer"]
    path.write_text(json.dumps([{**LEXER, "write": ["."]}]))
    assert terminal.json(f"wfledger expand --file {path}", env=held.env, status=7)["problems"]
    path.write_text("{}")
    assert "JSON list" in terminal(f"wfledger expand --file {path}", env=held.env, status=7).err
