"""The documents of a task's life: task, result, run; parsed once at the boundary.

Fields and rules are those of spec 20 and 60; `core.records` says what holds for every document.
"""

import hashlib
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wfledger.core import bounds
from wfledger.core.control import Control, ControlState, Delivered, Handoff, Reused, Synthesis
from wfledger.core.records import Command, Id, Oid, Record, Seconds, canonical
from wfledger.core.routes import Capability, ModelPolicy, Routed
from wfledger.core.usage import Budget, Usage


class Retry(Record):
    """When a failed attempt is followed by another without asking (spec 60)."""

    max_attempts: int = Field(default=3, ge=1, le=bounds.MAX_ATTEMPTS)
    #: Failure classes that lead to another attempt.
    on: tuple[str, ...] = ("transport", "lost")
    backoff_s: Seconds = 5.0
    backoff_max_s: Seconds = 300.0


class Limits(Record):
    """What the runtime ends an attempt for; absent means the ledger's default."""

    #: Wall time of the attempt's worker.
    wall_s: Seconds | None = None
    #: No output and no CPU time used by the whole process tree.
    idle_s: Seconds | None = None
    #: No output.
    silence_s: Seconds | None = None
    #: Bytes of output that are kept; the middle is dropped beyond it.
    output_bytes: int | None = Field(default=None, ge=1024)


class Check(Record):
    """One verification of a result, read from its snapshot (spec 60, section 4)."""

    kind: Literal["exit_code", "command", "file_exists", "regex", "json_path", "manual", "task"]
    #: `command`, `task`: a shell line, or an argument vector.
    command: Command | None = None
    #: `exit_code`: the exit status that the worker must have had.
    expect: int = 0
    timeout_s: Seconds | None = None
    #: `file_exists`: a path or a pattern of spec 40; `regex`, `json_path`: a path.
    path: str | None = None
    #: `regex`: what is searched for.
    pattern: str | None = None
    #: `json_path`: `$.a.b`, or `.a.b` as the original writes it.
    expression: str | None = None
    #: `json_path`: the value that must be there; without it, any but null and false.
    equals: Any = None
    #: `task`: what the verifier is to do; `manual`: what a person is to look at.
    prompt: str | None = None
    #: `task`: the role of fleet.toml that runs the prompt.
    role: str | None = None


class Verifies(Record):
    """Whose result a task judges, exactly (WFL-RESULT-045)."""

    task: Id
    attempt: int = Field(ge=1)
    head: Oid
    #: What it was made on; the changes to judge are those since.
    base: Oid | None = None


class Gate(Record):
    """A command that must pass on the exact merged tree."""

    command: Command
    timeout_s: Seconds = 1800.0


