"""What a ledger is run by: the marker file ledger.json and the policy in it (spec 10)."""

from typing import Literal

from pydantic import Field

from wfledger.core import bounds
from wfledger.core.documents import Gate, Limits
from wfledger.core.records import Id, Record, Seconds
from wfledger.core.scopes import PROTECTED


class GatePolicy(Gate):
    """The gate of every run of the ledger."""


class Retention(Record):
    """How long this machine keeps what nobody works with any more."""

    #: Logs of tasks that are done or cancelled.
    logs_s: Seconds = 30 * 86_400.0
    #: Bytes of such logs in all; the oldest go first.
    log_bytes: int = Field(default=2 * 2**30, ge=0)
    #: Refs of attempts and the branch of a run, after it has landed; their commits stay.
    refs_s: Seconds = 30 * 86_400.0


class Backpressure(Record):
    """When this machine is too busy for another attempt; null asks nothing."""

    #: Load average of a minute, for each processor.
    load_per_cpu: float | None = Field(default=None, gt=0)
    #: Bytes of memory that are available; never more than a twentieth of all is asked for.
    memory_bytes: int | None = Field(default=256 * 2**20, ge=0)
    #: Bytes that are free where worktrees and the repository lie; a twentieth here, too.
    disk_bytes: int | None = Field(default=512 * 2**20, ge=0)


class RemotePolicy(Record):
    """How often machines that share a ledger meet at its remote (WFL-HUB-040)."""

    #: Seconds between two pushes of one machine; null: as few as the server's limit asks for.
    interval_s: Seconds | None = None
    #: Pushes of all machines together; null: what the server's operator publishes, if anything.
    pushes_per_minute: float | None = Field(default=None, gt=0)
    #: What becomes of running attempts whose machine cannot renew: they end, or are stopped.
    offline: Literal["finish", "stop"] = "finish"


class Policy(Record):
    """What a ledger is run by; edited by hand in ledger.json."""

    slots: int | None = Field(default=None, ge=1, le=bounds.MAX_SLOTS)
    #: Class of tasks -> how many of it may be on offer or at work at once, of all runs together.
    classes: dict[str, int] = Field(default={})
    backpressure: Backpressure = Backpressure()
    lease_s: Seconds = 600.0
    claim_grace_s: Seconds = 10.0
    offer_ttl_s: Seconds = 60.0
    #: Times that a task may be overtaken before it reserves its scope.
    overtake: int = Field(default=16, ge=0)
    gate: GatePolicy | None = None
    #: Paths that only a literal pattern grants (spec 40).
    protected: tuple[str, ...] = PROTECTED
    #: Generations of tasks and runs that the worker of a task may start below it.
    depth: int = Field(default=2, ge=0, le=bounds.MAX_DEPTH)
    max_blob_bytes: int = Field(default=50 * 2**20, ge=1)
    max_changes: int = Field(default=10_000, ge=1)
    allow_symlinks: bool = False
    keep_modes: bool = False
    retention: Retention = Retention()
    remote: RemotePolicy = RemotePolicy()
    limits: Limits = Limits(wall_s=3600.0, output_bytes=10 * 2**20)


class LedgerConfig(Record):
    """The marker file ledger.json: protocol version, identity, policy."""

    schema_: Literal["wfledger.ledger/1"] = Field(default="wfledger.ledger/1", alias="schema")
    id: Id
    created: str
    policy: Policy = Policy()
    #: Reason why nothing is promoted, or null.
    paused: str | None = None
