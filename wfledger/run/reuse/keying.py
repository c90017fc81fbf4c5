"""Keys of the tasks of one ledger: what `core.keys` is told of a task's surroundings.

Nothing is changed here. A key is absent where something that belongs to it is not known: a result
of an older version without a key among what a task waits for, a commit that git has no more.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from wfledger.core.control import Delivered
from wfledger.core.documents import Result, Run, Task, TaskSpec, Verifies
from wfledger.core.keys import (
    Fed,
    Surroundings,
    digest_of,
    in_run,
    key_of,
    relative,
    said_digest,
)
from wfledger.core.records import Record
from wfledger.errors import NotFoundError, WfledgerError
from wfledger.run.attempts.handed import landed_result
from wfledger.run.config.roles import Fleet, Role
from wfledger.run.merger.targets import as_landed
from wfledger.run.workspace import Workspace
from wfledger.store.entries import Entry
from wfledger.store.layout import run_of
from wfledger.vcs.repo import Repository
from wfledger.vcs.trees import diff

#: Controllers within controllers whose members' results count.
_DEEPEST: Final = 16


class UnkeyedError(WfledgerError):
    """A task has no key: something that belongs to it is not known."""

    code = "unkeyed"


@dataclass(frozen=True)
class Work:
    """What an attempt left: what it began from, and all that it did."""

    base: str
    head: str

    @classmethod
    def of(cls, task: Task, result: Result) -> "Work | None":
        """Return what counts as the work of a task with *result*: what a person took goes first."""
        if task.accepted is not None:
            return cls(task.accepted.base, task.accepted.head)
        if result.base is None or result.head is None:
            return None
        return cls(result.base, result.head)

    @classmethod
    def here(cls, repo: Repository, task: Task, result: Result) -> "Work | None":
        """Return the same; what it changed when it landed, where it was done on another machine."""
        work = cls.of(task, result)
        if work is None or repo.has_commit(work.head):
            return work
        change = as_landed(repo, task)
        return work if change is None else cls(*change)


class Keyer:
    """Computes keys, and remembers what it has read; for one thread, and for a while."""

    def __init__(self, workspace: Workspace, fleet: Fleet | None = None) -> None:
        self._workspace = workspace
        self._fleet = fleet
        self._runs: dict[str, Run] = {}
        self._trees: dict[str, str] = {}
        self._entries: dict[str, tuple[Entry, Result] | None] = {}
        self._left: dict[str, str | None] = {}

    def key(
        self, task: Task, *, missing: Collection[str] = (), started: str | None = None
    ) -> str | None:
        """Return the key of *task*, whose dependencies are settled, or None.

        It goes without what is *missing*. *started* is the commit that its attempt began from: a
        standing run has no other base.
        """
        try:
            return key_of(task.spec, self._around(task, missing, started))
        except (WfledgerError, OSError, ValueError):  # unkeyed, or what belongs to it is unreadable
            return None

    def _around(
        self, task: Task, missing: Collection[str], started: str | None
    ) -> Surroundings:
        return Surroundings(
            name=self.name(task.id), run=task.run, base=self._base(task, started),
            staff=self.staff(task.spec),
            fed=[
                self._fed(task, name, handed=handed) if name not in missing
                else Fed(relative(self.name(name), self.name(task.id)))
                for name, handed in feeding(task)
            ],
            trees=self.named_trees(task.spec),
            handed=self.handed(task),
        )  # fmt: skip

    def staff(self, spec: TaskSpec) -> dict[str, Any] | None:
        """Return what the role of a task resolves to; None where no role does it."""
        if not is_for_role(spec):
            return None
        if self._fleet is None:
            self._fleet = self._workspace.fleet()
        return staff_of(self._fleet, spec)

    def name(self, task_id: str) -> str:
        """Return the name of a task without its run; the number of an item says nothing.

        An item may have moved in its list, and is another one by what it is given.
        """
        parts = task_id.split(".")[1:]
        for at in range(1, len(parts) - 1):
            if parts[at].isdigit() and self._is_expand(task_id, at):
                parts[at] = "*"
        return ".".join(parts)

    def _is_expand(self, task_id: str, parts: int) -> bool:
        found = self._found(".".join(task_id.split(".")[: parts + 1]))
        control = found[0].task.spec.control if found is not None else None
        return control is not None and control.kind == "expand"

    def _base(self, task: Task, started: str | None) -> str:
        run = self._run(task.run)
        if run.plan is not None:
            return self.tree(run.base)
        if started is None:
            raise UnkeyedError(f"{task.run} has no base of its own")
        return self.tree(started)

    def _run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            self._runs[run_id] = self._workspace.ledger.run(run_id)
        return self._runs[run_id]

    def tree(self, commit: str) -> str:
        """Return the tree of a commit; raises `GitError` where there is none."""
        if commit not in self._trees:
            self._trees[commit] = self._workspace.repo.tree_of(commit)
        return self._trees[commit]

    def named_trees(self, spec: TaskSpec) -> dict[str, str]:
        """Return the trees of the commits that a spec names, by field."""
        about = spec.verifies
        named = {
            "at": spec.at, "head": about.head if about else None,
            "base": about.base if about else None,
        }  # fmt: skip
        return {name: self.tree(commit) for name, commit in named.items() if commit is not None}

    def handed(self, task: Task) -> list[str]:
        """Return the digests of the handoffs that a task is given."""
        return [self._handoff(one) for one in task.received]

    def _handoff(self, place: Delivered) -> str:
        result = self._workspace.ledger.result(place.task, place.attempt)
        if result is None or len(result.handoffs) <= place.number:
            raise UnkeyedError(f"a handoff of {place.task} is gone")
        given = result.handoffs[place.number].model_dump(mode="json")
        return digest_of(in_run([self.name(place.task), given], run_of(place.task), "~"))

    # -- what is waited for ----------------------------------------------------------------------

    def _fed(self, task: Task, name: str, *, handed: bool) -> Fed:
        shown = relative(self.name(name), self.name(task.id))
        about = task.spec.verifies
        if about is not None and about.task == name:
            return self._judged(shown, about)
        found = self._settled(name)
        if found is None:
            return Fed(shown)
        return self.fed(shown, found[0].task, found[1], handed=handed)

    def _judged(self, shown: str, about: Verifies) -> Fed:
        """Return the result that a verifier is shown, of a task that is not done yet."""
        result = self._workspace.ledger.result(about.task, about.attempt)
        if result is None or result.key is None:
            raise UnkeyedError(f"the result of {about.task} has no key")
        # Sums of what was delivered are noted when it has passed, and would not be there yet.
        said = said_digest(result.but(artifacts=()), run=run_of(about.task))
        return Fed(shown, result.key, said=said)

    def fed(self, shown: str, task: Task, result: Result, *, handed: bool) -> Fed:
        """Return what a task that is done means to one that knows it as *shown*.

        Raises `UnkeyedError`, or `GitError` where its commits are gone.
        """
        if result.key is None:
            raise UnkeyedError(f"the result of {task.id} has no key")
        said = self._said(task, result) if handed else None
        return Fed(shown, result.key, self._of_files(task, result), said)

    def _settled(self, name: str) -> tuple[Entry, Result] | None:
        """Return a task that is done and its result; None where it ended without one."""
        found = self._found(name)
        return found if found is not None and found[0].task.landed is not None else None

    def _found(self, name: str) -> tuple[Entry, Result] | None:
        """Return a task and its result, an empty one before there is any; those are read again."""
        known = self._entries.get(name)
        if known is not None:
            return known
        entry = self._workspace.ledger.find(name)
        if entry is None:
            return None
        result = landed_result(self._workspace, name)
        if result is None:
            return entry, Result(task=name, attempt=1, status="failed")
        self._entries[name] = entry, result
        return entry, result

    def _said(self, task: Task, result: Result, depth: int = 0) -> str:
        """Return the digest of what a consumer is handed: of a controller, its members' as well."""
        members = []
        for name in made_of(task) if depth < _DEEPEST else ():
            found = self._settled(name)
            if found is not None:
                said = self._said(found[0].task, found[1], depth + 1)
                members.append((self.name(name), said))
        return said_digest(_decided(task, result), run=task.run, members=members)

    def _of_files(self, task: Task, result: Result) -> str | None:
        """Return the digest of the files that a task has changed on its run's branch."""
        if task.id not in self._left:
            self._left[task.id] = self._files(task, result)
        return self._left[task.id]

    def _files(self, task: Task, result: Result) -> str | None:
        work = Work.here(self._workspace.repo, task, result)
        if task.landed is None or task.landed.how not in {"merged", "kept"} or work is None:
            return None
        changes = diff(self._workspace.repo, self.tree(work.base), self.tree(work.head))
        return digest_of(sorted(
            [one.path.decode("utf-8", "surrogateescape"),
             [one.new.mode, one.new.oid] if one.new is not None else []]
            for one in changes
        ))  # fmt: skip


