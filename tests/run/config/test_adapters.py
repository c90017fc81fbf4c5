"""Adapters are data: read strictly, every mistake at once, and nothing of them is ignored."""

from pathlib import Path

import pytest

from wfledger.errors import InvalidDocumentError
from wfledger.run.config import adapters
from wfledger.run.config.adapters import Adapter, Match, Pick, Sign, built_in
from wfledger.run.config.fleetfile import load

NAMES = {
    "aider", "claude", "codex", "generic", "kimi-code", "mini-swe-agent", "opencode", "qwen-code",
}  # fmt: skip
OWN = """
[adapter.mine]
argv = ["mine", "--json", "{+model}", "{prompt}"]
resume = ["mine", "--resume", "{session}", "{prompt}"]
resume_wait = "1s"
dialects = ["chat"]
key = "MINE_KEY"
stream = "jsonl"
args = { model = ["-m", "{model}"] }
env = { MINE_RETRIES = "0" }
server_env = { MINE_URL = "{base_url}" }
home = { MINE_HOME = ".mine" }
files = { ".mine/config" = "url={base_url}" }
login = { pass = ["MINE_LOGIN"], copy = { "~/.mine/auth" = ".mine/auth" }, hint = "mine login" }
limits = { silence_s = "5m" }
errors = [{ match = "purple", kind = "content" }]

[adapter.mine.end]
ok = [{ type = "end", good = true, code = [0, 1] }]
session = [{ at = "id", when = { type = "start" } }]
"""


def wrong(text: str) -> dict[str, str]:
    with pytest.raises(InvalidDocumentError) as caught:
        load(text)
    return {error["pointer"]: error["message"] for error in caught.value.facts["errors"]}


@pytest.mark.requirement("WFL-ADAPT-001")
def test_every_adapter_that_comes_along_can_be_read() -> None:
    found = {adapter.name: adapter for adapter in built_in()}
    assert set(found) == NAMES
    for adapter in found.values():
        assert adapter.argv
        assert adapter.title
        assert adapter.ends.ok or adapter.ends.ok_lines
        assert Path(adapters.file_of(adapter.name)).is_file()


@pytest.mark.parametrize("adapter", built_in(), ids=lambda adapter: adapter.name)
def test_every_adapter_asks_nothing_and_takes_a_prompt(adapter: Adapter) -> None:
    assert "{prompt}" in adapter.argv or "{prompt_file}" in adapter.argv
    if adapter.dialects:
        words = " ".join((
            *(word for group in adapter.groups.values() for word in group),
            *(value for _, value in adapter.server_env), *(text for _, text in adapter.files),
        ))  # fmt: skip
        assert "{base_url}" in words


@pytest.mark.requirement("WFL-ADAPT-001")
def test_adapter_of_ones_own_has_the_same_keys() -> None:
    found = load(OWN).adapter("mine")
    assert found is not None
    assert found.groups == {"model": ("-m", "{model}")}
    assert (found.key, found.dialects, found.resume_wait_s) == ("MINE_KEY", ("chat",), 1.0)
    assert found.ends.ok == (Match((("type", ("end",)), ("good", (True,)), ("code", (0, 1)))),)
    assert found.ends.session == (Pick("id", Match((("type", ("start",)),))),)
    assert found.signs == (Sign("purple", "content"),)
    assert found.login.copy == (("~/.mine/auth", ".mine/auth"),)
    assert found.limits.silence_s == 300.0


@pytest.mark.requirement("WFL-ADAPT-002")
def test_every_mistake_is_named_at_once() -> None:
    found = wrong("""
[adapter.Bad]
argv = ["bad", "{+modle}", "{nothing}", "{"]
stream = "xml"
dialects = ["chat", "morse"]
resume = ["bad", "{session}"]
surprise = 1
env = { "A-B" = "x", TOKEN = "sk-abcdefghijklmnopqrstuvwxyz" }
home = { HOME = "../up" }
files = { "/etc/passwd" = "x" }
login = { copy = { "/etc/shadow" = "x", "~/.ssh/id_rsa" = "x" } }
errors = [{ match = "(", kind = "auth" }, { match = "x", kind = "odd" }]
[adapter.Bad.end]
ok_lines = ["("]
message = [{ when = { a = 1.5 } }]
""")
    at = "/adapter/Bad"
    assert set(found) >= {
        at, f"{at}/argv", f"{at}/stream", f"{at}/dialects", f"{at}/resume", f"{at}/surprise",
        f"{at}/env/A-B", f"{at}/env/TOKEN", f"{at}/home/HOME", f"{at}/files/~1etc~1passwd",
        f"{at}/login/copy/~1etc~1shadow", f"{at}/login/copy/~0~1.ssh~1id_rsa", f"{at}/errors/0/match", f"{at}/errors/1",
        f"{at}/end/ok_lines", f"{at}/end/message/0/at", f"{at}/end/message/0/when/a",
    }  # fmt: skip
    assert "sk-abc" not in str(found)


@pytest.mark.requirement("WFL-ADAPT-010")
def test_adapter_without_a_sign_of_success_is_refused() -> None:
    found = wrong('[adapter.x]\nargv = ["x"]\nstream = "jsonl"\n')
    assert "exit status 0 alone proves no success" in found["/adapter/x/end"]


def test_arguments_without_a_place_are_refused() -> None:
    found = wrong(
        '[adapter.x]\nargv = ["x"]\nargs = { model = ["-m"] }\nend = { ok_lines = ["ok"] }\n'
    )
    assert found == {"/adapter/x/args": "adapter.x.args: model has no place: write {+model} into argv"}
