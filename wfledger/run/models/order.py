"""What the child is told, and what it reports: an order on the desk, a key and a report by hand.

The order holds no secret. The key of the provider comes over a descriptor, and what the child
reports goes over another; no program that it starts gets either, so a report is nobody else's.
"""

import json
import os
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from wfledger.core.policy import Policy
from wfledger.core.records import Record
from wfledger.core.routes import Routed
from wfledger.core.usage import Budget, Usage
from wfledger.run.config.profiles import Profile, read_models, read_profile
from wfledger.run.config.providers import Model
from wfledger.run.config.settings import Reader
from wfledger.run.processes.sandbox import Sandbox

#: Bytes that a pipe holds without a reader.
_PIPE_BYTES: Final = 60 * 1024


class Shut(Record):
    """A sandbox, as it stands in a file."""

    mounts: tuple[tuple[str, str], ...]
    network: bool

    @classmethod
    def of(cls, sandbox: Sandbox | None) -> "Shut | None":
        """Return *sandbox* to be written."""
        if sandbox is None:
            return None
        mounts = tuple((str(path), kind) for path, kind in sandbox.mounts)
        return cls(mounts=mounts, network=sandbox.network)

    def sandbox(self) -> Sandbox:
        """Return what was written."""
        mounts = tuple((Path(path), cast("Any", kind)) for path, kind in self.mounts)
        return Sandbox(mounts, self.network)


class Order(Record):
    """What one child is to do."""

    #: Where the ledger is, and the state that it belongs to.
    main: str
    state_home: str
    #: Of the task, which lies on the desk.
    task_file: str
    attempt: int
    folder: str
    #: What its producers left for it, to read.
    inputs: str
    prompt: str
    result_file: str
    transcript: str
    #: Where it says what it has used so far, to everybody on this machine.
    meter: str
    #: Where the output of its commands goes.
    output: str
    #: The receipt of its route.
    route: Routed
    provider: str
    #: What all runs of the ledger may use of it.
    provider_budget: Budget | None = None
    base_url: str
    #: As a `[profile.NAME]` says it, and the one model of it.
    profile: dict[str, Any]
    tools: tuple[str, ...]
    policy: Policy
    budget: Budget
    #: What its role gives to one attempt, in this.
    role_budget: Budget | None = None
    #: Commands: the names of variables that they are given, those set, and what shuts them in.
    pass_names: tuple[str, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 - a record copies it
    sandbox: Shut | None = None
    #: What the attempt has used already, where it goes on.
    before: Usage | None = None
    resumes: bool = False


class TroubleNote(Record):
    """What a provider refused or failed with."""

    kind: str
    message: str
    retry_after_s: float | None = None


class Report(Record):
    """What a child has come to, and until then how far it is."""

    usage: Usage | None = None
    #: The model as its server names it.
    model: str | None = None
    #: Whether it ended in good order.
    is_over: bool = False
    #: Seconds that were left of the attempt then; None where nothing bounds them.
    left_s: float | None = None
    #: Class and words of its failure; none where it has submitted.
    failure_class: str | None = None
    message: str = ""
    trouble: TroubleNote | None = None


@dataclass(frozen=True)
class Entrusted:
    """What the child gets by hand."""

    #: None where the provider wants none.
    key: str | None
    #: Values that no output may show.
    secrets: tuple[str, ...]


def server_table(profile: Profile, model: Model) -> dict[str, Any]:
    """Return a profile and its one model as a `[profile.NAME]` says them."""
    table = {**asdict(profile), "models": {model.name: asdict(model)}}
    del table["name"], table["models"][model.name]["name"]
    found = _plain(table)
    if not isinstance(found, dict):
        raise TypeError(found)
    return found


def read_server(table: Mapping[str, Any], name: str) -> tuple[Profile, Model]:
    """Return the profile and the model that `server_table` wrote."""
    reader = Reader(table, source="the order")
    profile = read_profile(reader, name)
    models = read_models(reader.table("models"))
    reader.close()
    return profile, models[0]


def hand_over(entrusted: Entrusted) -> int:
    """Return the read end of a pipe that holds what is entrusted; its reader closes it."""
    secrets = list(entrusted.secrets)
    raw = _entrusted(entrusted.key, secrets)
    while len(raw) > _PIPE_BYTES:
        # The longest are files in variables; more than a pipe holds would wait for its reader.
        secrets.remove(max(secrets, key=len))
        raw = _entrusted(entrusted.key, secrets)
    read, write = os.pipe()
    try:
        os.write(write, raw)
    finally:
        os.close(write)
    return read


def take_over(descriptor: int) -> Entrusted:
    """Read what `hand_over` has put there, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        found = json.loads(file.read())
    return Entrusted(found["key"], tuple(found["secrets"]))


class ReportSheet:
    """The place of a report: a file without a name, written by one child and read by us.

    It goes with the last descriptor of it.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def lend(self) -> int:
        """Return a descriptor of it for a child."""
        return os.dup(self._descriptor)

    def read(self) -> Report | None:
        """Return the last report; None where there is none that is whole."""
        raw = os.pread(self._descriptor, _PIPE_BYTES, 0)
        try:
            return Report.model_validate_json(raw)
        except ValueError:
            return None


def write_report(descriptor: int, report: Report) -> None:
    """Put *report* in the place of the last one."""
    raw = report.model_dump_json(exclude_defaults=True).encode()
    last = os.fstat(descriptor).st_size
    os.pwrite(descriptor, raw.ljust(last), 0)


def _entrusted(key: str | None, secrets: Iterable[str]) -> bytes:
    return json.dumps({"key": key, "secrets": list(secrets)}).encode()


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it, without what is absent."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value
