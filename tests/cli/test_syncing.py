"""What people are told where machines share a ledger: `sync`, `status` and the verbs that change."""

import json
from pathlib import Path

import pytest

from tests.support.repos import commit, git, make_repo
from tests.support.terminal import call
from tests.support.workspaces import open_workspace
from wfledger.run.hub.diary import Record, note
from wfledger.run.hub.meeting import Lost, Met
from wfledger.run.hub.state import read_state, write_state


def two_machines(folder: Path) -> tuple[Path, Path]:
    """Return two clones that share a ledger by way of a bare repository, called anna and bert."""
    git(folder, "init", "-q", "--bare", "-b", "main", "hub.git")
    anna = make_repo(folder / "anna", {"README.md": "# sample\n", "src/app.py": "A = 1\n"})
    git(anna, "remote", "add", "origin", str(folder / "hub.git"))
    git(anna, "push", "-q", "origin", "main")
    done = call("init", "--remote", "origin", cwd=anna)
    assert done.status == 0, done.err
    git(folder, "clone", "-q", str(folder / "hub.git"), "bert")
    bert = folder / "bert"
    done = call("join", "--trust", cwd=bert)
    assert done.status == 0, done.err
    for clone in (anna, bert):
        assert call("remote", "name", clone.name, cwd=clone).status == 0
    return anna, bert


def synced(cwd: Path, *, status: int = 0) -> dict[str, object]:
    done = call("sync", "--json", cwd=cwd)
    assert done.status == status, done.out + done.err
    found: dict[str, object] = json.loads(done.out)
    return found


@pytest.mark.requirement("WFL-HUB-145", "WFL-HUB-144")
def test_task_added_on_one_machine_is_known_on_another_after_a_sync(tmp_path: Path) -> None:
    anna, bert = two_machines(tmp_path)
    synced(anna)
    added = json.loads(call("add", "look", "--id", "look", "--json", "--", "true", cwd=anna).out)
    assert added["confirmed"] is False  # the interval since the last push is not over
    assert call("sync", "--wait", cwd=anna).status == 0
    said = call("sync", cwd=bert)
    assert said.status == 0, said.err
    assert "main.look  new -> waiting  anna" in said.out
    assert "remote origin: as of 0s ago, 2 machines, one push in 1 s each" in said.out
    assert "nothing came or went" in call("sync", cwd=bert).out


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-078")
def test_who_adds_is_told_once_which_commits_go_to_the_remote_with_it(tmp_path: Path) -> None:
    anna, _ = two_machines(tmp_path)
    for number in range(2):
        commit(anna, {f"n{number}": "x\n"})
    said = call("add", "look", "--id", "a", cwd=anna).err
    sentence = "2 commits of main that origin is not known to have go there with it, under wf/main"
    assert sentence in said
    assert "not known to have" not in call("add", "look", "--id", "b", cwd=anna).err
    plan = tmp_path / "plan.json"
    plan.write_text('{"goal": "g", "tasks": [{"id": "a", "command": "true"}]}')
    again = json.loads(call("run", "--detach", "--yes", "--json", str(plan), cwd=anna).out)
    assert "unpushed" not in again, "they go there already"
    assert call("sync", "--wait", cwd=anna).status == 0
    commit(anna, {"n3": "x\n"})
    done = call("run", "--detach", "--yes", "--json", str(plan), cwd=anna)
    assert "1 commit of main that origin is not known to have goes there with it, under wf/" in done.err
    found = json.loads(done.out)
    branch = f"refs/heads/wf/{found['run']}"
    assert found["unpushed"] == {"commits": 1, "branch": "refs/heads/main", "ref": branch}
    git(anna, "push", "-q", "origin", "main")
    added = json.loads(call("add", "look", "--json", cwd=anna).out)
    assert "unpushed" not in added


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-146")
def test_sync_says_by_its_exit_status_how_it_went(tmp_path: Path) -> None:
    anna, _ = two_machines(tmp_path)
    assert synced(anna)["outcome"] in {"ok", "quiet"}
    hub = tmp_path / "hub.git"
    hub.rename(tmp_path / "away.git")
    found = synced(anna, status=1)
    assert found["outcome"] == "refused"
    said = call("add", "look", cwd=anna)
    assert said.status == 0
    assert "not on origin yet" in said.err
    assert "out of step since" in call("status", cwd=anna).out
    (tmp_path / "away.git").rename(hub)
    assert call("sync", "--wait", cwd=anna).status == 0
    local = open_workspace(anna).ledger.layout.local
    lost = Lost("2026-01-01T00:00:00.000Z", "main.x", 1, "pending", "in-progress", "w", "claim", "gone")
    (local / "hub/lost.jsonl").write_text(json.dumps(lost.as_json()) + "\n")
    assert "1 change made here came too late: wfledger sync" in call("status", cwd=anna).out
    found = synced(anna, status=4)
    assert [one["because"] for one in found["lost"]] == ["gone"]  # type: ignore[attr-defined]
    assert synced(anna)["lost"] == []
    state = read_state(local)
    write_state(local, type(state)(**{**vars(state), "stopped": "twin", "reason": "there are two"}))
    assert synced(anna, status=8)["outcome"] == "stopped"
    shown = call("status", cwd=anna).out
    assert "stopped (twin): there are two" in shown
    assert "wfledger remote rename-machine" in shown


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-146")
def test_sync_says_why_it_is_to_be_tried_again(tmp_path: Path) -> None:
    anna, _ = two_machines(tmp_path)
    record = Record("2026-01-01T00:00:00.000Z", 1.0, "lost", "others came first", asked=2**64)
    note(open_workspace(anna), record, Met("lost"))
    said = call("sync", cwd=anna)
    assert said.status == 75
    assert "try again: others came first" in said.out


@pytest.mark.long
@pytest.mark.requirement("WFL-HUB-147")
def test_every_machine_shows_who_works_where(tmp_path: Path) -> None:
    anna, bert = two_machines(tmp_path)
    assert call("add", "look", "--id", "look", "--write", "src", cwd=anna).status == 0
    assert call("sync", "--wait", cwd=anna).status == 0
    granted = call("claim", "look", "--worker", "w", cwd=anna)
    assert granted.status == 0, granted.err
    assert call("tick", cwd=anna).status == 0
    assert call("sync", "--wait", cwd=anna).status == 0
    synced(bert)
    overview = json.loads(call("status", "--json", cwd=bert).out)
    rows = {one["name"]: one for one in overview["remote"]["machines"]}
    assert rows["anna"]["tasks"] == ["main.look"]
    assert (rows["bert"]["here"], rows["anna"]["here"]) == (True, False)
    (doing,) = overview["working"]
    assert (doing["machine"], doing["worker"]) == (rows["anna"]["id"], "w")
    assert "runs on anna" in call("status", cwd=bert).out
    assert "anna" in call("list", cwd=bert).out
    why = json.loads(call("why", "look", "--json", cwd=bert).out)
    assert why["code"] == "elsewhere"
    assert why["command"] == "wfledger cancel main.look"
    assert "pending -> in-progress  #1  anna" in call("history", cwd=bert).out


def test_ledger_without_a_remote_says_nothing_of_one(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", {"README.md": "# sample\n"})
    assert call("init", cwd=repo).status == 0
    added = json.loads(call("add", "look", "--json", cwd=repo).out)
    assert "confirmed" not in added
    assert json.loads(call("status", "--json", cwd=repo).out)["remote"] is None
    done = call("sync", cwd=repo)
    assert done.status == 2
    assert "wfledger remote set origin" in done.err
