from collections.abc import Callable

import pytest

from tests.conformance import generated, pages
from wfledger.core.statuses import TRANSITIONS, Status

WRITE = "run: python -m tests.conformance --write"


@pytest.mark.parametrize(
    ("page", "name", "table"),
    [
        ("30-status.md", "transitions", generated.transitions),
        ("20-task.md", "bounds", generated.bound_table),
        ("80-recovery.md", "exits", generated.exits),
    ],
    ids=["transitions", "bounds", "exits"],
)
def test_page_prints_the_table_of_the_code(page: str, name: str, table: Callable[[], str]) -> None:
    printed = pages.blocks(pages.SPEC / page)[name]
    assert printed.strip() == table().strip(), WRITE


@pytest.mark.requirement("WFL-STATUS-006")
def test_nothing_leaves_done_or_cancelled() -> None:
    assert [pair for pair in TRANSITIONS if pair[0] in {Status.DONE, Status.CANCELLED}] == []


@pytest.mark.requirement("WFL-STATUS-010")
def test_only_a_promotion_leads_to_pending() -> None:
    assert [pair for pair in TRANSITIONS if pair[1] is Status.PENDING] == [
        (Status.WAITING, Status.PENDING)
    ]


def test_every_status_is_reached_and_every_open_one_has_a_way_to_the_end() -> None:
    reached, ends = {Status.WAITING}, {Status.DONE, Status.CANCELLED}
    for _ in Status:
        reached |= {target for source, target in TRANSITIONS if source in reached}
        ends |= {source for source, target in TRANSITIONS if target in ends}
    assert reached == ends == set(Status)


def test_page_30_says_rightly_which_statuses_hold_their_scope() -> None:
    text = (pages.SPEC / "30-status.md").read_text("utf-8")
    for status in Status:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{status.value}` | "))
        assert row.endswith("| yes |" if status.holds_scope else "| no |")
