"""Three machines with an engine each work on one run, through nothing but its remote."""

from itertools import combinations
from pathlib import Path

import pytest

from tests.support.engines import drive_there, statuses
from tests.support.processes import race
from tests.support.sharing import share, shows_the_tip, synced
from wfledger.core.documents import TaskSpec
from wfledger.core.policy import Policy, RemotePolicy
from wfledger.run.submit import add

#: Tasks of one kind write the same folder; every fourth depends on one of another kind.
KINDS, TASKS = 3, 9


def log_lines(log: Path) -> list[tuple[str, int]]:
    """Return who began and who ended, in the order in which that was written."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(what, int(number)) for what, number in lines]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.requirement("WFL-HUB-010", "WFL-HUB-011", "WFL-HUB-110")
def test_machines_do_each_task_once_and_never_two_that_overlap_at_once(tmp_path: Path) -> None:
    remote = RemotePolicy(interval_s=0.2)
    machines = share(tmp_path, 3, policy=Policy(remote=remote))
    log = tmp_path / "log"
    for number in range(TASKS):
        folder = f"kind{number % KINDS}"
        command = (
            f"mkdir -p {folder}; echo begin {number} >> {log}; echo x > {folder}/f{number}; "
            f"echo end {number} >> {log}"
        )
        after = (f"main.t{number - 2}",) if number % 4 == 3 else ()
        spec = TaskSpec(command=command, write=(f"{folder}/**",), after=after)
        add(machines[0], spec, node=f"t{number}", target=None)
    synced(*machines)

    drivers = [(one.main, "main", 2, f"w{n}") for n, one in enumerate(machines)]
    ended = race(drive_there, drivers, within_s=240)

    assert ended == [0, 0, 0]
    lines = log_lines(log)
    assert sorted(lines) == sorted(
        (what, number) for number in range(TASKS) for what in ("begin", "end")
    )
    places = {line: place for place, line in enumerate(lines)}
    for one, other in combinations(range(TASKS), 2):
        if one % KINDS == other % KINDS:
            apart = places["end", one] < places["begin", other]
            assert apart or places["end", other] < places["begin", one], (one, other)
    for number in range(3, TASKS, 4):
        assert places["end", number - 2] < places["begin", number]
    synced(*machines)
    for machine in machines:
        assert set(statuses(machine).values()) == {"done"}
        shows_the_tip(machine)