class TaskSpec(Record):
    """What a task may read, run, write and be verified by; frozen at submission (WFL-TASK-010)."""

    title: str = ""
    #: A shell line or an argument vector; excludes `prompt`, `manual` and `control`.
    command: Command | None = None
    prompt: str | None = None
    #: Done by whoever claims it; no runtime starts it.
    manual: bool = False
    #: No worker does it: it decides by itself, and may start tasks (spec 92).
    control: Control | None = None
    #: The role of fleet.toml that runs a prompt.
    role: str | None = None
    #: The role that it has in its plan: of gates and handoffs.
    plays: str | None = None
    agent_type: str = "general"
    max_steps: int | None = None
    #: The model that it wants; absent: its role's.
    model: ModelPolicy | None = None
    #: What the model has to be able to do.
    requires: tuple[Capability, ...] = ()
    #: What all of its attempts together may use.
    budget: Budget | None = None
    #: The tools of a model worker; absent: those of its role.
    tools: tuple[str, ...] | None = None
    #: The task that a worker was at when it added this one .
    parent: Id | None = None
    #: How many more generations of tasks or runs its worker may start; absent: as policy says.
    depth: int | None = Field(default=None, ge=0)
    #: Patterns of spec 40; empty means that the task reads only.
    write: tuple[str, ...] = ()
    #: Exclusive labels, held like scopes.
    contracts: tuple[str, ...] = ()
    #: Tasks that must be settled first.
    after: tuple[str, ...] = ()
    #: Tasks of `after` whose envelopes are handed to the worker.
    inputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    #: What `policy.classes` may limit: at most so many of a class are on offer or at work.
    class_: str | None = Field(default=None, alias="class")
    #: What the end of this task without success means to its consumers and its run.
    on_failure: Literal["hold", "skip_continue", "abort"] = "hold"
    #: Higher goes first.
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    allow_no_change: bool = False
    #: `clone`: its worker gets a repository of its own, whatever fleet.toml says.
    isolation: Literal["clone"] | None = None
    #: False: none is given to it where a sandbox can keep it away; absent: as its role has it.
    network: Literal[False] | None = None
    #: Names of environment variables that the worker is given besides the standing list.
    env: tuple[str, ...] = ()
    limits: Limits = Limits()
    retry: Retry = Retry()
    verify: tuple[Check, ...] = ()
    #: Paths or patterns that the result's tree must have (WFL-RESULT-050).
    deliverables: tuple[str, ...] = ()
    #: The commit that its worktree starts from; absent: the tip of its run's branch.
    at: Oid | None = None
    #: It judges that result, and nothing depends on it.
    verifies: Verifies | None = None
    #: Its exit status is its answer: one that is not 0 says no, and is no failure.
    probe: bool = False
    #: It puts its inputs together: they are merged before it is asked, and in its result.
    reduces: bool = False
    #: Why a gate had what was done before done again, by this task.
    sent_back: tuple[str, ...] = ()
    #: The controller that chooses among this result and others: it is kept and not landed.
    candidate_of: Id | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Check that it is known who does the task (WFL-TASK-012)."""
        others = self.prompt is not None or self.manual
        if self.control is not None:
            if others or self.command is not None:
                raise ValueError("a controller has no command, no prompt, and is not for people")
        elif (self.command is not None) == others:
            raise ValueError("a task has a command, or a prompt, or is for people (manual)")
        return self

    @property
    def writes(self) -> bool:
        """Whether the task may change anything."""
        return bool(self.write)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical form, for `Task.spec_sha256`."""
        return hashlib.sha256(canonical(self)).hexdigest()


class Attempt(Record):
    """An attempt that is over, kept in the task for good."""

    number: int = Field(ge=1)
    worker: str
    #: `succeeded`, `released`, `lost`, `stopped`, or a failure class of spec 60.
    outcome: str
    message: str = ""
    started: str | None = None
    ended: str
    #: The commit under refs/wfledger/keep/<task>/<attempt>, where anything was kept.
    kept: Oid | None = None


class ClaimNote(Record):
    """Who holds the task; folded in from the claim record soon after the claim (WFL-CLAIM-008)."""

    attempt: int
    worker: str
    machine: str
    token_sha256: str
    since: str


class Grant(Record):
    """To which machine a task was given, where several share the ledger (WFL-HUB-010)."""

    machine: str
    #: For people; nothing is decided by it.
    since: str


class Hold(Record):
    """Why a waiting task waits, beyond its dependencies and scope."""

    #: `backoff`, `released`, `withdrawn`, `paused`, `verifier`, `provider`, `budget`,
    #: `superseded`, `remote`.
    code: str
    reason: str = ""
    #: Not before this moment (UTC, ISO 8601).
    until: str | None = None
    #: `verifier`: the tasks whose verdict is waited for.
    on: tuple[str, ...] = ()


class Block(Record):
    """Why a blocked task needs a decision, and the command that gives it (WFL-STATUS-020)."""

    code: str
    reason: str
    #: Ready to paste.
    command: str
    facts: dict[str, Any] = Field(default={})


class Accepted(Record):
    """A kept result that goes on to merging without another attempt (`land-only`)."""

    attempt: int
    head: Oid
    base: Oid
    #: Checks that a person has waived.
    waive: tuple[str, ...] = ()
    #: Verifiers that gave no verdict; others are asked in their place.
    unheard: tuple[str, ...] = ()


