"""What people call this machine; other machines hear of it with its next heartbeat."""

import json

from wfledger.core.records import canonical_json
from wfledger.errors import UsageError
from wfledger.run.hub.beating import NAME_CHARS, own_name
from wfledger.run.workspace import Workspace
from wfledger.store import atomic


def call(workspace: Workspace, name: str) -> str:
    """Call this machine *name*, or with "" as its host is called; returns its name now.

    Nothing is decided by it. Raises `UsageError` for what does not fit a line of a table.
    """
    if len(name) > NAME_CHARS or not name.isprintable() or name != name.strip():
        raise UsageError(f"a name is one line of at most {NAME_CHARS} characters")
    path, layout = workspace.ledger.layout.local / "machine.json", workspace.ledger.layout
    with workspace.ledger.transaction("person"):
        facts = json.loads(path.read_text("utf-8"))
        facts.pop("name", None)
        facts |= {"name": name} if name else {}
        atomic.replace(path, canonical_json(facts), tmp=layout.tmp, durable=True)
    return own_name(workspace)
