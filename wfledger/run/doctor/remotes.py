"""What is wrong between this machine and the ledger's remote, as far as it is known here.

No network is asked: what the last meeting ran into is on record.
"""

from collections.abc import Iterator
from shlex import quote

from wfledger.core.hub import interval_s, least_lease_s
from wfledger.errors import WfledgerError
from wfledger.run.doctor.trouble import Trouble, error, mendable, warning
from wfledger.run.hub import detaching, rewinding, trusting
from wfledger.run.hub.machines import machines
from wfledger.run.hub.state import Hub, State, left, read_state
from wfledger.run.workspace import Workspace


def troubles(workspace: Workspace) -> Iterator[Trouble]:
    """Yield what keeps this machine from taking part; nothing where the ledger is ours alone."""
    local, hub = workspace.ledger.layout.local, workspace.hub
    gone = left(local)
    if hub is None and gone is not None:
        yield mendable(
            "remote-half-left", "error", gone.name,
            "leaving the remote was interrupted: what others held is theirs still",
            repair="finish it", mend=lambda: detaching.detach(workspace),
        )
    if hub is None:
        return
    yield from _of_state(hub, read_state(local))
    yield from _address(workspace, hub)
    yield from _lease(workspace, hub)


def _of_state(hub: Hub, state: State) -> Iterator[Trouble]:
    if state.stopped is not None:
        ends = rewinding.hint(state.stopped)
        ends += ", or wfledger remote accept" if state.stopped == rewinding.REWOUND else ""
        yield error(
            f"remote-{state.stopped}", hub.name,
            f"{state.reason}; nothing comes or goes until somebody decides: {ends}",
        )
    elif state.trouble:
        since = f"; it was last seen at {state.seen}" if state.seen else ""
        yield warning("remote-trouble", hub.name, f"{state.trouble}{since}")


def _address(workspace: Workspace, hub: Hub) -> Iterator[Trouble]:
    try:
        trusting.refuse_other_address(workspace, hub)
    except WfledgerError as found:
        yield error("remote-address", hub.name, f"{found.message}; {found.hint}")


def _lease(workspace: Workspace, hub: Hub) -> Iterator[Trouble]:
    """Compare the lease with what is sound for as many machines as there are now (WFL-HUB-041)."""
    policy, count = workspace.policy(), len([one for one in machines(workspace) if not one.is_gone])
    interval = interval_s(policy.remote, hub.host, count)
    least = least_lease_s(interval)
    if policy.lease_s < least:
        yield error(
            "lease-short", hub.name,
            f"{count} machines push there once in {interval:g} s each; a lease of "
            f"{policy.lease_s:g} s is too short: "
            f"wfledger remote set {quote(hub.name)} --lease {least:g}",
        )  # fmt: skip
