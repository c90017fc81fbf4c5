"""The documents of the ledger, parsed once at the boundary into frozen, strict models.

Fields and rules are those of spec 20 and 60. Unknown fields are kept and written back, so that
reading and writing a file never loses what a newer writer put there. This module is the only
user of pydantic.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from wfledger.core import bounds
from wfledger.errors import InvalidDocumentError

#: Version of the protocol; readers stop at a higher major version.
PROTOCOL: Final = "wfledger/1"

_ID: Final = re.compile(r"^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,63}\Z")
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


def check_id(text: str) -> str:
    """Return *text* if it may name a task, run or node (WFL-TASK-001), else raise `ValueError`."""
    if not _ID.match(text):
        raise ValueError("an id is 1 to 64 of a-z 0-9 _ - . and starts with a letter or digit")
    if text.endswith((".lock", ".json")):
        raise ValueError("an id ends neither in .lock nor in .json")
    if any(part in _DEVICES for part in text.split(".")):
        raise ValueError("an id does not use the name of a device")
    return text


Id = Annotated[
    str,
    AfterValidator(check_id),
    Field(json_schema_extra={"pattern": _ID.pattern.replace(r"\Z", "$")}),
]
Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Seconds = Annotated[float, Field(gt=0, le=bounds.MAX_SECONDS)]
Command = str | tuple[str, ...]


class Record(BaseModel):
    """Base of every part of a document: strict, frozen, unknown fields kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", populate_by_name=True)

    def but(self, **changes: Any) -> Self:
        """Return a copy with *changes*; the values must be valid already."""
        return self.model_copy(update=changes)


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
    """One verification of a result, on a clean checkout of its snapshot (spec 60)."""

    kind: Literal["exit_code", "command"]
    #: `command`: a shell line, or an argument vector.
    command: Command | None = None
    #: `exit_code`: the exit status that the worker must have had.
    expect: int = 0
    timeout_s: Seconds | None = None


