"""Scripts from the command line: looked through, asked about, run with arguments."""

import shlex
from pathlib import Path

import pytest

from tests.support.cli import wf, wf_json
from tests.support.repos import make_repo

pytest.importorskip("quickjs")
pytestmark = pytest.mark.long

TEXT = """export default async function (args) {
  const said = await task({ command: "true", label: args.name, returns: "envelope" });
  return { id: said.id.split(".").slice(1).join("."), left: budget.remaining() };
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_repo(tmp_path / "repo", {"README.md": "# sample\n", "sweep.workflow.js": TEXT})
    wf_json(made, "init")
    return made


@pytest.mark.requirement("WFL-FRONT-066")
def test_a_script_runs_with_its_arguments_and_within_a_budget(root: Path) -> None:
    done = wf_json(
        root, "run", "sweep.workflow.js", "--args", '{"name": "One"}', "--budget", "tokens=100",
        "--yes",
    )  # fmt: skip
    assert done["verdict"] == "succeeded"
    shown = wf_json(root, "show", f"{done['run']}.script")
    assert shown["result"]["outputs"]["value"] == {"id": "script.1-one", "left": 100}


@pytest.mark.requirement("WFL-FRONT-066")
def test_a_script_is_asked_about_before_it_starts(root: Path) -> None:
    asked = wf_json(root, "run", "sweep.workflow.js", status=2)
    assert asked["error"] == "unconfirmed"
    assert asked["card"]["scripts"] == 1
    assert "a script decides" in asked["message"]
    planned = wf(root, "plan", "sweep.workflow.js")
    assert planned.status == 0
    assert "decides what it begins" in planned.out
    assert "depth" not in planned.out
    assert "stands for no document" in wf(root, "plan", "sweep.workflow.js", "--expand").err


@pytest.mark.requirement("WFL-FRONT-066")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--args", "{"), "--args: not a JSON document"),
        (("--args", '{"a": 1, "a": 2}'), "--args: not a JSON document"),
    ],
)
def test_arguments_that_are_no_json_are_refused(
    root: Path, args: tuple[str, ...], words: str
) -> None:
    refused = wf_json(root, "run", "sweep.workflow.js", "--yes", *args, status=2)
    assert words in refused["message"]


@pytest.mark.requirement("WFL-FRONT-051")
def test_check_says_where_a_script_is_wrong(root: Path) -> None:
    (root / "bad.workflow.js").write_text(TEXT.replace("return {", "return = {"))
    found = wf_json(root, "check", "bad.workflow.js", status=7)
    (error,) = found["errors"]
    assert (error["kind"], error["line"]) == ("syntax_error", 3)
    assert wf_json(root, "check", "sweep.workflow.js")["ok"]


@pytest.mark.requirement("WFL-CTRL-095")
def test_a_script_that_failed_names_the_call_that_takes_what_is_done(root: Path) -> None:
    (root / "two.workflow.js").write_text(
        "await task({ command: 'true' });\n"
        "return await task({ command: `test -e ${args.flag}`, label: 'two' });\n"
    )
    flag = root / ".git" / "flag"
    args = f'{{"flag": "{flag}"}}'
    failed = wf_json(root, "run", "two.workflow.js", "--yes", "--args", args, status=1)
    command = failed["needs"][0]["command"]
    assert command == f"wfledger run two.workflow.js --reuse {failed['run']} --args '{args}'"
    flag.touch()
    done = wf_json(root, *shlex.split(command)[1:], "--yes")
    assert done["verdict"] == "succeeded"
    first = wf_json(root, "show", f"{done['run']}.script.1")
    assert first["result"]["reused"]["task"] == f"{failed['run']}.script.1"
