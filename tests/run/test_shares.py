"""What runs on a provider keeps to its slots, and nothing new starts where everybody is refused."""

import threading
from pathlib import Path

import pytest

from tests.support.engines import AT_ONCE, Listener, drive, note, noted, outcomes, statuses
from tests.support.models import KEY, submits
from tests.support.rehearsals import Rehearse
from tests.support.waiting import until
from tests.support.workspaces import RUN, add_task, make_workspace
from wfledger.core.documents import Result
from wfledger.core.routes import Routed
from wfledger.core.statuses import Actor, Status
from wfledger.run.attempts.attempt import run_attempt
from wfledger.run.attempts.claims import claim
from wfledger.run.engine import Engine
from wfledger.run.money import breakers
from wfledger.run.rehearsal.script import FAILURES, Script
from wfledger.run.rehearsal.server import Rehearsal
from wfledger.run.slots import held
from wfledger.run.workers.launch import Trouble
from wfledger.run.workspace import Workspace
from wfledger.store.locks import LiveLock

#: Programs that say which model they were given, and wait to be let go.
PROGRAM = """
[defaults]
workers = 4
[role.program]
argv = ["sh", "-c", "{line}"]
model = "near/big"
fallbacks = ["far/small"]
preamble = "Be brief."
[provider.near]
profile = "vllm"
base_url = "http://127.0.0.1:9"
slots = {slots}
[provider.far]
profile = "vllm"
base_url = "http://127.0.0.1:9"
"""


def _workspace(tmp_path: Path, line: str, *, tasks: int, slots: int = 1) -> Workspace:
    fleet = PROGRAM.replace("{slots}", str(slots)).replace("{line}", line)
    workspace = make_workspace(tmp_path, fleet=fleet.replace("#", ""))
    for number in range(tasks):
        add_task(workspace, f"t{number}", command=None, prompt="Do it.", retry=AT_ONCE)
    return workspace


def _result(workspace: Workspace, node: str, attempt: int = 1) -> Result:
    found = workspace.ledger.result(f"{RUN}.{node}", attempt)
    assert found is not None
    return found


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-005")
@pytest.mark.requirement("WFL-ROUTE-009")
def test_program_is_told_its_route_and_its_preamble_and_the_receipt_says_it(tmp_path: Path) -> None:
    line = note(tmp_path, "$WFLEDGER_PROVIDER/$WFLEDGER_MODEL $1").replace("$1", "{model}")
    line += f"; printf %s '{{prompt}}' > {tmp_path}/prompt"
    workspace = _workspace(tmp_path, line, tasks=1)
    drive(workspace)
    assert noted(tmp_path) == ["near/big big"]
    assert (tmp_path / "prompt").read_text() == "Be brief.\n\nDo it."
    expected = Routed(role="program", provider="near", model="big", source="role_default")
    assert _result(workspace, "t0").route == expected


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-023")
def test_attempts_on_a_provider_keep_to_its_slots_and_others_take_its_fallback(
    tmp_path: Path,
) -> None:
    line = f"{note(tmp_path, '$WFLEDGER_PROVIDER')}; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    workspace = _workspace(tmp_path, line, tasks=3)
    engine = Engine(
        workspace, run_id=RUN, slots=4, worker="w", report=lambda task, text: None
    )
    until(lambda: engine.tick() and len(noted(tmp_path)) == 3)
    assert sorted(noted(tmp_path)) == ["far", "far", "near"]
    assert held(workspace, breakers.kind_of_slot("near")) == 1
    (tmp_path / "go").touch()
    until(lambda: set(statuses(workspace).values()) == {"done"} or not engine.tick())
    engine.close()
    sources = sorted(
        (route.provider, route.source, [one.why for one in route.rejected])
        for number in range(3) if (route := _result(workspace, f"t{number}").route) is not None
    )  # fmt: skip
    busy = ["provider near: every slot of it is taken"]
    assert sources == [("far", "fallback", busy)] * 2 + [("near", "role_default", [])]
    assert held(workspace, breakers.kind_of_slot("near")) == 0