class TaskSpec(Record):
    """What a task may read, run, write and be verified by; frozen at submission (WFL-TASK-010)."""

    title: str = ""
    #: A shell line or an argument vector; excludes `prompt` and `manual`.
    command: Command | None = None
    prompt: str | None = None
    #: Done by whoever claims it; no runtime starts it.
    manual: bool = False
    #: The role of fleet.toml that runs a prompt.
    role: str | None = None
    agent_type: str = "general"
    max_steps: int | None = None
    #: Patterns of spec 40; empty means that the task reads only.
    write: tuple[str, ...] = ()
    #: Exclusive labels, held like scopes.
    contracts: tuple[str, ...] = ()
    #: Tasks that must be settled first.
    after: tuple[str, ...] = ()
    #: Tasks of `after` whose envelopes are handed to the worker.
    inputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    #: What the end of this task without success means to its consumers and its run.
    on_failure: Literal["hold", "skip_continue", "abort"] = "hold"
    #: Higher goes first.
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    allow_no_change: bool = False
    #: Names of environment variables that the worker is given besides the standing list.
    env: tuple[str, ...] = ()
    limits: Limits = Limits()
    retry: Retry = Retry()
    verify: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Check that it is known who does the task (WFL-TASK-012)."""
        others = self.prompt is not None or self.manual
        if (self.command is not None) == others:
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


class Hold(Record):
    """Why a waiting task waits, beyond its dependencies and scope."""

    #: `backoff`, `released`, `withdrawn`, `paused`.
    code: str
    reason: str = ""
    #: Not before this moment (UTC, ISO 8601).
    until: str | None = None


class Block(Record):
    """Why a blocked task needs a decision, and the command that gives it (WFL-STATUS-020)."""

    code: str
    reason: str
    #: Ready to paste.
    command: str
    facts: dict[str, Any] = {}


class Accepted(Record):
    """A kept result that goes on to merging without another attempt (`land-only`)."""

    attempt: int
    head: Oid
    base: Oid
    #: Checks that a person has waived.
    waive: tuple[str, ...] = ()


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
    #: `merged`, `nothing` (a reader, or an allowed empty change).
    how: Literal["merged", "nothing"]
    at: str


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
    #: Answers of people to questions, oldest first.
    answers: tuple[str, ...] = ()

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
    #: read_only_violation, out_of_scope, verification, conflict, gate
    failure_class: str = Field(alias="class")
    source: Literal["transport", "task", "verification", "merge", "runtime"]
    message: str = ""


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
    outputs: dict[str, Any] = {}
    findings: tuple[dict[str, Any], ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    checks: tuple[dict[str, Any], ...] = ()
    confidence: float | None = None
    open_questions: tuple[str, ...] = ()
    next_: tuple[dict[str, Any], ...] = Field(default=(), alias="next")
    usage: dict[str, Any] | None = None
    agent: dict[str, Any] | None = None
    failure: Failure | None = None
    #: The rest is written by wfledger, never believed from a worker.
    changed: tuple[Changed, ...] = ()
    base: Oid | None = None
    head: Oid | None = None
    exit_status: int | None = None
    wall_s: float | None = None
    output_bytes: int | None = None


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
    tasks: tuple[str, ...] = ()
    state: Literal["open", "paused", "aborted", "landed"] = "open"
    reason: str = ""
    landed: Landed | None = None


class GatePolicy(Record):
    """The command that must pass on the exact merged tree."""

    command: Command
    timeout_s: Seconds = 1800.0


class Policy(Record):
    """What a ledger is run by; edited by hand in ledger.json."""

    slots: int | None = Field(default=None, ge=1, le=bounds.MAX_SLOTS)
    lease_s: Seconds = 600.0
    claim_grace_s: Seconds = 10.0
    offer_ttl_s: Seconds = 60.0
    #: Times that a task may be overtaken before it reserves its scope.
    overtake: int = Field(default=16, ge=0)
    gate: GatePolicy | None = None
    #: Paths that only a literal pattern grants (spec 40).
    protected: tuple[str, ...] = (
        "**/.git*", ".github/workflows/**", ".gitlab-ci.yml", ".wfledger/**",
    )
    max_blob_bytes: int = Field(default=50 * 2**20, ge=1)
    max_changes: int = Field(default=10_000, ge=1)
    allow_symlinks: bool = False
    keep_modes: bool = False
    limits: Limits = Limits(wall_s=3600.0, output_bytes=10 * 2**20)


class LedgerConfig(Record):
    """The marker file ledger.json: protocol version, identity, policy."""

    schema_: Literal["wfledger.ledger/1"] = Field(default="wfledger.ledger/1", alias="schema")
    id: Id
    created: str
    policy: Policy = Policy()
    #: Reason why nothing is promoted, or null.
    paused: str | None = None


DocumentT = TypeVar("DocumentT", bound=Record)


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands twice in one object")
        result[key] = value
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    """Return the number in *text*; one too large would silently become an infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


def load_json(raw: bytes, *, limit: int = bounds.TASK_BYTES) -> Any:
    """Parse *raw* as strict JSON: bounded, UTF-8, no duplicate keys, no NaN (WFL-TASK-004).

    Raises `InvalidDocumentError`.
    """
    if len(raw) > limit:
        raise InvalidDocumentError(f"{len(raw)} bytes; at most {limit} are read", limit=limit)
    try:
        text = raw.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise InvalidDocumentError("nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise InvalidDocumentError(f"not a JSON document: {error}") from None


def parse(model: type[DocumentT], raw: bytes, *, limit: int = bounds.TASK_BYTES) -> DocumentT:
    """Parse *raw* into *model*; raises `InvalidDocumentError` with every error's pointer."""
    load_json(raw, limit=limit)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = [
            {"pointer": "".join(f"/{part}" for part in item["loc"]), "message": item["msg"]}
            for item in error.errors(include_url=False, include_input=False)
        ]
        first = errors[0]
        raise InvalidDocumentError(
            f"{first['pointer'] or '/'}: {first['message']}", errors=errors
        ) from None


def canonical(document: Record) -> bytes:
    """Return the bytes that a document is stored as: sorted keys, two spaces, UTF-8 (WFL-TASK-003).

    Null and empty optional fields are left out, so a file shows only what is.
    """
    data = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    schema = getattr(document, "schema_", None)
    if schema is not None:
        data["schema"] = schema
    return canonical_json(data)


def canonical_json(data: Any) -> bytes:
    """Return *data* as canonical JSON."""
    text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "strict") + b"\n"
