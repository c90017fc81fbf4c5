"""The eight tools: what each is called with, and the function of `run` that it stands for.

Short on purpose: every session pays for these words in each of its turns (WFL-MCP-002).
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from wfledger.clock import iso
from wfledger.core.documents import Task
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.errors import NotFoundError
from wfledger.mcp import handing_in
from wfledger.mcp.session import Session
from wfledger.run.attempts import claims, phases, worktrees
from wfledger.run.attempts.expanding import expand
from wfledger.run.attempts.handing import give_worktree
from wfledger.run.attempts.tenure import deadline_of
from wfledger.run.hub.confirming import bring_in
from wfledger.run.looks.brief import Holding, brief, title_of
from wfledger.run.looks.explain import explain
from wfledger.run.looks.naming import find_run, resolve
from wfledger.run.looks.overview import overview, page
from wfledger.run.offering import claim_next, refill
from wfledger.run.workspace import Workspace

_TITLE: Final = 80
_LISTED: Final = 10
_REASON: Final = 500


@dataclass(frozen=True)
class Call:
    """One call: its arguments as the schema says, and how it is stopped."""

    session: Session
    workspace: Workspace
    args: Mapping[str, Any]
    stop: threading.Event


#: What a call answers with: an object, or a text alone.
Answer = dict[str, Any] | str


def wf_brief(call: Call) -> Answer:
    """Return the brief about a task, the claim of the session, or the ledger."""
    named = call.args.get("task")
    task_id = resolve(call.workspace, named) if named else None
    kept = call.session.kept()
    mine = [one for one in kept if task_id in {None, one.task}]
    holding = Holding(mine[0].task, mine[0].token) if mine else None
    others = [one.task for one in kept if holding is None or one.task != holding.task]
    text = brief(call.workspace, task_id=task_id, holding=holding, door="mcp").text
    return f"{text}\nYou also hold: {', '.join(others[:_LISTED])}" if others else text


def wf_ready(call: Call) -> Answer:
    """Return what is on offer, after filling a window that is nearly empty."""
    refill(call.workspace, worker=call.session.worker)
    entries, more = page(
        call.workspace, statuses=[Status.PENDING], run=None, limit=call.args.get("limit", _LISTED),
        after="",
    )  # fmt: skip
    names = call.workspace.ledger.names
    return {
        "ready": [_offer(entry.task) for entry in entries],
        "more": more is not None,
        "waiting": len(names(Status.WAITING)),
        "blocked": len(names(Status.BLOCKED)),
    }


def _offer(task: Task) -> dict[str, Any]:
    spec = task.spec
    return {
        "task": task.id, "title": clean_line(title_of(task), _TITLE),
        "write": list(spec.write[:_LISTED]), "priority": spec.priority,
    }  # fmt: skip


def wf_claim(call: Call) -> Answer:
    """Take a task, make its worktree, and keep its token."""
    named = call.args.get("task")
    workspace = call.workspace
    task_id = resolve(workspace, named) if named else None
    claimed = claim_next(workspace, worker=call.session.worker, task_id=task_id)
    if call.args.get("worktree", True):
        give_worktree(workspace, claimed)
    call.session.keep(claimed.task, claimed.token)
    brought = bring_in(workspace, waits=False)
    holding = Holding(claimed.task.id, claimed.token)
    return {
        **_claim(workspace, claimed.task), "token": claimed.token,
        "brief": brief(workspace, holding=holding, door="mcp").text, **brought.as_json(),
    }  # fmt: skip


def _claim(workspace: Workspace, task: Task) -> dict[str, Any]:
    name = workspace.ledger.layout.attempt_name(task.id, task.attempt)
    place, deadline = worktrees.find(workspace, name), deadline_of(workspace, task)
    return {
        "task": task.id, "attempt": task.attempt, "write": list(task.spec.write),
        "base": place.base if place else None, "worktree": place.path if place else None,
        "deadline": iso(deadline) if deadline else None, "lease_s": workspace.policy().lease_s,
    }  # fmt: skip


def wf_heartbeat(call: Call) -> Answer:
    """Renew a claim, beyond its deadline too, and say what is done."""
    held = call.session.held(call.workspace, call.args.get("task"), call.args.get("token"))
    claims.heartbeat(call.workspace, held.task, held.token)
    note = call.args.get("note", "")
    if note:
        phases.note(call.workspace, held.task, held.attempt, "running", text=note)
    return _claim(call.workspace, call.workspace.ledger.get(held.task).task)


def wf_complete(call: Call) -> Answer:
    """Check the work; hand it in and land it where it passes; join what goes on already."""
    session, workspace = call.session, call.workspace
    task_id = session.meant(workspace, call.args.get("task"))
    work = session.under_way(task_id)
    if work is None:
        held = session.held(workspace, task_id, call.args.get("token"))
        do = partial(handing_in.complete, session, workspace, held, call.args)
        work = session.start(held, lambda waiter: do(waiter=waiter))
    found = session.outcome(work, call.stop)
    if found is not None:
        return found
    return {
        "task": work.task_id, "checked": "running", "doing": clean_line(work.said),
        "next": "it goes on; call wf_complete again to hear what came of it",
    }  # fmt: skip


def wf_fail(call: Call) -> Answer:
    """End the attempt without a result: failed, with a question, or given back."""
    held = call.session.held(call.workspace, call.args.get("task"), call.args.get("token"))
    with call.session.alone(held.task):
        return handing_in.fail(call.session, call.workspace, held, call.args)


def wf_expand(call: Call) -> Answer:
    """Add tasks below the one that is held."""
    held = call.session.held(call.workspace, call.args.get("task"), call.args.get("token"))
    done = expand(call.workspace, held.task, held.token, call.args["tasks"])
    return {**done.as_json(), **bring_in(call.workspace).as_json()}


def wf_status(call: Call) -> Answer:
    """Return counts and what goes on; with an id, why a task or run is where it is."""
    named = call.args.get("id")
    if named is None:
        return _overview(call, None)
    try:
        return explain(call.workspace, resolve(call.workspace, named)).as_json()
    except NotFoundError:
        return _overview(call, named)


def _overview(call: Call, named: str | None) -> dict[str, Any]:
    run = find_run(call.workspace, named) if named else None
    found = overview(call.workspace, run)
    runs = [line for line in found.runs if run is not None or line.run.state != "landed"]
    return {
        "counts": found.counts,
        "runs": [
            {
                "run": line.run.id, "goal": clean_line(line.run.goal or line.run.name, _TITLE),
                "state": line.run.state, "verdict": line.verdict,
                "done": line.counts[Status.DONE.value], "total": line.total,
            }
            for line in runs[-_LISTED:]
        ],
        "working": [
            {
                "task": one.doing.task.id, "worker": one.doing.worker, "since": one.since,
                "text": one.doing.text,
            }
            for one in found.working[:_LISTED]
        ],
        "needs": [
            {**need.as_json(), "reason": clean_line(need.reason, _REASON)}
            for need in found.needs[:_LISTED]
        ],
        "totals": {
            "runs": len(runs), "working": len(found.working), "needs": len(found.needs),
        },
        "paused": found.paused or found.short_of,
        "yours": [one.task for one in call.session.kept()],
    }  # fmt: skip


# -- what clients are told of them ---------------------------------------------------------------


@dataclass(frozen=True)
class Tool:
    """A tool as clients see it, and its function."""

    does: Callable[[Call], Answer]
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        found: dict[str, Any] = {"type": "object", "properties": dict(self.properties)}
        return {**found, "required": list(self.required)} if self.required else found


_TEXT: Final = {"type": "string"}
_MINE: Final = {"task": _TEXT, "token": _TEXT}
_ALL: Final = (
    Tool(
        wf_brief,
        "Start here: what you hold and how to finish it, else what is ready. With task: about it.",
        {"task": _TEXT},
    ),
    Tool(
        wf_ready, "List tasks on offer.",
        {"limit": {"type": "integer", "minimum": 1, "maximum": 50}},
    ),
    Tool(
        wf_claim,
        "Take a task, the first on offer if none is named. Answers with worktree (work only "
        "there), write scope, deadline, token. The lease is renewed for you until the deadline.",
        {"task": _TEXT, "worktree": {"type": "boolean"}},
    ),
    Tool(
        wf_heartbeat, "Renew a claim beyond its deadline; note: what you do now.",
        {"note": _TEXT, **_MINE},
    ),
    Tool(
        wf_complete,
        "Hand in your work: checks scope and verification, then lands it. If reasons come back, "
        "mend them and call again: the claim is kept. no_change needs a summary that says why. "
        "A review says outputs.verdict (passed or failed) or outputs.score. findings: "
        "[{title, severity, path, line}]; handoffs: [{to_role, kind, payload}].",
        {
            "summary": _TEXT, "status": {"type": "string", "enum": ["succeeded", "no_change"]},
            "outputs": {"type": "object"}, "findings": {"type": "array"},
            "handoffs": {"type": "array"}, "check_only": {"type": "boolean"}, **_MINE,
        },
    ),
    Tool(
        wf_fail,
        "End your attempt: task (cannot be done), question (for a person), transport (try again), "
        "environment, release (give back). Work is kept.",
        {
            "kind": {
                "type": "string",
                "enum": ["task", "question", "transport", "environment", "release"],
            },
            "reason": _TEXT, **_MINE,
        },
        ("reason",),
    ),
    Tool(
        wf_expand,
        "Add tasks below yours (at most 50): [{id, prompt|command|manual, write, after, verify, "
        "title}]. write lies within your scope; after names these or tasks of the run.",
        {"tasks": {"type": "array", "items": {"type": "object"}}, **_MINE},
        ("tasks",),
    ),
    Tool(
        wf_status,
        "Counts, runs, who works, what waits for a person. With the id of a task or run: why.",
        {"id": _TEXT},
    ),
)  # fmt: skip
#: Every tool by its name.
TOOLS: Final[Mapping[str, Tool]] = {tool.does.__name__: tool for tool in _ALL}