class Approval(Record):
    """What a person said about one result; it holds for that head alone (WFL-RESULT-042)."""

    attempt: int
    #: What was shown; absent where the attempt left no commit.
    head: Oid | None = None
    verdict: Literal["yes", "no"]
    by: str
    at: str
    reason: str = ""


class Intent(Record):
    """A landing that has begun; written anew each round before the ref moves (WFL-LAND-010)."""

    round: int
    target: str
    tip: Oid
    candidate: Oid
    tree: Oid
    epoch: int


class Merger(Record):
    """The lease of whoever merges the task."""

    owner: str
    epoch: int


class Landed(Record):
    """Proof of the end: where the result is, or that there was nothing to merge."""

    target: str | None = None
    commit: Oid | None = None
    #: `merged`; `nothing`: a reader, or an allowed empty change; `kept`: a candidate, whose result
    #: is under its ref (*target*); `decided`: a controller.
    how: Literal["merged", "nothing", "kept", "decided"]
    at: str


class Origin(Record):
    """Where an imported task comes from, and what it was like there (WFL-IMPORT-005)."""

    #: The tracker: `beads`, `claude-tasks`, `backlog`, `taskmaster`.
    source: str
    #: Its id there.
    id: str
    #: Its status there, as it is written there.
    status: str
    #: Digest of the spec that it was imported as.
    spec_sha256: str
    #: What has no place in a task, as it was.
    fields: dict[str, Any] = Field(default={})


class Task(Record):
    """One task file. The folder is its status; the file does not repeat it."""

    schema_: Literal["wfledger.task/1"] = Field(default="wfledger.task/1", alias="schema")
    id: Id
    run: Id
    #: Rises by one with every change of the document.
    seq: int = Field(ge=1)
    #: The fencing token: number of the present or last offer; 0 before the first.
    attempt: int = Field(ge=0)
    created: str
    spec: TaskSpec
    spec_sha256: str
    attempts: tuple[Attempt, ...] = ()
    claim: ClaimNote | None = None
    #: Whose workers may claim it, and who alone moves it on, while it holds its scope.
    grant: Grant | None = None
    hold: Hold | None = None
    block: Block | None = None
    accepted: Accepted | None = None
    merger: Merger | None = None
    intent: Intent | None = None
    landed: Landed | None = None
    #: How often a younger task was admitted past this one for a held scope.
    overtaken: int = 0
    #: Attempts that count towards `retry.max_attempts` start after this number.
    forgiven: int = 0
    #: Inputs that the present attempt starts without, because they ended without success.
    missing: tuple[str, ...] = ()
    #: Handoffs that it was given, and nobody else is; newest first (spec 92, section 5).
    received: tuple[Delivered, ...] = ()
    #: Answers of people to questions, oldest first.
    answers: tuple[str, ...] = ()
    #: Verdicts of people on results, oldest first.
    approvals: tuple[Approval, ...] = ()
    #: Absent for what was not imported.
    imported: Origin | None = None
    #: How far a controller has come.
    control: ControlState | None = None

    @model_validator(mode="after")
    def _of_its_run(self) -> Self:
        if self.run != self.id.partition(".")[0]:
            raise ValueError("the run of a task is its id up to the first dot")
        return self

    def next(self, **changes: Any) -> Self:
        """Return a copy with *changes* and the next sequence number."""
        return self.but(seq=self.seq + 1, **changes)


class Artifact(Record):
    """A file that an attempt produced, by reference."""

    path: str
    sha256: str | None = None
    bytes: int | None = None


class Failure(Record):
    """Why an attempt failed, by class and by source, never by prose."""

    #: task, transport, lost, environment, timeout, idle, silence, stopped, no_change, question,
    #: read_only_violation, out_of_scope, verification, conflict, gate, auth, quota, request,
    #: content, budget
    failure_class: str = Field(alias="class")
    source: Literal["transport", "task", "verification", "merge", "runtime"]
    message: str = ""


class Confined(Record):
    """How the worker of an attempt was kept apart (spec 60, section 6)."""

    #: `own`: the agent's program shuts itself in.
    sandbox: Literal["none", "bwrap", "own"] = "none"
    #: Whether it could reach the network.
    network: bool = True
    isolation: Literal["worktree", "clone"] = "worktree"


