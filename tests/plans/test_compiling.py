import pytest

from tests.plans.documents import Document, config, phase, short, task, writer
from wfledger.core import bounds
from wfledger.core.documents import Check, Retry
from wfledger.plans import compiling
from wfledger.plans.checking import check
from wfledger.plans.compiling import CompiledTask, Plan


def plan_of(document: Document, *, lenient: bool = False) -> Plan:
    checked = check(document, lenient=lenient)
    assert checked.plan is not None, checked.errors
    return checked.plan


def compiled(document: Document) -> dict[str, CompiledTask]:
    return {item.given: item for item in plan_of(document).tasks}


def after(document: Document) -> dict[str, tuple[str, ...]]:
    return {name: item.spec.after for name, item in compiled(document).items()}


@pytest.mark.requirement("WFL-PLAN-031")
def test_sequential_phase_is_a_chain_and_its_consumers_wait_for_its_end() -> None:
    document = config(
        phase("a", task("1"), task("2"), task("3")),
        phase("b", task("4"), task("5"), parallel=True, depends_on=["a"]),
        phase("c", task("6"), task("7"), depends_on=["b"]),
        phase("free", task("8")),
    )
    assert after(document) == {
        "1": (), "2": ("1",), "3": ("2",), "4": ("3",), "5": ("3",), "6": ("4", "5"), "7": ("6",),
        "8": (),
    }  # fmt: skip


@pytest.mark.requirement("WFL-PLAN-030", "WFL-PLAN-033")
def test_results_are_inputs_and_edges() -> None:
    document = config(
        phase("a", task("1"), task("2")),
        phase("b", task("3", depends_on_results=["1", "1"]), depends_on=["a"]),
    )
    spec = compiled(document)["3"].spec
    assert spec.inputs == ("1",)
    assert spec.after == ("2", "1")


@pytest.mark.requirement("WFL-PLAN-030")
def test_fields_of_a_task_become_its_spec() -> None:
    document = config(
        phase(
            "p",
            writer(
                "a", "src", "docs/*", agent_type="implementer", max_steps=9, role="claude",
                title="A", verify=["pytest", {"expect": 3}], timeout="20m",
                limits={"idle_s": "90s", "output_bytes": 2048}, needs=["gpu"], contracts=["api"],
                retry={"max_attempts": 2, "on": ["gate"]}, priority=5, env=["TOKEN"],
                allow_no_change=True,
            ),
            {"id": "b", "command": ["make", "x"], "timeout_secs": 7, "retry": 4},
            {"id": "c", "manual": True},
            on_failure="abort",
        ),
        max_concurrent=20,
        name="night",
    )  # fmt: skip
    plan = plan_of(document)
    first, second, third = (item.spec for item in plan.tasks)
    assert (plan.max_concurrent, plan.name, plan.goal) == (20, "night", "ship")
    assert (first.write, first.role, first.title) == (("src", "docs/*"), "claude", "A")
    assert (first.agent_type, first.max_steps, first.priority) == ("implementer", 9, 5)
    assert (first.needs, first.contracts, first.env) == (("gpu",), ("api",), ("TOKEN",))
    assert first.verify == (
        Check(kind="command", command="pytest"),
        Check(kind="exit_code", expect=3),
    )
    assert (first.limits.wall_s, first.limits.idle_s, first.limits.output_bytes) == (1200, 90, 2048)
    assert first.retry == Retry(max_attempts=2, on=("gate",))
    assert first.allow_no_change
    assert (second.command, second.prompt, second.limits.wall_s) == (("make", "x"), None, 7)
    assert second.retry.max_attempts == 4
    assert third.manual
    assert {item.spec.on_failure for item in plan.tasks} == {"abort"}


def test_defaults_are_those_of_the_original() -> None:
    plan = plan_of(config(phase("p", task("a"))))
    spec = plan.tasks[0].spec
    assert plan.max_concurrent == 4
    assert (spec.write, spec.agent_type, spec.on_failure) == ((), "general", "skip_continue")


