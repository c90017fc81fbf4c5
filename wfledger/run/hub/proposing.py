"""Who is asked, at each meeting, what to ask the remote for; in the order in which they come."""

from wfledger.run.hub.proposals import Proposer


def proposers() -> tuple[Proposer, ...]:
    """Return them: takeovers free what the dead hold, landings end work, grants begin it."""
    from wfledger.run.hub import granting, landing, takeover

    return (takeover.propose, landing.propose, granting.propose)