class Changed(Record):
    """One path that an attempt changed, computed from git."""

    path: str
    kind: Literal["added", "modified", "deleted", "mode", "type"]
    in_scope: bool


class Result(Record):
    """The envelope of an attempt: results/<task>/<attempt>.json (spec 60)."""

    schema_: Literal["wfledger.result/1"] = Field(default="wfledger.result/1", alias="schema")
    task: Id
    attempt: int = Field(ge=1)
    status: Literal["succeeded", "no_change", "blocked", "failed"]
    summary: str = ""
    outputs: dict[str, Any] = Field(default={})
    findings: tuple[dict[str, Any], ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    checks: tuple[dict[str, Any], ...] = ()
    confidence: float | None = None
    open_questions: tuple[str, ...] = ()
    #: What it leaves for other roles of its plan.
    handoffs: tuple[Handoff, ...] = Field(default=(), max_length=bounds.HANDOFFS)
    next_: tuple[dict[str, Any], ...] = Field(default=(), alias="next")
    usage: Usage | None = None
    #: Version, session and the like of an agent's program, as it says itself.
    agent: dict[str, Any] | None = None
    failure: Failure | None = None
    #: The rest is written by wfledger, never believed from a worker.
    changed: tuple[Changed, ...] = ()
    base: Oid | None = None
    head: Oid | None = None
    exit_status: int | None = None
    wall_s: float | None = None
    output_bytes: int | None = None
    #: Absent where no runtime started a worker.
    confined: Confined | None = None
    #: Which model it was, of those that the task would take; absent for commands.
    route: Routed | None = None
    #: Hash of everything that went into it (spec 93).
    key: str | None = None
    #: It was not worked for: the same work had been done before.
    reused: Reused | None = None
    #: Of a task that puts its inputs together, or a controller.
    synthesis: Synthesis | None = None


class Bringing(Record):
    """A `land` that has begun: what its target was, and what it becomes."""

    target: str
    before: Oid
    after: Oid
    #: Whose branch that is, where several share the ledger.
    machine: str | None = None


class Run(Record):
    """One run: a plan as given and as compiled, where it lands, its state (spec 20)."""

    schema_: Literal["wfledger.run/1"] = Field(default="wfledger.run/1", alias="schema")
    id: Id
    seq: int = Field(ge=1)
    name: str = ""
    goal: str = ""
    created: str
    #: The plan file's text as given, or null for a standing run.
    plan: str | None = None
    plan_source: str | None = None
    #: Full name of the ref that results land on, e.g. refs/heads/wf/<run>.
    branch: str
    #: The user's branch that `land` brings the results to, e.g. refs/heads/main.
    target: str
    #: Where the run's branch started.
    base: Oid
    max_concurrent: int | None = None
    #: What all of its attempts together may use.
    budget: Budget | None = None
    #: Wall time since `started`, after which nothing of it starts.
    time_s: Seconds | None = None
    #: When its first task was put on offer; kept where there is a `time_s`.
    started: str | None = None
    #: The task whose worker started this run; its authority bounds the run's.
    parent: Id | None = None
    depth: int | None = Field(default=None, ge=0)
    #: Must pass besides `policy.gate`.
    gate: Gate | None = None
    tasks: tuple[str, ...] = ()
    #: Those of `tasks` that are no work of the plan: controllers, and what they ask.
    aside: tuple[Id, ...] = ()
    state: Literal["open", "paused", "aborted", "landed"] = "open"
    reason: str = ""
    landed: Landed | None = None
    #: Runs whose results are taken where nothing that goes into a task differs (spec 93).
    reuses: tuple[Id, ...] = ()
    #: The machine that decides what no worker does, where several share the ledger (WFL-HUB-014).
    home: str | None = None
    #: While it is paused: whether what runs of it is ended, on whatever machine (WFL-HUB-058).
    ends: bool = False
    #: A `land` that has begun; over when `landed` says so (WFL-LAND-045).
    bringing: Bringing | None = None
