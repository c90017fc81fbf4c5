"""What each tracker's files say, read as they are written by the trackers themselves."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wfledger.errors import UsageError
from wfledger.run.exchange import backlog, beads, claude_tasks, files, taskmaster
from wfledger.run.exchange.imported import Imported, Item

BACKLOG = """---
id: TASK-2
title: 'Second: with a colon'
status: {status}
assignee:
  - @me
reporter: @someone
created_date: '2026-11-22 14:21'
labels: []
dependencies:
  - TASK-1
priority: high
ordinal: 2000
---

## Implementation Plan

<!-- SECTION:PLAN:BEGIN -->
do it
<!-- SECTION:PLAN:END -->
"""


def issues(tmp_path: Path, *given: dict[str, Any] | str) -> Imported:
    path = tmp_path / "issues.jsonl"
    lines = [one if isinstance(one, str) else json.dumps(one) for one in given]
    path.write_text("\n".join(lines) + "\n")
    return beads.read(path, place="here")


def only(imported: Imported) -> Item:
    assert imported.troubles == ()
    (item,) = imported.items
    return item


def test_issue_of_beads_keeps_its_texts_and_relations(tmp_path: Path) -> None:
    edges = [
        {"issue_id": "bd-2.1", "depends_on_id": "bd-1", "type": "blocks"},
        {"issue_id": "bd-2.1", "depends_on_id": "bd-2", "type": "parent-child"},
        {"issue_id": "bd-2.1", "depends_on_id": "bd-7", "type": "discovered-from"},
    ]
    item = only(issues(tmp_path, {
        "id": "bd-2.1", "title": "Port it", "description": "All of it.", "design": "In steps.",
        "acceptance_criteria": "- works", "status": "open", "priority": 0, "issue_type": "task",
        "dependencies": edges, "labels": ["x"], "assignee": "",
    }))  # fmt: skip
    assert item.text == "All of it.\n\n## Design\n\nIn steps.\n\n## Acceptance criteria\n\n- works"
    assert (item.after, item.parent, item.priority) == (("bd-1",), "bd-2", 2)
    assert item.fields == {"issue_type": "task", "dependencies": edges, "labels": ["x"]}


@pytest.mark.parametrize(
    ("status", "state"),
    [("open", "open"), ("in_progress", "held"), ("blocked", "held"), ("deferred", "held"),
     ("closed", "done"), ("tombstone", "dropped"), ("our_own", "held")],
)  # fmt: skip
def test_status_of_beads_says_what_becomes_of_an_issue(
    tmp_path: Path, status: str, state: str
) -> None:
    assert only(issues(tmp_path, {"id": "a", "status": status})).state == state


def test_records_of_beads_that_are_no_work_are_left(tmp_path: Path) -> None:
    memory = {"_type": "memory", "id": "m"}
    message = {"id": "a", "issue_type": "message"}
    assert only(issues(tmp_path, memory, message)).state == "dropped"


def test_garbage_among_issues_is_named_by_its_line(tmp_path: Path) -> None:
    half = '{"id": "a", "title": "\\ud800"}'
    found = issues(tmp_path, {"id": "a"}, "<<<<<<< HEAD", "[1]", "{}", half, '{"id":"a","id":"b"}')
    assert [item.id for item in found.items] == ["a"]
    assert [trouble.where for trouble in found.troubles] == [f"line {n}" for n in range(2, 7)]


def test_tasks_of_claude_code_are_joined_by_both_kinds_of_edges(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [
        {"id": "1", "subject": "First", "status": "completed", "blocks": ["2", "3"]},
        {"id": "2", "subject": "Second", "status": "pending", "blockedBy": ["1"], "owner": "ann"},
        {"id": "10", "subject": "Tenth", "status": "in_progress", "blockedBy": ["2"]},
        {"id": "3", "subject": "Third", "description": "more", "status": "pending"},
    ]
    for task in given:
        (tmp_path / f"{task['id']}.json").write_text(json.dumps(task))
    (tmp_path / ".lock").touch()
    found = claude_tasks.read(tmp_path, place="here")
    assert [(item.id, item.state, item.after) for item in found.items] == [
        ("1", "done", ()), ("2", "open", ("1",)), ("3", "open", ("1",)), ("10", "held", ("2",)),
    ]  # fmt: skip
    assert found.items[1].fields == {"owner": "ann"}


def test_list_of_claude_code_is_the_only_one_or_the_one_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task lists"):
        claude_tasks.find(None, tmp_path / "tasks", start=tmp_path)
    (tmp_path / "tasks/team").mkdir(parents=True)
    assert claude_tasks.find(None, tmp_path / "tasks", start=tmp_path).name == "team"
    (tmp_path / "tasks/other").mkdir()
    with pytest.raises(UsageError, match="2 lists"):
        claude_tasks.find(None, tmp_path / "tasks", start=tmp_path)
    assert claude_tasks.find("team", tmp_path / "tasks", start=tmp_path).name == "team"


@pytest.mark.parametrize("status", ["To Do", "In Progress", "Done"])
def test_task_of_backlog_md_is_front_matter_and_sections(tmp_path: Path, status: str) -> None:
    folder = tmp_path / "backlog/tasks"
    folder.mkdir(parents=True)
    (folder / "task-2 - Second.md").write_text(BACKLOG.format(status=status))
    (folder / "readme.md").write_text("# Tasks\n")
    item = only(backlog.read(tmp_path, place="here"))
    assert (item.id, item.title, item.after) == ("TASK-2", "Second: with a colon", ("TASK-1",))
    assert item.state == {"To Do": "open", "In Progress": "held", "Done": "done"}[status]
    assert item.text == "## Implementation Plan\n\ndo it"
    assert item.fields["assignee"] == ["@me"]
    assert item.priority == 1


def test_file_of_backlog_md_without_front_matter_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/a.md").write_text("# no front matter\n")
    (tmp_path / "tasks/b.md").write_text("---\nid: [\n---\n")
    found = backlog.read(tmp_path, place="here")
    assert [trouble.where for trouble in found.troubles] == ["tasks/a.md", "tasks/b.md"]
    with pytest.raises(UsageError, match="no tasks of Backlog"):
        backlog.read(tmp_path / "tasks", place="here")


def tagged(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(data))
    return path


TASKS = [
    {"id": 1, "title": "One", "status": "done", "dependencies": []},
    {
        "id": 2, "title": "Two", "description": "d", "details": "how", "testStrategy": "so",
        "status": "pending", "dependencies": [1], "priority": "high",
        "subtasks": [
            {"id": 1, "title": "a", "status": "done", "dependencies": []},
            {"id": 2, "title": "b", "status": "pending", "dependencies": [1, "1.1"]},
        ],
    },
]  # fmt: skip


def test_subtasks_of_task_master_are_parts_with_edges_among_them(tmp_path: Path) -> None:
    path = tagged(tmp_path, {"master": {"tasks": TASKS, "metadata": {}}})
    found = taskmaster.read(path, tag=None, place="here")
    assert [(one.id, one.parent, one.after) for one in found.items] == [
        ("1", None, ()), ("2", None, ("1",)), ("2.1", "2", ()), ("2.2", "2", ("2.1", "1.1")),
    ]  # fmt: skip
    assert found.items[1].text == "d\n\n## Details\n\nhow\n\n## How to test it\n\nso"
    assert found.place == "here#master"


def test_tag_of_task_master_is_asked_for_where_it_is_not_clear(tmp_path: Path) -> None:
    two = tagged(tmp_path, {"x": {"tasks": TASKS}, "y": {"tasks": []}})
    with pytest.raises(UsageError, match="tags x, y"):
        taskmaster.read(two, tag=None, place="here")
    assert taskmaster.read(two, tag="y", place="here").items == ()
    old = tagged(tmp_path, {"tasks": TASKS})
    assert len(taskmaster.read(old, tag=None, place="here").items) == 4


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.with_suffix(".real").write_text("{}")
    path.symlink_to(path.with_suffix(".real"))


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(files.FILE_BYTES + 1)


@pytest.mark.requirement("WFL-IMPORT-003")
@pytest.mark.parametrize("make", [fifo, link, huge, Path.mkdir])
def test_what_is_no_plain_small_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "tasks.json"
    make(path)
    with pytest.raises(UsageError):
        beads.read(path, place="here")
    found = claude_tasks.read(tmp_path, place="here")
    assert [trouble.where for trouble in found.troubles] == ["tasks.json"]
