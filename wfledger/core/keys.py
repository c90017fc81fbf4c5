"""The key of a task: a hash of everything that goes into its result (spec 93).

Pure. Two tasks with the same key would be given the same to do, by the same worker, on the same
files, with the same results of others; so the result of one may be taken for the other. A key is
the same on every platform and in every run: no id of a run, no time and no path of a machine goes
into it. Whoever adds a field to `TaskSpec` says below whether it counts.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.control import Control
from wfledger.core.documents import Result, TaskSpec

#: Changes whenever equal keys would no longer mean equal work; older results are not taken then.
VERSION: Final = "wf1"
#: Fields of a spec that count as they are.
COUNTED: Final = (
    "command", "prompt", "manual", "agent_type", "max_steps", "model", "allow_no_change", "probe",
    "reduces", "sent_back", "network",
)  # fmt: skip
#: Fields that count as sets: their order says nothing.
COUNTED_SETS: Final = ("requires", "tools", "write", "needs", "env", "deliverables")
#: Fields that count in another form: what they lead to instead of how it is called here.
RESOLVED: Final = ("role", "control", "after", "inputs", "at", "verifies", "verify")
#: Fields that say when, where and how often, and nothing of what.
IGNORED: Final = (
    "title", "plays", "budget", "parent", "depth", "contracts", "class_", "on_failure", "priority",
    "isolation", "limits", "retry", "candidate_of",
)  # fmt: skip
#: What a consumer can see of an envelope.
_SAID: Final = (
    "status", "summary", "outputs", "findings", "confidence", "open_questions", "next_", "handoffs",
    "artifacts", "changed", "synthesis",
)  # fmt: skip


@dataclass(frozen=True)
class Fed:
    """What one task that is waited for means to the one that waits."""

    #: Its name as the consumer knows it (`relative`).
    name: str
    #: None: it ended without a result.
    key: str | None = None
    #: Digest of the files that it changed (`digest_of`); None where it changed none.
    left: str | None = None
    #: Digest of its envelope, where that is handed in.
    said: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a task finds besides its own spec, without ids of runs."""

    #: Its own name, without its run.
    name: str
    #: The run whose ids say nothing in the texts of its spec.
    run: str
    #: The tree that its run started from.
    base: str
    #: What its role resolves to; None where no role does it.
    staff: Mapping[str, Any] | None = None
    fed: Sequence[Fed] = ()
    #: Trees that its spec names by their commits, by field.
    trees: Mapping[str, str] | None = None
    #: Digests of the handoffs that it is given, newest first.
    handed: Sequence[str] = ()


def key_of(spec: TaskSpec, around: Surroundings) -> str:
    """Return the key of a task; equal for equal work, whatever the order of fields and sets."""
    return f"{VERSION}-{digest_of(material(spec, around))}"


def material(spec: TaskSpec, around: Surroundings) -> dict[str, Any]:
    """Return everything that goes into a key, as one plain value."""
    found = {
        "spec": in_run(_of_spec(spec), around.run, "~"), "name": around.name, "base": around.base,
        "staff": None if around.staff is None else _given(around.staff),
        "fed": sorted(
            [one.name, one.key or "", one.left or "", one.said or ""] for one in around.fed
        ),
        "trees": dict(around.trees or {}), "handed": list(around.handed),
    }  # fmt: skip
    return _given(found)


def _given(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not empty: what a later version adds changes no key before it is used."""
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def spec_digest(spec: TaskSpec) -> str:
    """Return the digest of what counts of a spec alone, to tell what has changed."""
    return digest_of(_of_spec(spec))


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a plain value: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def said_digest(
    result: Result, *, run: str, members: Sequence[tuple[str, str]] = ()
) -> str:
    """Return the digest of what a consumer can see of an envelope.

    Times, costs, numbers of attempts and commits do not count. *members* are the names and digests
    of the results that it is made of and that are handed in with it.
    """
    seen = result.model_dump(mode="json", include=set(_SAID), exclude_defaults=True)
    return digest_of([in_run(seen, run, "~"), sorted(map(list, members))])


def in_run(value: Any, run: str, other: str) -> Any:
    """Return a plain *value* with the ids of tasks of *run* turned into those of *other*."""
    text = json.dumps(value, sort_keys=True)
    ids = rf"(?<![A-Za-z0-9_.-]){re.escape(run)}\.(?=[a-z0-9])"
    return json.loads(re.sub(ids, f"{other}.", text))


def relative(name: str, seen_from: str) -> str:
    """Return how a task is known to another: without the parts that their ids begin with alike."""
    parts, others = name.split("."), seen_from.split(".")
    same = 0
    for one, other in zip(parts[:-1], others[:-1], strict=False):
        if one != other:
            break
        same += 1
    return ".".join(parts[same:])


def _of_spec(spec: TaskSpec) -> dict[str, Any]:
    given = spec.model_dump(mode="json", exclude_defaults=True)
    found: dict[str, Any] = {name: given[name] for name in COUNTED if name in given}
    for name in COUNTED_SETS:
        if name in given:
            found[name] = None if given[name] is None else sorted(set(given[name]))
    found["verify"] = [_without(check, {"timeout_s"}) for check in given.get("verify", ())]
    if spec.control is not None:
        found["control"] = _of_control(spec.control)
    return found


def _of_control(control: Control) -> dict[str, Any]:
    """Return what counts of a controller: not its tasks' ids, nor what its loops may use."""
    given = control.model_dump(mode="json", exclude_defaults=True)
    given["outer"] = sorted(control.outer)
    return _without(given, {"members", "budget", "time_s"})


def _without(given: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}
