"""Secrets that an attempt was given and that stand in what it changed: they land nowhere.

Only what the environment of whoever lands it has can be compared; named is the variable, never its
value. The commit that keeps the attempt's work has it still, under a ref that nobody pushes.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from wfledger.core.changes import Change, Violation
from wfledger.core.documents import Task
from wfledger.run.config.roles import Fleet
from wfledger.run.guard import vouching
from wfledger.run.merger.merging import Subject
from wfledger.run.processes.environment import is_passed, looks_secret, secrets_of
from wfledger.run.workspace import Workspace

#: Bytes of a file that is searched, and of all files of a change together.
_FILE_BYTES: Final = 2**20
_ALL_BYTES: Final = 64 * 2**20


def spilt(
    workspace: Workspace, task: Task, subject: Subject, changes: Sequence[Change]
) -> tuple[Violation, ...]:
    """Return which changed files hold the value of a variable that the attempt was given."""
    names = _given(vouching.fleet(workspace), task, subject)
    values = {name: [one.encode() for one in _values(name)] for name in names}
    values = {name: ones for name, ones in values.items() if ones}
    return tuple(_found(workspace, subject.head or "", changes, values)) if values else ()


def _found(
    workspace: Workspace, head: str, changes: Sequence[Change], values: dict[str, list[bytes]]
) -> Iterator[Violation]:
    left = _ALL_BYTES
    for change in changes:
        size = change.new.size if change.new is not None else None
        if size is None or change.name is None or size > min(_FILE_BYTES, left):
            continue
        left -= size
        data = workspace.repo.read_blob(head, change.name) or b""
        for name, ones in values.items():
            if any(one in data for one in ones):
                reason = f"it holds the value of the variable {name}, which is secret"
                yield Violation("secret", change.text, reason, None)


def _given(fleet: Fleet, task: Task, subject: Subject) -> tuple[str, ...]:
    """Return the names of secrets that are set here and that the attempt's worker was given."""
    route = subject.result.route if subject.result is not None else None
    provider = fleet.provider(route.provider) if route is not None and route.provider else None
    role = next((one for one in fleet.roles if one.name == task.spec.role), None)
    passed = (*fleet.env_pass, *task.spec.env, *(role.pass_names if role is not None else ()))
    names = [name for name in os.environ if looks_secret(name) and is_passed(name, passed)]
    key = provider.key if provider is not None else None
    return tuple(dict.fromkeys([*names, *([key] if key is not None else [])]))


def _values(name: str) -> tuple[str, ...]:
    """Return what to look for, under a name that says it is a secret whatever its own is."""
    return secrets_of({"KEY": os.environ.get(name, "")})
