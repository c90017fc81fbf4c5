"""Who would do the prompts of a plan: the role of each, and its model, before anything starts."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from wfledger.core.documents import Check, TaskSpec
from wfledger.core.handoffs import same_role
from wfledger.core.routes import AGENT_ROLES, NoRoute, Routed
from wfledger.errors import InvalidDocumentError
from wfledger.plans.compiling import Plan
from wfledger.run.config.roles import Fleet
from wfledger.run.workers.registry import Registry

#: The agent type of whoever judges a result.
_VERIFIER = "verifier"


class Staffed(NamedTuple):
    """Who would do one prompt of a plan."""

    node: str
    role: str
    route: Routed | NoRoute | None
    #: Why it is that role.
    why: str = ""

    @property
    def text(self) -> str:
        """Say it in a few words."""
        if isinstance(self.route, NoRoute):
            return f"{self.role}: {self.route.message}"
        if self.route is None:
            return self.role
        model = "/".join(part for part in (self.route.provider, self.route.model) if part)
        by = self.route.adapter
        return f"{self.role}: " + " ".join(
            part for part in (by, f"with {model}" if by and model else model) if part
        )

    @property
    def problem(self) -> str | None:
        """Why nobody would ever do it; None where somebody would."""
        return f"{self.node}: {self.text}" if isinstance(self.route, NoRoute) else None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `check --json` and `plan --json` print."""
        route = self.route
        return {
            "task": self.node, "role": self.role, "why": self.why,
            "route": route.model_dump(mode="json") if isinstance(route, Routed) else None,
            "problem": route.message if isinstance(route, NoRoute) else None,
        }  # fmt: skip


def default_role(fleet: Fleet, agent_type: str) -> str | None:
    """Return the role of a prompt that names none: the default one, else that of its agent type."""
    if fleet.default_role is not None:
        return fleet.default_role
    wanted = AGENT_ROLES.get(agent_type)
    return wanted if wanted in {role.name for role in fleet.roles} else None


class Chosen(NamedTuple):
    """The role that runs a prompt, None where none does, and why it is that one."""

    role: str | None
    why: str


def role_for_prompt(spec: TaskSpec, fleet: Fleet, role: str | None) -> Chosen:
    """Return the role that runs the prompt of a task (WFL-CTRL-055).

    That is the one that it names (`profile`, `worker`), one that `plays` its role in the plan or
    has that name, *role*, the default one, or that of its agent type.
    """
    if spec.role is not None:
        return Chosen(spec.role, "its plan names it")
    for one in fleet.roles:
        if any(same_role(part, spec.plays) for part in one.plays):
            return Chosen(one.name, f"it plays the role {spec.plays}")
    for one in fleet.roles:
        if same_role(one.name, spec.plays):
            return Chosen(one.name, f"it has the name of the role {spec.plays}")
    if role is not None:
        return Chosen(role, "whoever starts the run named it")
    if fleet.default_role is not None:
        return Chosen(fleet.default_role, "it is the default of fleet.toml")
    return Chosen(default_role(fleet, spec.agent_type), f"its agent type is {spec.agent_type}")


def verifier_role(check: Check, spec: TaskSpec, fleet: Fleet) -> str | None:
    """Return the role that runs the prompt of a verifier: its own, the task's, the default one."""
    return check.role or spec.role or default_role(fleet, _VERIFIER)


def staffed(plan: Plan, fleet: Fleet, role: str | None) -> Iterator[Staffed | str]:
    """Yield who would do each prompt, or one sentence where nobody would."""
    return _staffed_specs([(task.node, task.spec) for task in plan.every], fleet, role)


def _staffed_specs(
    specs: Iterable[tuple[str, TaskSpec]], fleet: Fleet, role: str | None
) -> Iterator[Staffed | str]:
    registry = Registry(fleet)
    known = {one.name for one in fleet.roles}
    for node, spec in specs:
        if spec.prompt is not None and spec.command is None and not spec.manual:
            wanted, why = role_for_prompt(spec, fleet, role)
            yield _staffed(registry, known, node, spec.but(role=wanted), why=why) or (
                f"{node} names the worker {wanted}, which fleet.toml lacks"
                if wanted
                else f"{node} has a prompt and no worker{_unplayed(spec)}"
            )
        for check in spec.verify:
            if check.kind == "task" and check.prompt is not None:
                wanted = verifier_role(check, spec.but(role=spec.role or role), fleet)
                asked = TaskSpec(prompt=check.prompt, role=wanted, agent_type=_VERIFIER)
                yield _staffed(registry, known, f"{node} (its verifier)", asked) or (
                    f"{node} is verified by the worker {wanted}, which fleet.toml lacks"
                    if wanted
                    else f"{node} is verified by a prompt and has no worker for it"
                )


def _unplayed(spec: TaskSpec) -> str:
    return "" if spec.plays is None else f": no role of fleet.toml plays {spec.plays}"


def _staffed(
    registry: Registry, known: set[str], node: str, spec: TaskSpec, *, why: str = ""
) -> Staffed | None:
    if spec.role is None or spec.role not in known:
        return None
    role = registry.role(spec)
    return Staffed(node, spec.role, None if role is None else registry.resolve(role, spec), why)


def require_staffed(spec: TaskSpec, fleet: Fleet) -> None:
    """Raise `InvalidDocumentError` where no model would ever do the prompt of a task."""
    found = staffed_task(spec, fleet, "")
    if found is not None and isinstance(found.route, NoRoute):
        raise InvalidDocumentError(
            found.text, hint="wfledger provider list", role=found.role, problem=found.route.kind
        )


def staffed_task(spec: TaskSpec, fleet: Fleet, node: str) -> Staffed | None:
    """Return who would do one task; None where it has no prompt, or no role of the fleet."""
    if spec.prompt is None or spec.command is not None or spec.manual:
        return None
    return _staffed(Registry(fleet), {one.name for one in fleet.roles}, node, spec)


def missing_roles(plan: Plan, fleet: Fleet, role: str | None) -> list[str]:
    """Return one sentence for each prompt that nobody would do, now or later."""
    return _problems(staffed(plan, fleet, role))


def unstaffed(specs: Iterable[tuple[str, TaskSpec]], fleet: Fleet) -> list[str]:
    """Return the same of tasks that are no part of a plan's document, by their names."""
    return _problems(_staffed_specs(specs, fleet, None))


def _problems(found: Iterable[Staffed | str]) -> list[str]:
    problems = []
    for one in found:
        if isinstance(one, str):
            problems.append(one)
        elif one.problem is not None:
            problems.append(one.problem)
    return problems
