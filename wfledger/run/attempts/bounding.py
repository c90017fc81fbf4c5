"""What a task is held to that a worker adds or starts below its own: never more than its parent.

What is absent is taken from the parent; what exceeds it is refused, in a sentence each (spec 66).
"""

from dataclasses import replace

from wfledger.core.authority import (
    WRITING,
    Authority,
    can_descend,
    contradictions,
    exceeds,
    inherited,
)
from wfledger.core.documents import Check, Task, TaskSpec
from wfledger.core.scopes import parse_protected
from wfledger.core.usage import Budget
from wfledger.run.attempts.authorities import RUN, Grounds, authority_of, role_of, tools_of


def bounded(
    grounds: Grounds, parent: Task, spec: TaskSpec, mine: Authority
) -> tuple[TaskSpec, list[str]]:
    """Return a child's spec with what it has from its parent, and where it exceeds that one."""
    if not can_descend(mine):
        return spec, [f"nothing is started below {parent.id}: its depth is {mine.depth}"]
    if parent.spec.network is False:
        spec = spec.but(network=False)
    asked = authority_of(grounds, spec)
    tools = _granted(grounds, spec, mine)
    program = tools is None and not spec.manual and spec.control is None
    runs = program or bool(_new_checks(parent.spec, spec))
    reaches = asked.network and spec.control is None  # a controller runs nothing
    own = inherited(mine, replace(
        asked, network=reaches, depth=spec.depth,
        tools=(tools or frozenset()) | ({RUN} if runs else set()),
    ))  # fmt: skip
    protected = [parse_protected(text) for text in grounds.policy.protected]
    found = exceeds(mine, own, protected) + _looser(grounds, parent.spec, spec)
    if tools is not None:
        found += contradictions(replace(own, tools=tools))
    is_bounded = spec.command is None and own.budget != Budget()
    return spec.but(
        depth=own.depth, budget=own.budget if is_bounded else spec.budget,
        tools=spec.tools if tools is None or mine.tools is None else tuple(sorted(tools)),
    ), found  # fmt: skip


def _granted(grounds: Grounds, spec: TaskSpec, mine: Authority) -> frozenset[str] | None:
    """Return the tools of a child that is a model's; None of what runs programs, or of people."""
    role = role_of(grounds.fleet, spec)
    default = tools_of(spec, role)
    if default is None or spec.tools is not None:
        return default
    got = default if mine.tools is None else default & mine.tools
    return got if spec.write else got - WRITING


def _new_checks(parent: TaskSpec, child: TaskSpec) -> list[Check]:
    """Return the commands that would judge a child and that nobody wrote for its parent."""
    return [one for one in child.verify if one.command is not None and one not in parent.verify]


def _looser(grounds: Grounds, parent: TaskSpec, child: TaskSpec) -> list[str]:
    """Return what a child would be free of that holds for its parent."""
    fleet = grounds.fleet
    mine, theirs = fleet.confinement_for(parent), fleet.confinement_for(child)
    found = []
    if mine.sandbox != "none" and theirs.sandbox == "none" and child.control is None:
        found.append("it would run without a sandbox, and its parent does not")
    if mine.sandbox != "none" and fleet.confinement.sandbox == "none" and _new_checks(
        parent, child
    ):  # fmt: skip
        found.append("its checks would run without a sandbox, and its parent does not")
    if child.on_failure == "abort" and parent.on_failure != "abort":
        found.append("its failure would abort the run, and its parent's does not")
    return found