def _decided(task: Task, result: Result) -> Result:
    """Return what counts of an envelope: proposals tell what was reused, and decide nothing."""
    control, choice = task.spec.control, result.outputs.get("choice")
    if control is None or control.kind != "teacher_review" or not isinstance(choice, dict):
        return result
    decided = {name: value for name, value in choice.items() if name != "proposals"}
    return result.but(outputs={**result.outputs, "choice": decided})


def feeding(task: Task) -> Iterator[tuple[str, bool]]:
    """Yield each task that goes into the key of *task*, and whether its envelope is handed in."""
    spec = task.spec
    inputs = set(spec.inputs)
    about = (spec.verifies.task,) if spec.verifies is not None else ()
    for name in dict.fromkeys((*spec.after, *spec.inputs, *about, *made_of(task))):
        yield name, name in inputs or name in about


def made_of(task: Task) -> tuple[str, ...]:
    """Return the tasks that a controller is made of: its members, and what it has started last."""
    control, state = task.spec.control, task.control
    members: Iterable[str] = control.members if control is not None else ()
    exits: Iterable[str] = (*state.exits, *state.on) if state is not None else ()
    return tuple(dict.fromkeys((*members, *exits)))


def is_for_role(spec: TaskSpec) -> bool:
    """Whether a role of fleet.toml does it."""
    return spec.prompt is not None and spec.command is None and not spec.manual