@pytest.mark.parametrize(("given", "limit"), [("unlimited", None), (300, 300)])
def test_concurrency_replaces_the_bound_of_the_original(given: object, limit: int | None) -> None:
    assert plan_of(config(phase("p", task("a")), concurrency=given)).max_concurrent == limit


@pytest.mark.requirement("WFL-PLAN-034")
def test_ids_that_cannot_name_a_task_are_mapped_wherever_they_stand() -> None:
    document = config(
        phase("a", task("Scan All!")),
        phase("b", task("ok", depends_on_results=["Scan All!"]), depends_on=["a"]),
    )
    first, second = plan_of(document).tasks
    assert first.given == "Scan All!"
    assert second.spec.after == second.spec.inputs == (first.node,)
    assert second.node == "ok"


@pytest.mark.requirement("WFL-PLAN-031")
def test_edges_that_follow_from_others_are_left_out_where_there_are_many() -> None:
    wide = [task(f"w{n}") for n in range(40)]
    wider = [task(f"x{n}") for n in range(40)]
    document = config(
        phase("a", *wide, parallel=True),
        phase("b", *wider, parallel=True, depends_on=["a"]),
        phase("c", task("z"), depends_on=["a", "b"]),
    )
    assert set(after(document)["z"]) == {item["id"] for item in wider}
    small = config(
        phase("a", task("u")),
        phase("b", task("v"), depends_on=["a"]),
        phase("c", task("z"), depends_on=["a", "b"]),
    )
    assert after(small)["z"] == ("u", "v")


@pytest.mark.long
@pytest.mark.requirement("WFL-PLAN-032")
def test_wide_phases_meet_up_to_a_bound_beyond_which_one_task_joins_them() -> None:
    wide = [task(f"w{n}") for n in range(600)]
    wider = [task(f"x{n}") for n in range(600)]
    join = phase("j", task("join"), depends_on=["a"])
    direct = config(
        phase("a", *wide, parallel=True), phase("b", *wider, parallel=True, depends_on=["a"])
    )
    joined = config(
        phase("a", *wide, parallel=True), join, phase("b", *wider, parallel=True, depends_on=["j"])
    )
    assert [problem.kind for problem in check(direct).errors] == ["too_many_edges"]
    assert len(after(joined)["join"]) == 600
    assert len(after(joined)["join"]) > bounds.TASK_EDGES
    many = [task(f"w{n}") for n in range(compiling.COMPILED_EDGES + 1)]
    one = short(*many, task("last", after=[item["id"] for item in many]))
    assert [problem.kind for problem in check(one).errors] == ["too_many_edges"]


@pytest.mark.requirement("WFL-PLAN-018")
def test_tasks_stand_after_those_they_wait_for() -> None:
    document = config(
        *(
            phase(f"p{n}", task(f"t{n}"), depends_on=[f"p{n + 1}"] if n < 50 else [])
            for n in range(51)
        )
    )
    seen: set[str] = set()
    for item in plan_of(document).tasks:
        assert seen.issuperset(item.spec.after)
        seen.add(item.node)


@pytest.mark.long
def test_chain_of_ten_thousand_phases_compiles() -> None:
    size = bounds.RUN_TASKS
    document = config(
        *(
            phase(f"p{n}", task(f"t{n}"), depends_on=[f"p{n + 1}"] if n < size - 1 else [])
            for n in range(size)
        )
    )
    plan = plan_of(document)
    assert plan.phase_order[0] == f"p{size - 1}"
    assert sum(len(item.spec.after) for item in plan.tasks) == size - 1


@pytest.mark.requirement("WFL-PLAN-020")
def test_task_may_ask_for_a_repository_of_its_own() -> None:
    document = config(
        phase("p", writer("a", "src", isolation="clone"), writer("b", "lib", isolation="worktree"))
    )
    checked = check(document)
    assert checked.warnings == ()
    specs = compiled(document)
    assert (specs["a"].spec.isolation, specs["b"].spec.isolation) == ("clone", None)
