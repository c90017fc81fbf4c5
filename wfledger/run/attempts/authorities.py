"""What a task may do at most, as its frozen spec, its run, its role and the policy say together.

`core.authority` compares such values; here they are made. What a person's machine adds for a kind
of worker (sandbox, network, variables) counts as much as what the task itself names.
"""

from dataclasses import dataclass

from wfledger.core.authority import TOOLS, Authority
from wfledger.core.documents import Run, TaskSpec
from wfledger.core.policy import Policy
from wfledger.core.usage import Budget
from wfledger.errors import NotFoundError
from wfledger.run.config.roles import Fleet, Role

#: The tool that runs commands; whoever starts programs has it.
RUN = "run"


@dataclass(frozen=True)
class Grounds:
    """What authorities are read from: fleet.toml as vouched for, the run, the policy."""

    fleet: Fleet
    run: Run
    policy: Policy


def authority_of(grounds: Grounds, spec: TaskSpec, *, left: Budget | None = None) -> Authority:
    """Return the authority of a task; *left* is what is left of its budgets."""
    role = role_of(grounds.fleet, spec)
    confinement = grounds.fleet.confinement_for(spec)
    return Authority(
        write=spec.write,
        tools=tools_of(spec, role),
        network=confinement.sandbox == "none" or confinement.network,
        env=frozenset((*spec.env, *(role.pass_names if role else ()))),
        budget=left or spec.budget or Budget(),
        depth=depth_of(grounds, spec),
    )


def depth_of(grounds: Grounds, spec: TaskSpec) -> int:
    """Return how many generations may be started below a task (spec 66)."""
    said = (spec.depth, grounds.run.depth, grounds.policy.depth)
    return next(depth for depth in said if depth is not None)


def role_of(fleet: Fleet, spec: TaskSpec) -> Role | None:
    """Return the role that runs a task; None of a command, and of what people do."""
    if spec.command is not None or spec.prompt is None:
        return None
    try:
        return fleet.role(spec.role)
    except NotFoundError:
        return None  # whoever dispatches it says so


def tools_of(spec: TaskSpec, role: Role | None) -> frozenset[str] | None:
    """Return the tools of a model worker; programs do what they like, so None."""
    if role is None or role.argv or role.adapter is not None:
        return None
    named = spec.tools if spec.tools is not None else role.tools
    return frozenset(named) if named is not None else frozenset(TOOLS) - {RUN}
