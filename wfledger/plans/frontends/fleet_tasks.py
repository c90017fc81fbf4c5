"""The fields of a Fleet task document, read by table (spec 94.4): types, and what is out of scope.

What wfledger has no counterpart of is refused (`unsupported_field`) where leaving it out would
break a promise, and warned of (`not_enforced`) where it only loses a hint.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core import bounds
from wfledger.plans import fields
from wfledger.plans.fields import BAD, Field, Given, Site
from wfledger.plans.problems import quote
from wfledger.plans.words import read_label

#: What passes names like these on is a matter of fleet.toml, not of a document.
_SECRET: Final = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|CREDENTIAL|PRIVATE_KEY", re.IGNORECASE
)
_PRIORITY: Final = 1_000_000


def _left_out(kind: str, why: str) -> fields.Reader:
    """Return a reader of what has no counterpart; what says nothing is not worth a word."""
    said = "supported" if kind == "unsupported_field" else "enforced"

    def read(value: object, site: Site) -> Any:
        if value in (None, [], {}):
            return BAD
        return site.refuse(f"is not {said}: {why}", kind=kind)

    return read


def _foreign(why: str) -> fields.Reader:
    return _left_out("unsupported_field", why)


def _hint(why: str) -> fields.Reader:
    return _left_out("not_enforced", why)


def _env(value: object, site: Site) -> Any:
    result = fields.text(value, site)
    if result is not BAD and _SECRET.search(result):
        return site.refuse(
            f"looks like a secret; {quote(result)} is passed on by fleet.toml only",
            kind="unsupported_field",
        )
    return result


def _root(value: object, site: Site) -> Any:
    if value in (".", "./", ""):
        return BAD
    return site.refuse(
        "is not supported: a task works in a worktree of this repository", kind="unsupported_field"
    )


def _multiplier(value: object, site: Site) -> Any:
    if value == 2 and not isinstance(value, bool):
        return BAD
    return site.refuse(
        "is not supported: each wait is twice the one before", kind="unsupported_field"
    )


_SCORER: Final[fields.Shape] = {
    "kind": Field(
        fields.choice(
            "exit_code", "file_exists", "regex_match", "json_path", "command",
            "code_whale_verifier_prompt", "manual",
        ),
        required=True,
    ),
    "path": Field(fields.text),
    "pattern": Field(fields.text),
    "expression": Field(fields.text),
    "command": Field(fields.text),
    "args": Field(fields.many(fields.text, "argument")),
    "prompt": Field(fields.text),
}  # fmt: skip
#: The fields that each kind needs.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "file_exists": ("path",), "regex_match": ("path", "pattern"),
    "json_path": ("path", "expression"), "command": ("command",),
    "code_whale_verifier_prompt": ("prompt",),
}  # fmt: skip


def _scorer(value: object, site: Site) -> Any:
    given = fields.read_object(value, _SCORER, site)
    if given is None:
        return BAD
    fields.note_unknown(given, _SCORER, site)
    kind = given.values.get("kind")
    for name in _NEEDED.get(kind or "", ()):
        if name not in given.names:
            site.under(name, f"`{name}` of {site.label}").wrong("is missing")
    return given.values


def _artifact(value: object, site: Site) -> Any:
    """Read a kind of artifact, or an object with a path."""
    if not isinstance(value, dict):
        return fields.text(value, site)
    given = fields.nested({
        "kind": Field(fields.text), "path": Field(fields.text, required=True),
        "checksum": Field(_foreign("contents are not known before")),
        "mime_type": Field(_hint("files have no type here")),
        "size_bytes": Field(_hint("sizes are not looked at")),
    })(value, site)  # fmt: skip
    return BAD if given is BAD else given.get("path", BAD)


def _host(value: object, site: Site) -> Any:
    kind = value
    if isinstance(value, dict):
        kind = value.get("kind", value.get("type", next(iter(value), None)))
    if kind == "local":
        return BAD
    return site.refuse("is not supported: tasks run on this machine", kind="unsupported_field")


#: What the original spreads over its documents and its settings, and nothing here is like.
_ABROAD: Final[fields.Shape] = dict.fromkeys(
    (
        "host", "hosts", "remote_root", "auth", "trust_level", "trust", "secrets",
        "allowed_secrets", "capability_grants", "security_policy", "alert_policy", "alerts",
    ),
    Field(_foreign("remote hosts, trust, secrets and alerts are no matter of a document")),
)  # fmt: skip
_WORKER: Final[fields.Shape] = {
    **_ABROAD,
    "role": Field(read_label, optional=True),
    "agent_profile": Field(read_label, into="profile", optional=True),
    "profile": Field(read_label, optional=True),
    "model": Field(fields.text, optional=True),
    "capabilities": Field(fields.many(read_label, "capability")),
    "tool_profile": Field(fields.text, optional=True),
    "tools": Field(_hint("what a worker may use, its role in fleet.toml says")),
    "loadout": Field(_hint("routes are chosen by fleet.toml")),
    "model_class": Field(_hint("routes are chosen by fleet.toml")),
}
_WORKSPACE: Final[fields.Shape] = {
    **_ABROAD,
    "root": Field(_root, optional=True),
    "required_files": Field(fields.many(fields.text, "path")),
    "writable_paths": Field(fields.many(fields.text, "path")),
    "environment": Field(
        fields.nested({
            "required": Field(fields.many(_env, "name")),
            "allowlist": Field(fields.many(_env, "name")),
        }),
        optional=True,
    ),
}  # fmt: skip
_BUDGET: Final[fields.Shape] = {
    "max_tokens": Field(fields.ranged(1, bounds.MAX_TOKENS), into="tokens", optional=True),
    "max_tool_calls": Field(fields.ranged(1, bounds.MAX_STEPS), into="steps", optional=True),
    "max_seconds": Field(fields.ranged(1, 2**63), optional=True),
}
_RETRY: Final[fields.Shape] = {
    "max_attempts": Field(fields.ranged(1, bounds.MAX_ATTEMPTS)),
    "initial_backoff_seconds": Field(fields.whole(64)),
    "max_backoff_seconds": Field(fields.whole(64)),
    "backoff_multiplier": Field(_multiplier),
}
_METADATA: Final[fields.Shape] = {
    "priority": Field(fields.ranged(-_PRIORITY, _PRIORITY), optional=True),
    "class": Field(read_label, into="class_", optional=True),
    "coordination_contracts": Field(fields.many(read_label, "contract"), into="contracts"),
}
_KEPT: Final = "it is kept with the plan, and nothing acts on it"


def _metadata(value: object, site: Site) -> Any:
    given = fields.read_object(value, _METADATA, site)
    if given is None:
        return BAD
    for name in given.unknown:
        inner = site.under(name, f"{quote(name)} of {site.label}")
        inner.refuse(f"is not enforced: {_KEPT}", kind="not_enforced")
    return given.values


TASK: Final[fields.Shape] = {
    **_ABROAD,
    "id": Field(fields.text, required=True),
    "name": Field(fields.text, required=True),
    "description": Field(fields.text, optional=True),
    "objective": Field(fields.text, optional=True),
    "instructions": Field(fields.text, required=True),
    "worker": Field(fields.nested(_WORKER), optional=True),
    "workspace": Field(fields.nested(_WORKSPACE), optional=True),
    "input_files": Field(fields.many(fields.text, "path")),
    "context": Field(fields.many(fields.text, "entry")),
    "budget": Field(fields.nested(_BUDGET), optional=True),
    "tags": Field(fields.many(fields.text, "tag")),
    "expected_artifacts": Field(fields.many(_artifact, "artifact")),
    "scorer": Field(_scorer, optional=True),
    "retry_policy": Field(fields.nested(_RETRY), optional=True),
    "alert_policy": Field(_foreign("nobody is alerted; `wfledger watch` shows what goes on")),
    "timeout_seconds": Field(fields.ranged(1, 2**63), optional=True),
    "metadata": Field(_metadata),
}
WORKER_SPEC: Final[fields.Shape] = {
    **_ABROAD,
    "id": Field(fields.text, required=True),
    "name": Field(fields.text, required=True),
    "host": Field(_host, required=True),
    "trust_level": Field(_foreign("what a worker may do, its role in fleet.toml says")),
    "labels": Field(_hint(_KEPT)),
    "capabilities": Field(_hint("what a worker offers, its role in fleet.toml says")),
    "max_concurrent_tasks": Field(fields.ranged(1, bounds.MAX_SLOTS), optional=True),
}


@dataclass(frozen=True)
class FleetTask:
    """One task of the document, or one worker, as read."""

    given: Given
    site: Site

    def of(self, *names: str) -> Any:
        """Return the value at a path of names; None where there is none."""
        value: Any = self.given.values
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def read_one(value: object, shape: fields.Shape, noun: str, site: Site) -> Any:
    """Read a task or a worker; what is out of scope is kept in `site.late`."""
    name = value.get("id") if isinstance(value, dict) else None
    label = f"{noun} {quote(name)}" if isinstance(name, str) else site.label
    inner = Site(site.pointer, label, site.parse)
    given = fields.read_object(value, shape, inner)
    if given is None:
        return BAD
    fields.note_unknown(given, shape, inner)
    return FleetTask(given, inner)


def read_task(value: object, site: Site) -> Any:
    """Read one task."""
    return read_one(value, TASK, "task", site)


def read_worker(value: object, site: Site) -> Any:
    """Read one worker."""
    return read_one(value, WORKER_SPEC, "worker", site)


DOCUMENT: Final[fields.Shape] = {
    **_ABROAD,
    "name": Field(fields.text, optional=True),
    "labels": Field(_hint(_KEPT)),
    "security_policy": Field(
        _foreign("what workers may do, fleet.toml and the tasks' scopes say"), optional=True
    ),
    "workers": Field(fields.many(read_worker, "worker")),
    "worker_specs": Field(fields.many(read_worker, "worker"), into="workers"),
    "tasks": Field(fields.many(read_task, "task")),
}
