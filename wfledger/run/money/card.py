"""What a plan would do, on one card, before any of it is submitted (spec 66, WFL-CARD-001).

Who is started and how often, what they may write and run, what they reach and are trusted with,
what it may cost. Changes nothing; asks fleet.toml, and this machine for its sandbox.
"""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from wfledger.core.documents import TaskSpec
from wfledger.core.records import Command
from wfledger.core.routes import ModelPolicy
from wfledger.core.text import clean_line
from wfledger.core.usage import Budget, dollars
from wfledger.plans.compiling import Plan
from wfledger.run.config.adapters import Adapter
from wfledger.run.config.confinement import UNCONFINED, Confinement
from wfledger.run.config.providers import Price
from wfledger.run.config.roles import Fleet, Role
from wfledger.run.money.estimates import Asked, Estimate, estimate
from wfledger.run.money.prices import alternatives, key_of, place_of, price_of
from wfledger.run.processes.environment import looks_secret
from wfledger.run.staffing import role_for_prompt
from wfledger.run.workers.confining import foreseen

#: Of scopes, commands and caps, how many are listed; all are counted.
LISTED: Final = 12
_WIDTH: Final = 120


@dataclass(frozen=True)
class Workers:
    """Agents of one role that the plan starts."""

    role: str
    #: Its model, its adapter or its program.
    who: str
    tasks: int
    sandbox: str
    network: bool
    #: The models that are taken where the first cannot be.
    fallbacks: tuple[str, ...] = ()
    #: A model that wfledger talks to: a sandbox is for its commands alone, `own` says it has none.
    is_model: bool = False


