"""Tools: `doctor`, which looks for damage and repairs it, and `scope`, which compares patterns."""

from typing import TYPE_CHECKING, Any

import click

from wfledger.cli.common import App, emit, json_option, pass_app, state_home
from wfledger.cli.render import plural, say, table
from wfledger.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfledger.core.scopes import Pattern
    from wfledger.run.doctor.checkup import Checkup, Repaired
    from wfledger.store.inspect import Finding

#: Violations of a history that are listed.
_SHOWN = 40


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Repair what needs no decision; nothing is deleted.")
@click.option("--history", is_flag=True, help="Check the whole history instead, step by step.")
@json_option
@pass_app
def doctor(app: App, *, fix: bool, history: bool, as_json: bool) -> int:
    """Look for damage, and repair it.

    Exits with 1 while anything is found that is an error. What cannot be used is moved to
    quarantine/, work is kept under refs, and every repair is in the history with its reason.

    With --history each step that is recorded is held against the protocol: steps follow from one
    another, attempts rise by one, no task was given to two, nobody let two write the same, what is
    done is proved, and the newest commit holds what the steps say. Nothing is changed.
    """
    from wfledger.run.doctor.checkup import Checkup

    if history:
        if fix:
            raise UsageError("a history cannot be repaired", hint="wfledger doctor --history")
        return _of_history(app, as_json=as_json)
    checkup = Checkup(app.start, app.clock, state_home())
    if fix:
        return _fix(checkup, as_json=as_json)
    findings = checkup.look()
    if as_json:
        emit({"ok": _is_ok(findings), "findings": [_as_json(one) for one in findings]})
    else:
        _say_findings(findings)
    return 0 if _is_ok(findings) else 1


def _of_history(app: App, *, as_json: bool) -> int:
    from wfledger.run.histories import check

    found = check(app.workspace)
    if as_json:
        emit(found.as_json())
        return 1 if found.faults else 0
    for fault in found.faults[:_SHOWN]:
        say(f"{fault.rule}: {fault.subject}: {fault.message}")
        say(f"    {f'in {fault.commit[:12]}' if fault.commit else 'in what was said of it'}")
    if len(found.faults) > _SHOWN:
        say(f"and {len(found.faults) - _SHOWN} more: wfledger doctor --history --json")
    counts = found.counts
    say(f"{plural(counts['commits'], 'commit')}, {plural(counts['steps'], 'step')} of "
        f"{plural(found.tasks, 'task')}: {counts['grants']} offered, {counts['claims']} claimed, "
        f"{counts['done']} done, {counts['cancelled']} cancelled")  # fmt: skip
    if found.machines:
        said = ", ".join(f"{name} {count}" for name, count in sorted(found.machines.items()))
        say(f"{plural(len(found.machines), 'machine')} (steps: {said}), "
            f"{plural(counts['takeovers'], 'takeover')}")  # fmt: skip
    if found.since is not None:
        say(f"what was before {found.since[:12]} is not in this clone: git fetch --unshallow")
    say(plural(len(found.faults), "violation") if found.faults else "nothing is wrong with it")
    return 1 if found.faults else 0


def _fix(checkup: "Checkup", *, as_json: bool) -> int:
    def report(text: str) -> None:
        say(f"repaired {text}", err=as_json)

    repaired = checkup.fix(report)
    if as_json:
        emit(_repaired_json(repaired))
    else:
        for finding, reason in repaired.failed:
            say(f"not repaired {finding.code} {finding.subject}: {reason}")
        _say_findings(repaired.left)
    return 0 if _is_ok(repaired.left) else 1


def _repaired_json(repaired: "Repaired") -> dict[str, Any]:
    return {
        "ok": _is_ok(repaired.left),
        "findings": [_as_json(one) for one in repaired.left],
        "repaired": [_as_json(one) for one in repaired.done],
        "failed": [_as_json(one) | {"reason": reason} for one, reason in repaired.failed],
    }


def _is_ok(findings: "Sequence[Finding]") -> bool:
    """Whether nothing found is an error (WFL-REC-021)."""
    return not any(finding.severity == "error" for finding in findings)


def _as_json(finding: "Finding") -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": finding.message,
        "repair": finding.repair,
    }


def _say_findings(findings: "Sequence[Finding]") -> None:
    rows = [(one.severity, one.code, one.subject, one.message) for one in findings]
    for line in table(rows):
        say(line)
    if not findings:
        say("nothing is wrong")
    mendable = sum(1 for one in findings if one.repair is not None)
    if mendable:
        say(f"{plural(mendable, 'finding')} can be repaired: wfledger doctor --fix")


@click.group("scope")
def scope() -> None:
    """Compare write scopes, as admission and landing do."""


@scope.command("overlap")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@json_option
def overlap(left: str, right: str, as_json: bool) -> None:
    """Say whether one path could match both patterns, and name one that does."""
    from wfledger.core import scopes

    one, other = scopes.parse(left), scopes.parse(right)
    _warn(one, other)
    witness = scopes.overlap(one, other)
    if as_json:
        emit({"overlap": witness is not None, "witness": witness})
    elif witness is None:
        say("they share no path")
    else:
        say(f"both match {witness}")


@scope.command("match")
@click.argument("pattern")
@click.argument("path")
@json_option
def match(pattern: str, path: str, as_json: bool) -> None:
    """Say whether a pattern allows a path."""
    from wfledger.core import scopes

    parsed = scopes.parse(pattern)
    _warn(parsed)
    is_match = scopes.matches(parsed, path)
    if as_json:
        emit({"match": is_match})
    else:
        say(f"{path} {'matches' if is_match else 'does not match'} {parsed.text}")


def _warn(*patterns: "Pattern") -> None:
    from wfledger.core import scopes

    for pattern in patterns:
        for text in scopes.warnings(pattern):
            say(f"warning: {text}", err=True)
