"""Controllers: tasks that no worker does, because they decide what other tasks there are.

A node of a plan that is no work itself (a branch, a loop, a condition) is a task of its own with a
`Control`, which is frozen like every spec, and a `ControlState`, which is written under the ledger
lock. A controller waits in waiting/ for its dependencies and for the tasks that it has started,
and goes to done/ by its decision (spec 92).
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wfledger.core import bounds
from wfledger.core.records import Command, Id, Record, Seconds, canonical_json
from wfledger.core.usage import Budget

ControlKind = Literal[
    "branch_set", "sequence", "reduce", "teacher_review", "loop_until", "cond", "expand", "gate",
    "script",
]  # fmt: skip
#: Why a loop is over (spec 92).
StopReason = Literal["condition", "iterations", "tokens", "money", "time", "failed"]
Strategy = Literal["all", "first_success", "best_score", "teacher_selected"]
#: Which of two candidates is better, first by what.
Ordering = Literal["cost_then_score", "score_then_cost"]


class Condition(Record):
    """What is asked: exactly one of an expression, a command's status, and a judge's verdict."""

    #: An expression of spec 91 that yields true or false.
    expression: str | None = None
    #: Ends with status 0 for true; run as a task of its own, which reads only.
    command: Command | None = None
    timeout_s: Seconds | None = None
    #: What a judge is asked, whose `outputs.verdict` answers.
    prompt: str | None = None
    #: The role of fleet.toml that judges.
    role: str | None = None


class PromotionGate(Record):
    """What the last replay of a candidate must show before it is promoted (spec 92)."""

    min_score_delta: int = 1
    max_cost_delta_microusd: int | None = None
    require_all_tests_pass: bool = True
    reject_policy_violations: bool = True
    reject_stale_replay: bool = True


class Promotion(Record):
    """Which of several candidates are promoted."""

    strategy: Strategy = "all"
    require_teacher_review: bool = False
    min_successful_branches: int | None = Field(default=None, ge=0)
    promotion_gate: PromotionGate = PromotionGate()
    #: best_score: what counts first, and what a candidate must have at least.
    ordering: Ordering = "score_then_cost"
    min_score: int = 0


class GateTerms(Record):
    """A gate between roles of a plan."""

    role: str
    on: Literal["role_complete", "role_start"] = "role_complete"
    gate: Literal["verify", "review", "approve"]
    on_fail: Literal["retry", "block", "escalate"]
    blocks_role: str | None = None
    max_retries: int = Field(default=1, ge=0)
    artifact_kind: str | None = None
    require_explicit_verdict: bool = False


class Control(Record):
    """What a controller is to decide, frozen at submission."""

    kind: ControlKind
    #: Tasks that make it up and exist from the start: branch_set, sequence, reduce, teacher_review.
    members: tuple[Id, ...] = ()
    #: cond, loop_until.
    condition: Condition | None = None
    #: expand: an expression of spec 91 that yields a list.
    source: str | None = None
    #: At most so many rounds (loop_until), children (expand) or retries (gate).
    bound: int | None = Field(default=None, ge=0, le=bounds.RUN_TASKS)
    #: Nodes, as documents, of one round, of one item, of the arm that is taken when it holds. What
    #: the nodes around them allow is written into them.
    body: tuple[dict[str, Any], ...] = ()
    #: cond: nodes of the other arm.
    otherwise: tuple[dict[str, Any], ...] = ()
    #: What body, condition and source name outside of the body: name in the plan -> task.
    outer: dict[str, Id] = Field(default={})
    #: What surrounds the body and bounds it, as `plans.nodes.narrowing.Around.written` has it.
    around: dict[str, Any] = Field(default={})
    #: Values that fill in placeholders of the body, and that its questions see: of the item, or the
    #: round, that the controller itself is part of.
    values: dict[str, Any] = Field(default={})
    #: Whether its plan was checked leniently; so is the body then.
    lenient: bool = False
    #: What reviews in the body choose by that say nothing of it.
    reviews: Promotion | None = None
    #: loop_until: no round begins once the rounds before have used it up.
    budget: Budget | None = None
    time_s: Seconds | None = None
    #: teacher_review.
    promotion: Promotion | None = None
    #: teacher_review: who judges the candidates; each by a command or a prompt.
    judges: tuple[Condition, ...] = Field(default=(), max_length=bounds.JUDGES)
    #: gate.
    gate: GateTerms | None = None
    #: script: its text.
    script: str | None = None
    args: Any = None


class ControlState(Record):
    """How far a controller has come; whoever has the ledger lock writes it."""

    #: Rounds, items or deliveries that have begun.
    step: int = Field(default=0, ge=0)
    #: Tasks that it has started and waits for.
    on: tuple[Id, ...] = ()
    #: Whether it goes on as soon as one of them is settled.
    any_of: bool = False
    #: The last tasks of everything that it has started, in order; theirs are the results.
    exits: tuple[Id, ...] = ()
    #: What was decided, by kind of controller; recorded before what follows from it is begun.
    facts: dict[str, Any] = Field(default={})


class Synthesis(Record):
    """What wfledger itself puts together of several results (spec 92)."""

    #: Tasks whose results went in.
    contributors: tuple[Id, ...] = ()
    #: Tasks whose results are missing.
    missing: tuple[Id, ...] = ()
    #: Findings, equal ones merged; each with its `sources`, contradicted ones marked.
    findings: tuple[dict[str, Any], ...] = ()
    #: Findings, the last ones in their order, that the envelope had no room for.
    left_out: int = Field(default=0, ge=0)


class Reused(Record):
    """The earlier attempt whose result was taken, because nothing that goes into it differs."""

    task: Id
    attempt: int = Field(ge=1)


class Handoff(Record):
    """What a worker leaves for the next task of its run that has a role (spec 92, section 5)."""

    to_role: str = Field(min_length=1, max_length=64)
    kind: str = Field(min_length=1, max_length=64)
    payload: Any = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        size = len(canonical_json(self.payload))
        if size > bounds.HANDOFF_BYTES:
            raise ValueError(f"a payload of {size} bytes; at most {bounds.HANDOFF_BYTES}")
        return self


class Delivered(Record):
    """The place of a handoff: its number, from 0, in the envelope of an attempt."""

    task: Id
    attempt: int = Field(ge=1)
    number: int = Field(ge=0)