def staff_of(fleet: Fleet, spec: TaskSpec) -> dict[str, Any]:
    """Return what the role of a prompt resolves to, as far as it can change a result.

    Slots, limits and budgets cannot; of what is passed on from the environment only names count.
    """
    try:
        role = fleet.role(spec.role)
    except NotFoundError:
        return {"role": spec.role}
    return {
        "argv": list(role.argv), "preamble": role.preamble,
        "adapter": _adapter_of(fleet, role),
        "model": role.model and role.model.model_dump(mode="json"),
        "requires": sorted(role.requires),
        "tools": None if role.tools is None else {"only": sorted(role.tools)},
        "env": sorted(list(pair) for pair in role.env),
        "pass": sorted({*role.pass_names, *fleet.env_pass}), "max_steps": role.max_steps,
    }  # fmt: skip


def _adapter_of(fleet: Fleet, role: Role) -> Any:
    """Return the name of an adapter, and the digest of one that is the user's own.

    Those that wfledger comes with change with its versions, which would cost every result.
    """
    own = next((one for one in fleet.adapters if one.name == role.adapter), None)
    return [role.adapter, None if own is None else digest_of(_plain(asdict(own)))]


def _plain(value: Any) -> Any:
    """Return *value* as JSON knows it, in one order."""
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)
