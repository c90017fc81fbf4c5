"""What a run is made of, and where each part of it stands, for a drawing."""

from wfledger.core.documents import Run
from wfledger.errors import WfledgerError
from wfledger.plans.outline import Part, part_of, within_groups
from wfledger.run.workspace import Workspace


def of_run(workspace: Workspace, run: Run) -> tuple[Part, ...]:
    """Return the tasks of *run* as parts; what cannot be read is left out, for doctor tells it."""
    parts, specs = [], {}
    for task_id in run.tasks:
        try:
            entry = workspace.ledger.find(task_id)
        except WfledgerError:
            continue
        if entry is None:
            continue
        spec = entry.task.spec
        label = task_id.removeprefix(f"{spec.parent}.").removeprefix(f"{run.id}.")
        parts.append(part_of(task_id, label, spec, entry.status.value))
        specs[task_id] = spec
    return within_groups(parts, specs)
