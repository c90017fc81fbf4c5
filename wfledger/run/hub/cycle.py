"""One meeting of this machine with its remote (spec 97, section 3).

Look what is there; find out what became of the last push; take the remote's tip in, under the
ledger lock; ask who has something to ask for; and push all of it at once. Whoever dies anywhere in
it leaves what the next meeting goes on from. The caller holds the lock of the sync (`live/sync`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wfledger import faults
from wfledger.clock import iso
from wfledger.core.turns import Caller, pause_s
from wfledger.run.hub import applying, company, refusals, rewinding, turns
from wfledger.run.hub.applying import Arrival, Arrived
from wfledger.run.hub.composing import compose
from wfledger.run.hub.history import news_since
from wfledger.run.hub.keeping import KeepUpdate
from wfledger.run.hub.losses import Lost
from wfledger.run.hub.meeting import Met, Moved, Outcome
from wfledger.run.hub.proposals import Proposal, Proposer, Sight
from wfledger.run.hub.settling import Settled, settle
from wfledger.run.hub.state import Hub, Inflight, read_state, write_state
from wfledger.run.looks.tally import note_failures
from wfledger.run.workspace import Workspace
from wfledger.vcs import remote
from wfledger.vcs.remote import Pushed, RemoteUpdate, Trouble

__all__ = ["meet"]

faults.register(
    "meet.fetched", "meet.taken", "meet.composed", "meet.noted", "meet.pushed", "meet.confirmed",
)

#: Rounds of one meeting in which others come first or are left a turn.
_ROUNDS: Final = 30
#: Pushes in a row that find the same lock on the server until it counts as left behind.
_LOCKED: Final = 3
#: A call over the network gets no less than this, and no more than that.
_CALL_S: Final = (5.0, 60.0)


def meet(
    workspace: Workspace, proposers: Sequence[Proposer] = (), *, timeout_s: float = 60.0
) -> Met:
    """Meet the remote once, and again at once where others came first.

    What the remote answers, and that it does not, are values; raises what is wrong here, such as a
    damaged journal. *timeout_s* bounds what is spent on the network, roughly.
    """
    hub = workspace.hub
    if hub is None:
        return Met("quiet")
    return _Meeting(workspace, hub, tuple(proposers), timeout_s).carry_out()


@dataclass(frozen=True)
class _Outgoing:
    """What a push is to bring there."""

    arrived: Arrived
    proposals: list[Proposal]
    kept: tuple[KeepUpdate, ...]


@dataclass
class _Meeting:
    """The rounds of one meeting, and what they come to."""

    workspace: Workspace
    hub: Hub
    proposers: tuple[Proposer, ...]
    timeout_s: float
    pushed: bool = False
    came: list[Moved] = field(default_factory=list)
    went: list[Moved] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    #: What a person has to be told though the meeting goes on.
    told: list[str] = field(default_factory=list)
    _until: float = 0.0
    #: When this round began, and how long those took in which something was done.
    _began: float = 0.0
    #: When the last look began, by a clock that counts sleep.
    _looked: float = 0.0
    _rounds: list[float] = field(default_factory=list)
    #: What a round saw in which others came first.
    _beaten: Sight | None = None
    #: The machines to which a round was left.
    _ahead: list[Caller] = field(default_factory=list)
    #: The locks on the server that were in the way of pushes, "" where others came first.
    _locks: list[str] = field(default_factory=list)
    #: Refs that the server does not want, with its words; the rest goes without them.
    _denied: dict[str, str] = field(default_factory=dict)
    #: Refs that it has taken.
    _taken: set[str] = field(default_factory=set)

    def carry_out(self) -> Met:
        """Go through the rounds."""
        clock = self.workspace.clock
        self._until = clock.elapsed() + min(self.timeout_s, company.longest_s(self.workspace))
        for _ in range(_ROUNDS):
            self._began, self._beaten, self._ahead = clock.elapsed(), None, []
            met = self._round()
            if not self._ahead:
                self._rounds.append(clock.elapsed() - self._began)
            if met is not None:
                return self._over(met)
            if self._is_locked_out():
                return self._over(self._locked_out())
            if self._beaten is not None:
                self._call_out(self._beaten)  # from now on the others wait for us
            # Who looks while another is between its look and its push does its work in vain.
            chance = int(clock.token()[:4], 16) / 0xFFFF
            pause = pause_s(self._ahead, chance=chance) if self._ahead else 0.0
            if clock.elapsed() + pause >= self._until:
                break
            clock.wait(pause)
        return self._over(self._met("lost", "other machines came first, again and again"))

    def _over(self, met: Met) -> Met:
        """Say of a meeting, and remember, how long a round of it took."""
        if not self.pushed:
            return met
        took = min(self._rounds)
        turns.note(self.workspace, took_s=took)
        return replace(met, round_s=took)

    def _is_locked_out(self) -> bool:
        """Whether one lock on the server was in the way again and again: nobody works there."""
        lately = self._locks[-_LOCKED:]
        return len(lately) == _LOCKED and lately[0] != "" and len(set(lately)) == 1

    def _locked_out(self) -> Met:
        lock = self._locks[-1]
        said = f"the server does not move its ref while this is there: {lock}"
        self._note_trouble(said)
        return self._met("refused", said, f"if no git works there, remove it on the server: {lock}")

    def _call_out(self, sight: Sight) -> None:
        """Count a round in which others came first, and tell them."""
        count = turns.overtaken(self.workspace) + 1
        turns.note(self.workspace, overtaken=count, took_s=min(self._rounds))
        company.call_out(self.workspace, self.hub, sight, count, timeout=self._call_s())

    def _round(self) -> Met | None:
        state = read_state(self.workspace.ledger.layout.local)
        if state.stopped not in {None, rewinding.REWOUND}:
            return self._met("stopped", state.reason, rewinding.hint(state.stopped or ""))
        company.prepare(self.workspace, timeout=self._call_s())
        began, self._looked = self.workspace.clock.awake(), self.workspace.clock.elapsed()
        seen = remote.fetch(
            self.workspace.repo, self.hub.url, self.hub.names.refspecs, timeout=self._call_s()
        )
        if isinstance(seen, Trouble):
            return self._away(seen)
        faults.point("meet.fetched")
        tip = seen.refs.get(self.hub.names.ledger)
        stop = rewinding.check(self.workspace, self.hub, state, tip)
        stop = stop or company.twin(self.workspace, self.hub, seen.refs)
        if stop is not None or tip is None:
            return self._stop(stop)
        if state.stopped is not None:
            rewinding.go_on(self.workspace)  # somebody has given the remote back what it had
        news = news_since(self.workspace, state.applied, tip)
        settled = settle(self.workspace, state, tip, news)
        sight = company.sight(self.workspace, self.hub, tip, seen.refs, news=news, began=began)
        lease_s = company.lease_s(self.workspace)
        self._ahead = turns.ahead(self.workspace, self.hub, sight, lease_s=lease_s)
        if self._ahead:
            company.beat_if_due(self.workspace, self.hub, sight, timeout=self._call_s())
            return None
        self.came += news.came
        with self.workspace.ledger.locks.hold("meeting"):
            return self._push(self._take_in(sight, settled), sight)

    def _take_in(self, sight: Sight, settled: Settled) -> _Outgoing:
        workspace = self.workspace
        self.told = company.before_showing(workspace, sight.refs, sight.tip)
        arrival = Arrival(workspace, sight.tip, settled=settled.upto)
        arrived, (proposals, kept) = arrival.take(
            lambda: (self._ask(sight), company.kept(workspace))
        )
        settled.finish(workspace)
        company.after_showing(workspace)
        self.lost += arrived.lost
        faults.point("meet.taken")
        return _Outgoing(arrived, proposals, kept)

    def _ask(self, sight: Sight) -> list[Proposal]:
        """Ask for proposals; of two about one task the first is heard."""
        found: list[Proposal] = []
        named: set[str] = set()
        for proposer in self.proposers:
            for proposal in proposer(self.workspace, sight):
                names = {move.task.id for move in proposal.moves}
                names |= {run.id for run in proposal.runs}
                names |= {target.ref for target in proposal.targets}
                is_denied = any(target.ref in self._denied for target in proposal.targets)
                if names.isdisjoint(named) and not is_denied:
                    found.append(proposal)
                    named |= names
        return found

    # -- pushing ---------------------------------------------------------------------------------

    def _push(self, out: _Outgoing, sight: Sight) -> Met | None:
        alone = [one for one in out.proposals if one.targets and not one.moves]
        if alone and not self.hub.atomic:
            return self._push_targets(alone)
        workspace, arrived = self.workspace, out.arrived
        commit = compose(workspace, sight.tip, arrived.records, out.proposals, upto=arrived.upto)
        faults.point("meet.composed")
        if self._is_late(out.proposals):
            return None
        has_news = commit != sight.tip
        if not has_news and arrived.records:
            applying.confirm(workspace, commit, upto=arrived.upto, proposals=())
        extra = company.extras(
            workspace, sight, out.kept, has_news=has_news, denied=self._denied,
            took_s=workspace.clock.elapsed() - self._began,
        )  # fmt: skip
        updates = _with_targets(extra.updates, out.proposals)
        if has_news:
            updates.insert(0, RemoteUpdate(self.hub.names.ledger, commit, sight.tip))
        if not updates:
            return self._well("quiet")
        began = workspace.clock.elapsed()
        if has_news:
            targets = {t.ref: (t.old, t.new) for one in out.proposals for t in one.targets}
            boot = workspace.machine.boot
            self._note(
                Inflight(commit, sight.tip, arrived.upto, targets, extra.beat, began, boot)
            )
        pushed = self._send(updates)
        end = self._end_of(pushed)
        if end == "lost":
            self._beaten = sight
            self._locks.append(refusals.lock_of(pushed))
        if end != "ok":
            return self._failed(end, pushed, out.proposals)
        if has_news:
            after = {**sight.refs} | {one.ref: one.new for one in updates if one.new is not None}
            self.told = company.before_confirming(workspace, after, commit)
            applying.confirm(workspace, commit, upto=arrived.upto, proposals=out.proposals)
        faults.point("meet.confirmed")
        company.sent(workspace, extra, pushed, began=began)
        return self._confirmed(out)

    def _is_late(self, proposals: list[Proposal]) -> bool:
        """Whether a machine that is to be taken over may have come back meanwhile (WFL-HUB-066)."""
        took_s = self.workspace.clock.elapsed() - self._looked
        is_old = took_s > company.longest_s(self.workspace)
        return is_old and any(one.of_silence for one in proposals)

    def _send(self, updates: list[RemoteUpdate]) -> Pushed:
        self.pushed = True
        done = remote.push(
            self.workspace.repo, self.hub.url, updates, atomic=self.hub.atomic and len(updates) > 1,
            timeout=self._call_s(),
        )  # fmt: skip
        self._taken |= {ref for ref, (status, _) in done.per_ref.items() if status == "ok"}
        faults.point("meet.pushed")
        return done

    def _end_of(self, pushed: Pushed) -> str:
        """Return how the push of the ledger ended, or of all where it is not in it."""
        own = pushed.per_ref.get(self.hub.names.ledger)
        if own is None or self.hub.atomic:
            return pushed.outcome
        return "lost" if own[0] == "waits" else own[0]

    def _confirmed(self, out: _Outgoing) -> Met:
        turns.note(self.workspace, overtaken=0)
        note_failures(self.workspace, out.arrived.records)
        here = self.workspace.machine.id
        self.went += [
            Moved(r["task"], r["from"], r["to"], r["attempt"], r["by"], r["why"], here)
            for r in out.arrived.records if r["kind"] != "file"
        ]  # fmt: skip
        self.granted += [one.what for one in out.proposals]
        for one in out.proposals:
            if one.confirmed is not None:
                one.confirmed()
        return self._well("ok")

    def _failed(self, end: str, pushed: Pushed, proposals: list[Proposal]) -> Met | None:
        """Say what a push came to that did not come through; None: again from the start."""
        ended = {ref: status for ref, (status, _) in pushed.per_ref.items()}
        if end in {"lost", "refused"}:
            self._note(None)  # it has not come through and never will
        hit = [
            one for one in proposals
            if any(ended.get(target.ref) == "refused" for target in one.targets)
        ]  # fmt: skip
        for one in hit:
            words = [pushed.per_ref[t.ref][1] for t in one.targets if t.ref in pushed.per_ref]
            reason = next((word for word in words if word), pushed.said) or "the server said no"
            self.refused.append((one.what, reason))
            if one.refused is not None:
                one.refused(reason)
        denied = refusals.denied(self.hub.names, pushed)
        fresh = denied.keys() - self._denied.keys()
        self._denied |= denied
        if end == "lost" or hit or fresh:
            return None
        trouble = pushed.trouble
        said = trouble.message if trouble is not None else pushed.said
        if end == "refused":
            self._denied.clear()  # it takes nothing at all
        self._note_trouble(said)
        hint = (trouble.hint or None) if trouble is not None else None
        return self._met("unknown" if end == "unknown" else "refused", said, hint)

    def _push_targets(self, alone: list[Proposal]) -> Met | None:
        """Push branches by themselves, where the server cannot take them with the ledger."""
        pushed = self._send(_of_targets(alone))
        if pushed.outcome == "ok":
            for one in alone:
                if one.confirmed is not None:
                    one.confirmed()
            return None
        return self._failed(pushed.outcome, pushed, alone)

    # -- what it came to -------------------------------------------------------------------------

    def _call_s(self) -> float:
        left = self._until - self.workspace.clock.elapsed()
        return min(max(left, _CALL_S[0]), _CALL_S[1])

    def _note(self, inflight: Inflight | None) -> None:
        local = self.workspace.ledger.layout.local
        write_state(local, replace(read_state(local), inflight=inflight))
        faults.point("meet.noted")

    def _note_trouble(self, said: str, *, seen: bool = True, took: bool = False) -> None:
        local, now = self.workspace.ledger.layout.local, iso(self.workspace.clock.now())
        state = replace(read_state(local), trouble=said)
        if seen:
            refuses = refusals.still(self.workspace, state.refuses, self._denied, self._taken)
            state = replace(state, seen=now, refuses=refuses)
        write_state(local, replace(state, pushed=now) if took else state)

    def _away(self, trouble: Trouble) -> Met:
        self._note_trouble(trouble.message, seen=False)
        outcome: Outcome = "unreachable" if trouble.passes else "refused"
        return self._met(outcome, trouble.message, trouble.hint or None)

    def _stop(self, stop: rewinding.Stop | None) -> Met:
        if stop is not None:
            rewinding.stop(self.workspace, stop)
        reason, code = (stop.reason, stop.code) if stop is not None else ("", "")
        return self._met("stopped", reason, rewinding.hint(code))

    def _well(self, outcome: Outcome) -> Met:
        self._note_trouble("; ".join(self.told), took=outcome == "ok")
        if self.came or self.went or self.granted:
            self.workspace.history.refresh_index(self.workspace.ledger.layout.root)
        return self._met(outcome, "")

    def _met(self, outcome: Outcome, said: str, hint: str | None = None) -> Met:
        return Met(
            outcome, said, hint, self.pushed, tuple(self.came), tuple(self.went),
            tuple(self.granted), tuple(self.refused), tuple(self.lost),
        )  # fmt: skip


def _with_targets(
    updates: Sequence[RemoteUpdate], proposals: list[Proposal]
) -> list[RemoteUpdate]:
    """Join what goes with a push and what lands: a branch that is not there yet is made by that."""
    targets = _of_targets(proposals)
    landed = {one.ref for one in targets}
    return [*(one for one in updates if one.ref not in landed), *targets]


def _of_targets(proposals: list[Proposal]) -> list[RemoteUpdate]:
    targets = [target for one in proposals for target in one.targets]
    return [RemoteUpdate(target.ref, target.new, target.old) for target in targets]


