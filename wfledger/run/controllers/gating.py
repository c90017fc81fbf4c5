"""`gate`: looks at what a role has come to, and lets the next one begin, or not (spec 92, 4).

Where it stands is in `control.facts`: `state` and `attempt` of `core.gates`, the tasks that are
`judged`, and the `reasons` why they did not pass. Work that is sent back is begun as new tasks.
"""

from collections.abc import Iterable
from typing import Any, Final

from wfledger.core import gates
from wfledger.core.control import ControlState, GateTerms
from wfledger.core.documents import TaskSpec
from wfledger.core.gates import GateState, Outcome, Seen
from wfledger.core.handoffs import same_role
from wfledger.core.statuses import Status
from wfledger.core.text import clean_line
from wfledger.run.attempts.handed import gather
from wfledger.run.controllers.moves import Decide, Move, Note, Scene, Start, Stop
from wfledger.run.controllers.parts import unfolded
from wfledger.run.controllers.saying import asking, said, was_asked, yes_or_no

_REASON_CHARS: Final = 1000
#: Results that work which is sent back is given of what was done before.
_HANDED_ON: Final = 32


def gate(scene: Scene) -> Move:
    """Look, and pass, stop, send the work back, or ask a person.

    What a look came to is noted first; what is begun or asked follows from the note alone.
    """
    stands = _stands(scene)
    if stands.state == "passed":
        return _passed(scene)
    if stands.state in gates.STOPPED:
        return _lifted(scene, stands)
    if stands.state == "retrying" and scene.state.step < stands.attempt:
        return _send_back(scene, stands)
    outcome = _look(scene, stands)
    if isinstance(outcome, Stop):
        return outcome
    return _note(scene, gates.after(stands, outcome, _terms(scene)), outcome)


def _terms(scene: Scene) -> GateTerms:
    if scene.control.gate is None:
        raise AssertionError(f"{scene.task.id} is no gate")
    return scene.control.gate


def _stands(scene: Scene) -> GateState:
    facts = scene.state.facts
    return GateState(facts.get("state", "pending"), facts.get("attempt", 0))


def _judged(scene: Scene) -> tuple[str, ...]:
    return tuple(scene.state.facts.get("judged", scene.control.members))


# -- looking -------------------------------------------------------------------------------------


def _look(scene: Scene, stands: GateState) -> Outcome | Stop:
    terms = _terms(scene)
    reasons = gates.look(terms, _seen(scene))
    if reasons:
        return Outcome("fail", reasons)
    return _asked(scene, stands) if terms.gate == "approve" else Outcome("pass")


def _seen(scene: Scene) -> Iterable[Seen]:
    """Yield what the role has come to: of a task that holds others together, those."""
    ledger = scene.workspace.ledger
    found = gather(scene.workspace, _judged(scene))
    for name in dict.fromkeys([*found.results, *found.missing]):
        entry = ledger.find(name)
        if entry is None:
            yield Seen(name, Status.CANCELLED, None)
        elif name not in found.groups:
            yield Seen(name, entry.status, found.results.get(name), entry.task.block)


def _asked(scene: Scene, stands: GateState) -> Outcome | Stop:
    """Return what a person says of the role's work, or ask one."""
    question = f"approve-{stands.attempt}"
    answer = said(scene, question)
    verdict, reason = yes_or_no(answer or "")
    if verdict is None:
        names = ", ".join(_judged(scene)) or "nothing yet"
        unclear = f"; yes or no, and not {clean_line(answer, 100)}" if answer else ""
        return Stop(
            "question", f"may {_what(scene)} pass? It is about: {names}{unclear}",
            command=f"wfledger answer {scene.task.id} yes", state=asking(scene, question),
        )  # fmt: skip
    return Outcome("human_approve") if verdict else Outcome("fail", (reason or "a person said no",))


def _what(scene: Scene) -> str:
    terms = _terms(scene)
    if terms.on == "role_start":
        return f"what the role {terms.role} starts from"
    return f"the work of the role {terms.role}"


# -- what follows --------------------------------------------------------------------------------


def _note(scene: Scene, stands: GateState, outcome: Outcome) -> Note:
    facts: dict[str, Any] = {
        "state": stands.state, "attempt": stands.attempt, "reasons": list(outcome.reasons)
    }  # fmt: skip
    if outcome.kind == "human_approve":
        facts["by"] = "person"
    why = "; ".join(outcome.reasons) or outcome.kind
    return Note(_state(scene, **facts), f"{stands.state}: {clean_line(why, _REASON_CHARS)}")


