"""Resources: a run as `wf://run/<id>`, a task with its last result as `wf://task/<id>`."""

import json
from dataclasses import dataclass
from typing import Any, Final

from wfledger.core.text import clean_line
from wfledger.errors import NotFoundError
from wfledger.mcp.session import Session
from wfledger.run.looks.doing import Watcher, last_result, with_state
from wfledger.run.looks.naming import find_run, resolve
from wfledger.run.looks.overview import overview
from wfledger.run.workspace import Workspace

MIME: Final = "application/json"
_SCHEME: Final = "wf://"
_LISTED: Final = 20
_NAME: Final = 80


@dataclass(frozen=True)
class Resource:
    """What a client may read."""

    uri: str
    name: str


def listed(session: Session) -> list[Resource]:
    """Return the tasks that the session holds and the newest runs that have not landed."""
    runs = [run for run in session.workspace().ledger.runs() if run.state != "landed"]
    return [
        *(Resource(f"{_SCHEME}task/{one.task}", one.task) for one in session.kept()),
        *(
            Resource(f"{_SCHEME}run/{run.id}", clean_line(run.goal or run.name or run.id, _NAME))
            for run in reversed(runs[-_LISTED:])
        ),
    ]


def read(session: Session, uri: str) -> str:
    """Return a resource as JSON; raises `NotFoundError`."""
    kind, _, name = uri.removeprefix(_SCHEME).partition("/")
    reader = KINDS.get(kind)
    if not uri.startswith(_SCHEME) or reader is None or not name:
        raise NotFoundError(f"there is no resource {uri}")
    return json.dumps(reader(session.workspace(), name), ensure_ascii=False)


def _run(workspace: Workspace, name: str) -> dict[str, Any]:
    return overview(workspace, find_run(workspace, name)).as_json()


def _task(workspace: Workspace, name: str) -> dict[str, Any]:
    entry = workspace.ledger.get(resolve(workspace, name))
    result = last_result(workspace, entry.task)
    shown = result.model_dump(mode="json", by_alias=True) if result else None
    return {"task": with_state(entry, Watcher(workspace)), "result": shown}


#: Kind of a resource -> what reads one.
KINDS: Final = {"run": _run, "task": _task}
