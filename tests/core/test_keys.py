"""What the key of a task rests on, and what it does not."""

from typing import Any

import pytest

from wfledger.core.control import Condition, Control, Synthesis
from wfledger.core.documents import Artifact, Check, Limits, Result, Retry, TaskSpec
from wfledger.core.keys import (
    COUNTED,
    COUNTED_SETS,
    IGNORED,
    RESOLVED,
    VERSION,
    Fed,
    Surroundings,
    key_of,
    relative,
    said_digest,
)
from wfledger.core.routes import ModelPolicy
from wfledger.core.usage import Budget, Usage

FED = (Fed("scan", "wf1-aa", "left", "said"), Fed("plan", "wf1-bb"))
AROUND = Surroundings(
    name="review", run="r1", base="tree", staff={"argv": ["agent", "{prompt}"], "preamble": ""}, fed=FED
)
SPEC: dict[str, Any] = {
    "prompt": "look", "role": "worker", "write": ("src", "docs"), "env": ("TOKEN", "HOST"),
    "verify": (Check(kind="command", command="make", timeout_s=5.0),), "deliverables": ("a", "b"),
}  # fmt: skip


def key(around: Surroundings = AROUND, **changes: Any) -> str:
    return key_of(TaskSpec(**(SPEC | changes)), around)


def around(**changes: Any) -> Surroundings:
    return Surroundings(**({**vars(AROUND)} | changes))