def _state(scene: Scene, **facts: Any) -> ControlState:
    return scene.state.but(facts={**scene.state.facts, **facts})


def _send_back(scene: Scene, stands: GateState) -> Start | Stop:
    """Begin the role's work anew, told why; with nothing to begin it is a person's turn."""
    reasons = tuple(scene.state.facts.get("reasons", ()))
    if not scene.control.body:
        facts = {"state": "escalated", "attempt": stands.attempt - 1}
        return _stop(scene, GateState("escalated", stands.attempt - 1), _state(scene, **facts))
    made = unfolded(scene, str(stands.attempt), scene.control.body, {})
    before = tuple(gather(scene.workspace, _judged(scene)).results)[:_HANDED_ON]
    tasks = [(name, _again(spec, reasons, before)) for name, spec in made.tasks]
    judged = [name for name, spec in tasks if same_role(spec.plays, _terms(scene).role)]
    earlier = [*scene.state.facts.get("earlier", ()), *_judged(scene)]
    state = _state(scene, judged=judged or list(made.exits), earlier=earlier).but(
        step=stands.attempt, on=made.exits, exits=made.exits
    )
    return Start(tasks, state, why=f"sent back, {stands.attempt} of {_terms(scene).max_retries}")


def _again(spec: TaskSpec, reasons: tuple[str, ...], before: tuple[str, ...]) -> TaskSpec:
    """Return *spec* with why it is done again, and what came of it before."""
    if spec.control is not None:
        return spec
    more = tuple(name for name in before if name not in spec.after)
    return spec.but(sent_back=reasons, after=(*spec.after, *more), inputs=(*spec.inputs, *more))


def _lifted(scene: Scene, stands: GateState) -> Note | Stop:
    """Return what a person says of a gate that is shut; he alone opens it."""
    answer = said(scene, _shut(stands))
    verdict, reason = yes_or_no(answer or "")
    if verdict is True:
        return _note(scene, GateState("passed", stands.attempt), Outcome("human_approve"))
    if answer is None and was_asked(scene, _shut(stands)):  # told to try again: look once more
        return Note(_state(scene, state="pending", asked=None), "looks again")
    state = None
    if verdict is False and reason:
        state = _state(scene, reasons=[*scene.state.facts.get("reasons", ()), reason])
    return _stop(scene, stands, state)


def _shut(stands: GateState) -> str:
    return f"{stands.state}-{stands.attempt}"


def _stop(scene: Scene, stands: GateState, state: ControlState | None) -> Stop:
    facts = (state or scene.state).facts
    asked = asking(scene, _shut(stands)).facts["asked"]
    kept = (state or scene.state).but(facts={**facts, "asked": asked})
    tried = f" after {stands.attempt} of {_terms(scene).max_retries} retries"
    reasons = "; ".join(facts.get("reasons", ())) or "it did not pass"
    return Stop(
        "gate_failed",
        clean_line(f"{_what(scene)} is {stands.state}{tried if stands.attempt else ''}: {reasons}",
                   _REASON_CHARS),
        command=f"wfledger answer {scene.task.id} yes",
        facts={"state": stands.state, "attempt": stands.attempt},
        state=kept,
    )  # fmt: skip


def _passed(scene: Scene) -> Decide:
    facts = scene.state.facts
    retries = facts.get("attempt", 0)
    by = facts.get("by", "look")
    judged = _judged(scene)
    tried = f" after {retries} retries" if retries else ""
    return Decide(
        summary=f"passed{' by a person' if by == 'person' else ''}{tried}",
        outputs={"verdict": True, "by": by, "retries": retries, "members": list(judged)},
        supersedes=_replaced(scene, judged),
    )


def _replaced(scene: Scene, judged: tuple[str, ...]) -> tuple[str, ...]:
    """Return what failed before, and in whose place something else has passed."""
    blocked = set(scene.workspace.ledger.names(Status.BLOCKED, run=scene.run.id))
    earlier = dict.fromkeys(scene.state.facts.get("earlier", ()))
    return tuple(name for name in earlier if name in blocked and name not in judged)