@pytest.mark.requirement("WFL-ROUTE-021")
def test_what_was_claimed_before_a_breaker_opened_is_not_started(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, note(tmp_path), tasks=1)
    task_id = f"{RUN}.t0"
    with workspace.ledger.transaction("test") as changes:
        changes.move(task_id, Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1)
    live = LiveLock(workspace.ledger.layout.live(task_id, 1))
    claimed = claim(workspace, worker="worker", task_id=task_id)
    breakers.note(workspace, "near", Trouble("auth", "the key is wrong"))
    run_attempt(
        workspace, claimed, live=live, stop=threading.Event(), report=lambda *said: None,
        route=Routed(role="program", provider="near", model="big"),
    )  # fmt: skip
    assert noted(tmp_path) == []
    entry = workspace.ledger.get(task_id)
    assert entry.status is Status.WAITING
    assert entry.task.hold is not None
    assert entry.task.hold.code == "provider"
    assert outcomes(workspace, task_id) == ["auth"]


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-012")
@pytest.mark.requirement("WFL-ROUTE-013")
def test_tasks_of_a_closed_provider_are_not_offered_and_wait_for_a_person(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, note(tmp_path), tasks=2)
    for name in ("near", "far"):
        breakers.note(workspace, name, Trouble("quota", "nothing left"))
    with workspace.ledger.transaction("test") as changes:
        changes.move(
            f"{RUN}.t0", Status.PENDING, actor=Actor.SCHEDULER, why="promoted", attempt=1
        )
    listener = Listener()
    outcome = drive(workspace, listener=listener)
    assert outcome.verdict.exit_status == 10
    assert set(statuses(workspace).values()) == {"waiting"}
    assert [need.command for need in outcome.needs] == ["wfledger provider close near"]
    said = listener.waits[f"{RUN}.t1"]
    assert "provider near: quota or balance is used up since" in said
    assert "provider far: " in said
    breakers.close(workspace, "far")
    assert drive(workspace).verdict.state == "succeeded"
    assert _result(workspace, "t1").route == Routed(
        role="program", provider="far", model="small", source="fallback",
        rejected=_result(workspace, "t1").route.rejected,  # type: ignore[union-attr]
    )  # fmt: skip


MODEL = """
[role.coder]
model = "near/big"
[provider.near]
profile = "vllm"
base_url = "{url}"
key = "NEAR_KEY"
"""


def _asking(tmp_path: Path, server: Rehearsal, *, tasks: int, more: str = "") -> Workspace:
    fleet = MODEL.replace("{url}", server.chat_url) + more
    workspace = make_workspace(tmp_path, fleet=fleet)
    for number in range(tasks):
        add_task(
            workspace, f"t{number}", command=None, prompt="Look at it.", role="coder", retry=AT_ONCE
        )
    return workspace


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-020")
@pytest.mark.requirement("WFL-ROUTE-021")
@pytest.mark.requirement("WFL-ROUTE-025")
def test_after_a_refusal_nothing_new_starts_and_no_attempt_is_used(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_KEY", KEY)
    refusing = rehearse(script=Script(after=FAILURES["401"]))
    workspace = _asking(tmp_path, refusing, tasks=4)
    outcome = drive(workspace, slots=2)
    assert outcome.verdict.exit_status == 10
    # Two may have been at work when the first was refused, and nobody came after them.
    assert 1 <= refusing.count() <= 2
    begun = [one for n in range(4) for one in outcomes(workspace, f"{RUN}.t{n}")]
    assert set(begun) == {"auth"}
    assert len(begun) <= 2
    assert set(statuses(workspace).values()) == {"waiting"}
    before = refusing.count()
    assert drive(workspace, slots=2).verdict.exit_status == 10
    assert refusing.count() == before

    answering = rehearse(script=Script(after=submits()))
    fleet = workspace.ledger.layout.root / "fleet.toml"
    fleet.write_text(MODEL.replace("{url}", answering.chat_url))
    breakers.close(workspace, "near")
    assert drive(workspace, slots=2).verdict.state == "succeeded"
    assert answering.count() == 4


@pytest.mark.long
@pytest.mark.requirement("WFL-ROUTE-008")
def test_fallback_is_used_while_the_first_choice_is_closed(
    tmp_path: Path, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAR_KEY", KEY)
    refusing = rehearse(script=Script(after=FAILURES["401"]))
    answering = rehearse(script=Script(after=submits()))
    more = (
        '[role.other]\nargv = ["true", "{prompt}"]\n'
        f'[provider.far]\nprofile = "vllm"\nbase_url = "{answering.chat_url}"\n'
    )
    workspace = _asking(tmp_path, refusing, tasks=1, more=more)
    fleet = workspace.ledger.layout.root / "fleet.toml"
    said = fleet.read_text().replace('"near/big"', '"near/big"\nfallbacks = ["far/big"]')
    fleet.write_text(said)
    assert drive(workspace, slots=1).verdict.state == "succeeded"
    assert (refusing.count(), answering.count()) == (1, 1)
    route = _result(workspace, "t0", 2).route
    assert route is not None
    assert (route.provider, route.source) == ("far", "fallback")
    assert "provider near: the key was refused since" in route.rejected[0].why
