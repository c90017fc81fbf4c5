"""Which kind of worker a task gets."""

from wfledger.core.documents import TaskSpec
from wfledger.run.agents.worker import AgentWorker
from wfledger.run.config.roles import Fleet
from wfledger.run.models.worker import ModelWorker
from wfledger.run.workers.launch import Kind
from wfledger.run.workers.programs import CommandWorker, ProgramWorker


def kind_for(spec: TaskSpec, fleet: Fleet) -> Kind:
    """Return the kind of worker for a task; raises `NotFoundError` for a role that is not there."""
    if spec.command is not None:
        return CommandWorker()
    role = fleet.role(spec.role)
    if role.adapter is not None:
        return AgentWorker(role)
    return ProgramWorker(role) if role.argv else ModelWorker(role)
