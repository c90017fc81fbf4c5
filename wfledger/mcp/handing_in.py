"""`wf_complete` and `wf_fail`: the end of an attempt, by the agent itself or left to its runtime.

Work is checked before the attempt is closed, so that what is wrong can be mended in the same turn
and by the same claim (WFL-MCP-020). Where a runtime holds the attempt it hands in what the
envelope says when the agent has ended; closing it here would pull the worktree from under it
(WFL-MCP-014).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wfledger.core.records import canonical_json
from wfledger.errors import EnvironmentFailedError, UsageError
from wfledger.mcp.session import Kept, Session
from wfledger.run.attempts import handing, outcomes, precheck
from wfledger.run.hub.confirming import bring_in
from wfledger.run.liveness import has_runtime
from wfledger.run.workspace import Workspace
from wfledger.store import atomic

#: What of an envelope an agent says by the fields of the call.
_SAID: Final = ("summary", "status", "outputs", "findings", "handoffs")


def complete(
    session: Session, workspace: Workspace, held: Kept, args: Mapping[str, Any], *,
    waiter: handing.Foreground,
) -> dict[str, Any]:  # fmt: skip
    """Check the work of *held*, hand it in and land it; returns what came of that."""
    fields = {key: args[key] for key in _SAID if key in args}
    envelope = canonical_json({"status": "succeeded", **fields})
    by_runtime = has_runtime(workspace, workspace.ledger.get(held.task).task)
    checked = _checked(workspace, held, envelope, waiter, by_runtime=by_runtime)
    if checked is not None and not checked.passed:
        said = outcomes.of_refused(checked)
        return _answer(workspace, held, said, kept=True)
    if args.get("check_only"):
        return {"task": held.task, "checked": "passed", "claim": "kept"}
    if by_runtime:
        return _leave(session, held, envelope)
    handed = handing.complete(workspace, held.task, held.token, envelope=envelope, landing=waiter)
    session.forget(held.task)
    return _answer(workspace, held, outcomes.of_handed(handed), kept=False)


def _checked(
    workspace: Workspace, held: Kept, envelope: bytes, waiter: handing.Foreground, *,
    by_runtime: bool,
) -> precheck.Checked | None:  # fmt: skip
    """Return what the check says; None where a sandbox lets nobody look from in here."""
    try:
        return precheck.check(workspace, held.task, held.token, envelope=envelope, waiter=waiter)
    except (EnvironmentFailedError, OSError):
        if not by_runtime:
            raise
        return None


def fail(
    session: Session, workspace: Workspace, held: Kept, args: Mapping[str, Any]
) -> dict[str, Any]:
    """End the attempt of *held* as failed, with a question, or by giving it back."""
    kind, reason = args.get("kind", "task"), args["reason"]
    if has_runtime(workspace, workspace.ledger.get(held.task).task):
        if kind == "release":
            raise UsageError("a runtime holds the attempt; end your program to give it back")
        said: dict[str, Any] = {"status": "failed", "failure": {"class": kind, "message": reason}}
        if kind == "question":
            said = {"status": "blocked", "open_questions": [reason]}
        return _leave(session, held, canonical_json({**said, "summary": reason[:1000]}))
    if kind == "release":
        handing.give_back(workspace, held.task, held.token, reason=reason)
    else:
        handing.fail(workspace, held.task, held.token, kind=kind, reason=reason)
    session.forget(held.task)
    ended = outcomes.Said(0, f"has ended: {kind}; its work is kept")
    return _answer(workspace, held, ended, kept=False)


def _leave(session: Session, held: Kept, envelope: bytes) -> dict[str, Any]:
    """Leave the envelope to the runtime that holds the attempt."""
    path: Path | None = session.result_file
    if path is None:
        raise UsageError(
            f"a runtime holds {held.task}, and names no result file here",
            hint="end your program; the runtime hands in what is in the worktree",
        )
    atomic.replace(path, envelope, tmp=path.parent)
    return {
        "task": held.task, "handed": "written for the runtime that started you", "claim": "kept",
        "next": "end now; what is in the worktree is checked and landed for you",
    }  # fmt: skip


def _answer(workspace: Workspace, held: Kept, said: outcomes.Said, *, kept: bool) -> dict[str, Any]:
    brought = bring_in(workspace)
    brought.refuse_lost(workspace, held.task)
    status = workspace.ledger.get(held.task).status.value
    return {
        "task": held.task, "status": status, "claim": "kept" if kept else "over",
        # What waits for a person or for the branch is handed in all the same.
        "said": said.sentence.partition("\n")[0], "ok": not kept and said.status not in {1, 5},
        **said.facts, **brought.as_json(),
        **({"next": "mend the reasons in the worktree and call wf_complete again"} if kept else {}),
    }  # fmt: skip
