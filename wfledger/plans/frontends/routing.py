"""Which front end reads a plan: by the name of its file, and where that does not say, by its shape.

The evaluation of Starlark is done by whoever calls, in a process of its own: nothing here acts.
"""

from pathlib import PurePath
from typing import Final

from wfledger.plans import reading
from wfledger.plans.frontends import fleet, javascript, scriptplan
from wfledger.plans.frontends.fronts import Evaluate, Front, plain
from wfledger.plans.frontends.mentions import mentions
from wfledger.plans.frontends.scripttext import is_script
from wfledger.plans.problems import Findings
from wfledger.plans.tomltext import read_toml

#: File names of declarative files and of scripts; which of them, their text says.
JAVASCRIPT: Final = (".js", ".ts", ".mjs", ".mts")
STARLARK: Final = (".star", ".bzl")


def is_evaluated(source: str) -> bool:
    """Whether the plan named *source* has to be evaluated before it can be read."""
    return source.endswith(STARLARK)


def read(
    text: str | bytes, source: str, findings: Findings, evaluate: Evaluate | None = None
) -> Front | None:
    """Read a plan; None where what is wrong was added to *findings*.

    Raises `PlanError` where the text of a format that is only read cannot be.
    """
    if source.endswith(JAVASCRIPT):
        return _javascript(reading.decode(text, source), source, findings)
    if is_evaluated(source):
        return _starlark(reading.decode(text, source), source, findings, evaluate)
    plain_text = reading.decode(text, source)
    if source.endswith(".toml"):
        document = read_toml(plain_text, source=source)
    else:
        document = reading.read(plain_text, source=source)
    front = plain(document, plain_text, source)
    if fleet.is_fleet(document):
        return fleet.lower(front, PurePath(source).stem, findings)
    return front


def _javascript(text: str, source: str, findings: Findings) -> Front | None:
    if is_script(text):
        return scriptplan.read(text, source, findings)
    return javascript.read(text, source, findings)


def _starlark(
    text: str, source: str, findings: Findings, evaluate: Evaluate | None
) -> Front | None:
    if evaluate is None:
        raise ValueError("whoever checks Starlark brings what evaluates it")
    found = evaluate(text, source)
    if found.problem is not None:
        findings.rules.append(found.problem)
        return None
    if found.repaired:
        message = "names such as `ctx.parallel` are no helpers; read as `branch` and the like"
        findings.warn("repaired", message, "")
    return Front(found.document, lambda wanted: mentions(text, found.document, wanted))