@dataclass(frozen=True)
class Listed:
    """The first of many texts, and how many there are."""

    shown: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Card:
    """Everything that a person is asked about."""

    tasks: int
    workers: tuple[Workers, ...]
    #: Tasks that may write, and what.
    writers: int
    writes: Listed
    #: Commands of tasks, then of checks, of the gate and of the preparation of worktrees.
    commands: Listed
    checks: Listed
    #: How commands, checks, gate and preparation are kept apart.
    sandbox: str
    #: Whether anything that is started may reach the network.
    network: bool
    #: Names, never values.
    secrets: tuple[str, ...]
    #: Those of them that are not set where this is asked.
    unset: tuple[str, ...]
    cost: Estimate
    caps: Listed
    #: Why a person is asked; empty: it starts without.
    asks: tuple[str, ...]
    #: Scripts: what they begin is not among the rest.
    scripts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` and a refused `run --json` print."""
        return {**asdict(self), "cost": self.cost.as_json()}


@dataclass(frozen=True)
class Circumstances:
    """What a card needs to know besides the plan."""

    fleet: Fleet
    #: Role of prompts that name none.
    role: str | None = None
    #: Commands that every landing has to pass: the ledger's gate.
    gates: tuple[Command, ...] = ()


def card_for(plan: Plan, around: Circumstances) -> Card:
    """Return the card of *plan*."""
    specs = [task.spec for task in plan.every]
    agents = list(_agents(specs, around))
    workers = _workers(agents)
    boxed = around.fleet.confinement
    reaches = any(
        spec.command is not None and around.fleet.confinement_for(spec).network for spec in specs
    )  # fmt: skip
    secrets = _secrets(specs, agents, around)
    asked = [
        Asked(one.prices, one.budget) for one in agents if one.confinement.network
    ]  # fmt: skip
    card = Card(
        tasks=len(specs),
        workers=workers,
        writers=sum(1 for spec in specs if spec.writes),
        writes=_listed(pattern for spec in specs for pattern in spec.write),
        commands=_listed(text_of(spec.command) for spec in specs if spec.command is not None),
        checks=_listed(_checks(plan, specs, around)),
        sandbox=boxed.sandbox,
        network=any(one.network for one in workers) or reaches,
        secrets=secrets,
        unset=tuple(name for name in secrets if not _is_here(name)),
        cost=estimate(asked, plan.budget),
        caps=_listed(_caps(plan, specs, agents, around.fleet)),
        asks=(),
        scripts=sum(1 for spec in specs if _is_script(spec)),
    )
    return _asking(card, plan)


def text_of(command: Command) -> str:
    """Return a command as it would be typed, on one line."""
    return clean_line(command if isinstance(command, str) else shlex.join(command), _WIDTH)


def _asking(card: Card, plan: Plan) -> Card:
    """Return *card* with the reasons to ask (WFL-CARD-002)."""
    reasons = []
    if card.scripts:
        reasons.append("a script decides what is started and what may write")
    if card.writers:
        reasons.append("it may write")
    if any(one.network for one in card.workers):
        reasons.append("agents reach the network and may cost money")
    if card.secrets:
        reasons.append("it hands out secrets")
    if plan.budget is not None and plan.budget.usd is not None and not reasons:
        reasons.append("it has a budget of money")
    return replace(card, asks=tuple(reasons))


def _is_script(spec: TaskSpec) -> bool:
    return spec.control is not None and spec.control.kind == "script"


@dataclass(frozen=True)
class _Agent:
    """One prompt and who runs it."""

    role: str
    who: str
    confinement: Confinement
    pass_names: tuple[str, ...]
    budget: Budget
    #: Of everybody who may be taken.
    prices: tuple[tuple[str, Price | None], ...]
    keys: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    is_model: bool = False


def _agents(specs: Iterable[TaskSpec], around: Circumstances) -> Iterator[_Agent]:
    for spec in specs:
        if spec.prompt is not None and spec.command is None and not spec.manual:
            yield _agent(spec, spec.role, around)
        for check in spec.verify:
            if check.kind == "task" and check.prompt is not None:
                yield _agent(spec.but(model=None, budget=None), check.role or spec.role, around)


def _agent(spec: TaskSpec, wanted: str | None, around: Circumstances) -> _Agent:
    name = role_for_prompt(spec.but(role=wanted), around.fleet, around.role).role or "?"
    role = next((one for one in around.fleet.roles if one.name == name), None)
    if role is None:
        return _Agent(name, name, UNCONFINED, (), spec.budget or Budget(), ((name, None),))
    policy = spec.model or role.model
    budget = (spec.budget or Budget()).within(role.budget)
    kept = foreseen(around.fleet, spec.but(role=name))
    is_model = not role.argv and role.adapter is None
    if is_model:
        kept = replace(kept, network=True)  # what it runs may be shut off; who talks to it is not
    who, fallbacks = _who(role, policy), policy.fallback_models if policy is not None else ()
    each = alternatives(policy) if policy is not None else ()
    prices = [price_of(one, around.fleet) for one in each] or [None]
    keys = [key_of(one, around.fleet) for one in each]
    if not each or any(place_of(one, around.fleet)[0] is None for one in each):
        keys += _login(around.fleet.adapter(role.adapter or ""))
    return _Agent(
        role=name, who=who, confinement=kept, pass_names=role.pass_names, budget=budget,
        prices=tuple(zip((who, *fallbacks), prices, strict=True)),
        keys=tuple(key for key in keys if key is not None),
        fallbacks=fallbacks, is_model=is_model,
    )  # fmt: skip


def _login(adapter: Adapter | None) -> Iterator[str]:
    """Yield what an agent is given of a person's own login: names of variables, and files."""
    if adapter is not None:
        named = (*adapter.login.pass_names, *(path for path, _ in adapter.login.copy))
        yield from (name for name in named if _is_here(name))


def _is_here(name: str) -> bool:
    """Whether the variable *name* is set; of a login's file, whether it is there."""
    if name.startswith("~/"):
        return Path(name).expanduser().exists()
    return bool(os.environ.get(name))


def _who(role: Role, policy: ModelPolicy | None) -> str:
    """Return how people know who runs a prompt: `codex (zhipu/glm-5.2)`, `zhipu/glm-5.2`."""
    model = None
    if policy is not None and policy.model is not None:
        model = f"{policy.provider}/{policy.model}" if policy.provider else policy.model
    if role.adapter is not None:
        return f"{role.adapter} ({model})" if model else role.adapter
    return model or clean_line(role.argv[0] if role.argv else role.name, _WIDTH)


def _workers(agents: Iterable[_Agent]) -> tuple[Workers, ...]:
    groups = Counter(
        Workers(
            one.role, one.who, 0, one.confinement.sandbox, one.confinement.network,
            one.fallbacks, one.is_model,
        )
        for one in agents
    )  # fmt: skip
    return tuple(replace(group, tasks=tasks) for group, tasks in groups.items())


def _listed(texts: Iterable[str]) -> Listed:
    every = tuple(dict.fromkeys(texts))
    return Listed(every[:LISTED], len(every))


def _checks(plan: Plan, specs: Iterable[TaskSpec], around: Circumstances) -> Iterator[str]:
    for spec in specs:
        yield from (text_of(check.command) for check in spec.verify if check.command is not None)
    gates = (*around.gates, *([plan.gate.command] if plan.gate else []))
    yield from (text_of(gate) for gate in gates)
    if around.fleet.worktree.setup is not None:
        yield text_of(around.fleet.worktree.setup)


def _secrets(
    specs: Sequence[TaskSpec], agents: Sequence[_Agent], around: Circumstances
) -> tuple[str, ...]:
    """Return the names of secrets that anybody is given; a pattern never gives one away."""
    names = {name for name in around.fleet.env_pass if looks_secret(name)}
    names |= {name for spec in specs for name in spec.env if looks_secret(name)}
    for agent in agents:
        names |= {name for name in agent.pass_names if looks_secret(name)}
        names |= set(agent.keys)
    return tuple(sorted(name for name in names if not name.endswith("*")))


def _caps(
    plan: Plan, specs: Iterable[TaskSpec], agents: Iterable[_Agent], fleet: Fleet
) -> Iterator[str]:
    if plan.budget is not None:
        yield f"the run: {budget_text(plan.budget)}"
    if plan.time_s is not None:
        yield f"the run: {plan.time_s:g} s"
    used = {agent.role for agent in agents}
    for role in fleet.roles:
        if role.budget is not None and role.name in used:
            yield f"an attempt of {role.name}: {budget_text(role.budget)}"
    of_tasks = Counter(budget_text(spec.budget) for spec in specs if spec.budget is not None)
    for text, count in of_tasks.items():
        yield f"each of {count} tasks: {text}" if count > 1 else f"one task: {text}"


def budget_text(budget: Budget) -> str:
    """Return a budget for people: `$10.00, 200000 tokens, 40 steps`."""
    parts = [dollars(budget.usd)] if budget.usd is not None else []
    parts += [f"{budget.tokens} tokens"] if budget.tokens is not None else []
    parts += [f"{budget.steps} steps"] if budget.steps is not None else []
    return ", ".join(parts) or "without limit"
