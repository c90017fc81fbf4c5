"""Which kind of worker a task gets; a kind is loaded when the first task needs it."""

from wfledger.core.documents import TaskSpec
from wfledger.run.config.roles import Fleet
from wfledger.run.workers.launch import Kind
from wfledger.run.workers.programs import CommandWorker, ProgramWorker


def kind_for(spec: TaskSpec, fleet: Fleet) -> Kind:
    """Return the kind of worker for a task; raises `NotFoundError` for a role that is not there."""
    if spec.command is not None:
        return CommandWorker()
    role = fleet.role(spec.role)
    if role.adapter is not None:
        from wfledger.run.agents.worker import AgentWorker

        return AgentWorker(role)
    if role.argv:
        return ProgramWorker(role)
    from wfledger.run.models.worker import ModelWorker

    return ModelWorker(role)
