"""What each field of a Fleet task becomes in a task of the short form, and the way back (94.4)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from wfledger.core.bounds import MAX_SECONDS
from wfledger.plans.frontends.fleet_tasks import FleetTask
from wfledger.plans.model import AGENT_TYPES
from wfledger.plans.problems import Findings, join, quote
from wfledger.plans.words import is_blank

#: The roles that the original knows, and what each is.
_ROLES: Final[Mapping[str, str]] = {
    "smoke-runner": "tool_agent", "read-only": "tool_agent", "reviewer": "review",
    "builder": "implementer", "verifier": "verifier", "tester": "verifier", "planner": "plan",
    "explorer": "explore",
}  # fmt: skip
#: Kinds of artifacts that every attempt leaves behind here.
_ALWAYS: Final = frozenset({"log", "patch", "receipt", "checkpoint"})
#: The folder that the original keeps its own files in.
_OWN: Final = ".codewhale"
_READ_ONLY: Final = frozenset({"read-only", "read_only", "readonly"})
#: Passed on to every worker.
_STANDING: Final = frozenset({"PATH", "HOME", "USER", "SHELL", "LANG", "TERM", "TMPDIR"})
_RETRIED: Final = ("transport", "lost", "task", "timeout", "idle", "silence", "verification")


@dataclass
class Lowering:
    """Turns tasks of one document into those of the short form."""

    findings: Findings
    #: For each task: where a pointer into its short form leads in the document.
    origins: list[dict[str, str]] = field(default_factory=list)

    def task(self, task: FleetTask) -> dict[str, Any]:
        """Return the task of the short form."""
        self.origins.append({"/prompt": "/instructions", "/title": "/name"})
        lowered = {
            "id": task.of("id"), "title": task.of("name"), "prompt": prompt_of(task),
            **self._worker(task), **self._scope(task), **self._verify(task),
            **self._limits(task), **self._rest(task),
        }  # fmt: skip
        return {name: value for name, value in lowered.items() if value not in (None, [], {})}

    def written(self, pointer: str, tasks: Sequence[FleetTask]) -> str:
        """Return where *pointer*, which goes into the short form, leads in the document."""
        parts = pointer.split("/", 3)
        if len(parts) < 3 or parts[1] != "tasks" or not parts[2].isdigit():
            return pointer
        number = int(parts[2])
        rest = f"/{parts[3]}" if len(parts) > 3 else ""
        origins, base = self.origins[number], tasks[number].site.pointer
        for known in sorted(origins, key=len, reverse=True):
            if rest == known or rest.startswith(f"{known}/"):
                return f"{base}{origins[known]}"
        return f"{base}{rest}"

    def _origin(self, short: str, *written: str | int) -> None:
        self.origins[-1][short] = join("", *written)

    def _lost(self, message: str, task: FleetTask, *written: str | int) -> None:
        where = join(task.site.pointer, *written)
        self.findings.warn("not_enforced", f"{task.site.label}: {message}", where)

    def _worker(self, task: FleetTask) -> dict[str, Any]:
        role = task.of("worker", "role")
        kind = _ROLES.get(role or "", role if role in AGENT_TYPES else "general")
        self._origin("/plays", "worker", "role")
        for short, name in (("/role", "profile"), ("/model", "model"), ("/needs", "capabilities")):
            self._origin(short, "worker", name)
        return {
            "agent_type": kind, "plays": role, "role": task.of("worker", "profile"),
            "model": task.of("worker", "model"),
            "needs": list(task.of("worker", "capabilities") or ()),
        }  # fmt: skip

    def _scope(self, task: FleetTask) -> dict[str, Any]:
        given = task.of("workspace", "writable_paths") or ()
        write: list[str] = []
        for place, path in enumerate(given):
            if path == _OWN or path.startswith(f"{_OWN}/"):
                message = f"{quote(path)} is left out: logs and artifacts are kept by wfledger"
                self._lost(message, task, "workspace", "writable_paths", place)
                continue
            self._origin(f"/write/{len(write)}", "workspace", "writable_paths", place)
            write.append(path)
        self._origin("/write", "workspace", "writable_paths")
        self._read_only(task, write)
        if not given and not task.of("metadata", "contracts") and _is_builder(task):
            message = f"{task.site.label} builds, and has no `writable_paths`"
            where = join(task.site.pointer, "workspace", "writable_paths")
            self.findings.strictly("missing_write_scope", message, where)
            write = ["**"]
        # That nothing had to be changed is no failure there.
        return {"write": write, "allow_no_change": True if write else None}

    def _read_only(self, task: FleetTask, write: Sequence[str]) -> None:
        profile = task.of("worker", "tool_profile")
        if profile is None or (profile in _READ_ONLY and not write):
            return
        if profile in _READ_ONLY:
            message = f"{task.site.label} has the tools of a reader and `writable_paths`"
            where = join(task.site.pointer, "worker", "tool_profile")
            self.findings.strictly("contradictory_authority", message, where)
            return
        message = f"the tool profile {quote(profile)} is not known here"
        self._lost(message, task, "worker", "tool_profile")

    def _verify(self, task: FleetTask) -> dict[str, Any]:
        checks: list[dict[str, Any]] = []
        for place, path in enumerate(task.of("workspace", "required_files") or ()):
            self._origin(f"/verify/{len(checks)}", "workspace", "required_files", place)
            checks.append({"kind": "file_exists", "path": path})
        scorer = task.of("scorer")
        if scorer:
            number = len(checks)
            self._origin(f"/verify/{number}", "scorer")
            for name in ("path", "pattern", "expression", "command", "prompt"):
                self._origin(f"/verify/{number}/{name}", "scorer", name)
            checks.append(check_of(scorer))
        return {"verify": checks, "deliverables": list(self._deliverables(task))}

    def _deliverables(self, task: FleetTask) -> Iterator[str]:
        writes, number = bool(task.of("workspace", "writable_paths")), 0
        for place, artifact in enumerate(task.of("expected_artifacts") or ()):
            if artifact in _ALWAYS:
                continue
            if writes and ("/" in artifact or "." in artifact):
                self._origin(f"/deliverables/{number}", "expected_artifacts", place)
                number += 1
                yield artifact
                continue
            message = f"nobody looks for the artifact {quote(artifact)}; give the path of a file"
            self._lost(message, task, "expected_artifacts", place)

    def _limits(self, task: FleetTask) -> dict[str, Any]:
        times = (task.of("timeout_seconds"), task.of("budget", "max_seconds"))
        known = [time for time in times if time is not None]
        budget = {name: task.of("budget", name) for name in ("tokens", "steps")}
        self._origin("/timeout", "timeout_seconds" if times[0] is not None else "budget")
        return {
            "timeout": min(*known, MAX_SECONDS) if known else None,
            "budget": {name: value for name, value in budget.items() if value is not None},
            "retry": _retry(task.of("retry_policy")),
        }

    def _rest(self, task: FleetTask) -> dict[str, Any]:
        if task.of("tags"):
            self._lost("tags are kept with the plan, and nothing acts on them", task, "tags")
        environment = task.of("workspace", "environment") or {}
        required = [name for name in environment.get("required", ()) if _is_passed(name)]
        if required:
            message = f"{quote(required[0])} is passed on, but nothing looks whether it is set"
            self._lost(message, task, "workspace", "environment", "required")
        named = [*required, *environment.get("allowlist", ())]
        priority = task.of("metadata", "priority")
        self._origin("/env", "workspace", "environment")
        for short, name in (("/class", "class"), ("/contracts", "coordination_contracts")):
            self._origin(short, "metadata", name)
        return {
            "env": [name for name in dict.fromkeys(named) if _is_passed(name)],
            # There the smaller number goes first, here the higher one.
            "priority": -priority if priority else None,
            "class": task.of("metadata", "class_"),
            "contracts": list(task.of("metadata", "contracts") or ()),
        }


def _is_passed(name: str) -> bool:
    """Whether a name has to be passed on; a blank one was reported."""
    return name not in _STANDING and not is_blank(name)


def _is_builder(task: FleetTask) -> bool:
    return task.of("worker", "role") in {"builder", "implementer"}


def _retry(policy: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    first = policy.get("initial_backoff_seconds", 5) or 0.1
    most = policy.get("max_backoff_seconds", 300) or 0.1
    return {
        "max_attempts": policy.get("max_attempts", 3), "on": list(_RETRIED),
        "backoff_s": min(first, MAX_SECONDS), "backoff_max_s": min(max(first, most), MAX_SECONDS),
    }  # fmt: skip


def check_of(scorer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check that a scorer stands for; a command is really run."""
    kind = scorer["kind"]
    if kind == "command":
        return {"kind": "command", "command": [scorer["command"], *scorer.get("args", ())]}
    if kind == "code_whale_verifier_prompt":
        return {"kind": "task", "prompt": scorer["prompt"]}
    names = {"file_exists": ("path",), "regex_match": ("path", "pattern"),
             "json_path": ("path", "expression")}  # fmt: skip
    ours = {"regex_match": "regex"}.get(kind, kind)
    return {"kind": ours, **{name: scorer[name] for name in names.get(kind, ())}}


def prompt_of(task: FleetTask) -> str:
    """Return what a worker is told: name, objective, instructions, context, files to read."""
    objective = task.of("objective") or task.of("description")
    parts = [task.of("name")]
    parts += [f"Objective: {objective}"] if objective else []
    parts.append(task.of("instructions"))
    for title, name in (("Context:", "context"), ("Files to read:", "input_files")):
        entries = task.of(name) or ()
        if entries:
            parts.append("\n".join([title, *(f"- {entry}" for entry in entries)]))
    return "\n\n".join(parts)
