"""A script as a plan: one controller, which begins whatever the script asks for (spec 94).

It is parsed and looked through here, and not run: what it begins is known only as it runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

from wfledger.core.control import Control
from wfledger.core.documents import TaskSpec
from wfledger.core.records import canonical_json
from wfledger.errors import UsageError
from wfledger.plans.compiling import CompiledTask, Plan
from wfledger.plans.frontends import scripts, scripttext
from wfledger.plans.frontends.fronts import Front
from wfledger.plans.places import Place
from wfledger.plans.problems import Findings, Problem

#: Bytes of a script, and of its arguments: both are kept in one task.
TEXT_BYTES: Final = 64 * 1024
ARGS_BYTES: Final = 32 * 1024
_NODE: Final = "script"
_ENDINGS: Final = (".workflow.js", ".workflow.ts", ".js", ".ts", ".mjs", ".mts")


@dataclass(frozen=True)
class ScriptDoc:
    """A script that can be run, in place of a document."""

    text: str
    name: str


def read(text: str, source: str, findings: Findings) -> Front | None:
    """Look a script through; None where what is wrong was added to *findings*. Runs none of it."""
    if len(text.encode()) > TEXT_BYTES:
        findings.error("too_long", f"a script has at most {TEXT_BYTES} bytes", "")
        return None
    for found in scripttext.banned(text):
        message = f"`{found.word}` is not there for scripts: they reach nothing but their results"
        problem = Problem("unsupported_construct", message, "")
        findings.rules.append(problem.at(found.place))
    if not findings.rules:
        _parse(text, findings)
    if findings.rules:
        return None
    findings.warn(
        "decided_later",
        f"what a script begins is known only as it runs: at most {scripts.SPAWNS} tasks",
        "",
    )
    return Front(ScriptDoc(text, _name_of(source)), _at_the_start)


def _parse(text: str, findings: Findings) -> None:
    try:
        problem = scripts.parse_problem(text)
    except scripts.MissingExtraError as error:
        findings.error(error.code, f"{error.message}: {error.hint}", "")
        return
    if problem is not None:
        said, place = problem
        findings.rules.append(Problem("syntax_error", said, "").at(place))


def _name_of(source: str) -> str:
    name = PurePath(source).name
    ending = next((one for one in _ENDINGS if name.endswith(one)), "")
    return name.removesuffix(ending) or name


def _at_the_start(pointers: Iterable[str]) -> Mapping[str, Place]:
    return dict.fromkeys(pointers, (1, 1))


def compile_script(doc: ScriptDoc, findings: Findings) -> Plan:
    """Return the plan of a script, without arguments."""
    spec = TaskSpec(
        title=doc.name[:200], control=Control(kind="script", script=doc.text), on_failure="abort",
    )  # fmt: skip
    return Plan(
        goal="", name=doc.name, max_concurrent=None,
        tasks=(CompiledTask(_NODE, _NODE, spec, _NODE),), phase_order=(_NODE,),
        warnings=tuple(findings.warnings),
    )  # fmt: skip


def with_args(plan: Plan, args: Any) -> Plan:
    """Return the plan of a script with its arguments; raises `UsageError` for any other plan."""
    if len(canonical_json(args)) > ARGS_BYTES:
        raise UsageError(f"the arguments of a script have at most {ARGS_BYTES} bytes")
    tasks = []
    for task in plan.tasks:
        control = task.spec.control
        if control is None or control.kind != "script":
            raise UsageError("only a script takes arguments")
        tasks.append(replace(task, spec=task.spec.but(control=control.but(args=args))))
    return replace(plan, tasks=tuple(tasks))
