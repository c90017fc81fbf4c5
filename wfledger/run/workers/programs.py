"""Workers that are programs of the user's: a command, or a role's argument vector.

They say how they ended by their exit status and, if they like, by an envelope.
"""

from wfledger.core.documents import Result, TaskSpec
from wfledger.run.attempts.commanding import argv_of
from wfledger.run.attempts.envelope import read_envelope
from wfledger.run.attempts.judging import judge
from wfledger.run.config.confinement import Confinement
from wfledger.run.config.roles import Filling, Role, argv_for
from wfledger.run.processes.process import Ended
from wfledger.run.workers.launch import Assignment, Ending, Launch


class CommandWorker:
    """The command that a task names."""

    def launch(self, given: Assignment) -> Launch:
        """Return the task's own command."""
        command = given.task.spec.command
        if command is None:
            raise ValueError(f"{given.task.id} has no command")
        return Launch(argv=argv_of(command), confinement=_confinement(given))

    def read_end(self, given: Assignment, ended: Ended, tries: int) -> Ending:
        """Return what exit status and envelope say."""
        del tries
        return Ending(judged(given, ended))


class ProgramWorker(CommandWorker):
    """The program of a role that is an argument vector."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def launch(self, given: Assignment) -> Launch:
        """Return the role's program with its placeholders filled."""
        role = self._role
        return Launch(
            argv=argv_for(role, filling_for(given, role)), env=dict(role.env),
            pass_names=role.pass_names, limits=role.limits, confinement=_confinement(given),
        )  # fmt: skip


def judged(given: Assignment, ended: Ended) -> Result:
    """Return what exit status and envelope say of an attempt."""
    envelope = read_envelope(given.desk.result, task_id=given.task.id, attempt=given.attempt)
    return judge(given.task, envelope, ended)


def filling_for(given: Assignment, role: Role) -> Filling:
    """Return the values of a role's placeholders."""
    spec: TaskSpec = given.task.spec
    return Filling(
        prompt=given.desk.prompt.read_text("utf-8"), prompt_file=str(given.desk.prompt),
        task=given.task.id, attempt=given.attempt, run=given.task.run,
        worktree=str(given.folder), result_file=str(given.desk.result),
        max_steps=spec.max_steps or role.max_steps, agent_type=spec.agent_type,
        model=given.route.model if given.route is not None else None,
        provider=given.route.provider if given.route is not None else None,
    )  # fmt: skip


def _confinement(given: Assignment) -> Confinement:
    return given.fleet.confinement_for(given.task.spec)