@pytest.mark.requirement("WFL-REUSE-002")
@pytest.mark.parametrize("changes", [
    {"prompt": "look closely"}, {"prompt": None, "command": "look"},
    {"prompt": None, "command": ("look",)}, {"agent_type": "review"}, {"max_steps": 3},
    {"model": ModelPolicy(model="m")}, {"requires": ("json_mode",)}, {"tools": ()},
    {"write": ("src",)}, {"needs": ("gpu",)}, {"env": ("TOKEN",)}, {"deliverables": ("a",)},
    {"verify": ()}, {"verify": (Check(kind="command", command="make all"),)},
    {"allow_no_change": True}, {"probe": True}, {"reduces": True}, {"sent_back": ("no tests",)},
], ids=str)  # fmt: skip
def test_key_changes_with_what_a_worker_is_to_do(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


@pytest.mark.requirement("WFL-REUSE-002")
@pytest.mark.parametrize("changes", [
    {"name": "audit"}, {"base": "another"}, {"staff": None},
    {"staff": {"argv": ["agent"], "preamble": ""}},
    {"staff": {"argv": ["agent", "{prompt}"], "preamble": "be brief"}},
    {"fed": FED[:1]}, {"fed": (*FED, Fed("more", "wf1-cc"))},
    {"fed": (Fed("scan", "wf1-ab", "left", "said"), FED[1])},
    {"fed": (Fed("scan", "wf1-aa", "other", "said"), FED[1])},
    {"fed": (Fed("scan", "wf1-aa", "left", "other"), FED[1])},
    {"fed": (Fed("scan"), FED[1])}, {"trees": {"at": "tree"}}, {"handed": ("digest",)},
], ids=str)  # fmt: skip
def test_key_changes_with_what_a_worker_finds(changes: dict[str, Any]) -> None:
    assert key(around(**changes)) != key()


@pytest.mark.requirement("WFL-REUSE-003")
@pytest.mark.parametrize("changes", [
    {"title": "another"}, {"role": "the same under another name"}, {"plays": "reviewer"},
    {"budget": Budget(usd=1.0)}, {"contracts": ("db",)}, {"class": "heavy"}, {"priority": 9},
    {"on_failure": "skip_continue"}, {"isolation": "clone"}, {"limits": Limits(wall_s=1.0)},
    {"retry": Retry(max_attempts=1)}, {"candidate_of": "r1.review"}, {"parent": "r1.a"},
    {"depth": 2}, {"after": ("r1.scan", "r1.plan")}, {"inputs": ("r1.scan",)},
    {"write": ("docs", "src")}, {"write": ("docs", "src", "docs")}, {"env": ("HOST", "TOKEN")},
    {"deliverables": ("b", "a")},
    {"verify": (Check(kind="command", command="make", timeout_s=50.0),)},
], ids=str)  # fmt: skip
def test_key_does_not_change_with_when_where_and_how_often(changes: dict[str, Any]) -> None:
    assert key(**changes) == key()


@pytest.mark.requirement("WFL-REUSE-003")
def test_key_does_not_change_with_the_run_that_texts_name() -> None:
    told = key(prompt="look at r1.scan, and at r1.txt2", sent_back=("r1.scan failed",))
    again = key(
        around(run="r22"), prompt="look at r22.scan, and at r22.txt2", sent_back=("r22.scan failed",)
    )
    assert again == told != key(around(run="r22"), prompt="look at r1.scan, and at r1.txt2")


@pytest.mark.requirement("WFL-REUSE-003")
def test_key_is_the_same_in_any_order_and_on_any_machine() -> None:
    staff = dict(reversed(list((AROUND.staff or {}).items())))
    assert key(around(fed=tuple(reversed(FED)), staff=staff)) == key()
    plain = key_of(TaskSpec(prompt="é ✓"), Surroundings("a", "r1", 40 * "b"))
    # Whoever changes what goes into a key raises VERSION and this with it.
    assert (VERSION, plain) == (
        "wf1", "wf1-34c6c98eca1c48f0b5ab6f0461b2bc5b8c0650090f6d23a927d292790fad69f2",
    )


@pytest.mark.requirement("WFL-REUSE-002")
def test_each_field_of_a_task_is_said_to_count_or_not() -> None:
    said = [*COUNTED, *COUNTED_SETS, *RESOLVED, *IGNORED]
    assert sorted(said) == sorted(TaskSpec.model_fields)


def loop(**changes: Any) -> TaskSpec:
    control: dict[str, Any] = {
        "kind": "loop_until", "condition": Condition(expression="done"), "bound": 3,
        "body": ({"leaf": {"id": "fix"}},), "outer": {"scan": "r1.scan"},
    }  # fmt: skip
    return TaskSpec(control=Control(**(control | changes)))


@pytest.mark.requirement("WFL-REUSE-004")
def test_key_of_a_controller_is_of_what_it_decides_by() -> None:
    same = key_of(loop(), AROUND)
    assert key_of(loop(outer={"scan": "r2.scan"}, budget=Budget(tokens=9)), AROUND) == same
    others = [
        {"bound": 4}, {"body": ({"leaf": {"id": "mend"}},)}, {"outer": {}},
        {"condition": Condition(expression="not done")}, {"source": "items"},
    ]  # fmt: skip
    assert same not in {key_of(loop(**one), AROUND) for one in others}


def result(run: str = "r1", attempt: int = 1, **fields: Any) -> Result:
    return Result(**({
        "task": f"{run}.scan", "attempt": attempt, "status": "succeeded", "summary": "found it",
        "outputs": {"members": {f"{run}.a": "succeeded"}},
        "synthesis": Synthesis(contributors=(f"{run}.a",)),
    } | fields))  # fmt: skip


@pytest.mark.requirement("WFL-REUSE-005")
def test_envelopes_count_by_what_consumers_can_see_of_them() -> None:
    first = said_digest(result(), run="r1")
    again = result(
        "r22", 3, usage=Usage(input=5), wall_s=4.0, base="a" * 40, head="b" * 40, exit_status=0,
        key="wf1-x", output_bytes=7, agent={"session": "s"},
    )  # fmt: skip
    assert said_digest(again, run="r22") == first
    others = [
        result(summary="found nothing"), result(outputs={}), result(status="no_change"),
        result(findings=({"title": "t"},)), result(artifacts=(Artifact(path="a"),)),
        result(synthesis=None),
    ]  # fmt: skip
    assert first not in {said_digest(one, run="r1") for one in others}
    assert said_digest(result(), run="r1", members=[("a", "digest")]) != first


@pytest.mark.requirement("WFL-REUSE-003")
@pytest.mark.parametrize(("name", "seen_from", "shown"), [
    ("scan", "review", "scan"), ("all.*.scan", "all.*.review", "scan"),
    ("loop.1.test", "loop.2.fix", "1.test"), ("loop.2.test", "loop", "loop.2.test"),
    ("a.b", "a.b", "b"),
])  # fmt: skip
def test_others_are_named_from_where_the_names_part(name: str, seen_from: str, shown: str) -> None:
    assert relative(name, seen_from) == shown
