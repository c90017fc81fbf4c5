"""What each agent's own output says of its end: transcripts of real runs against a scripted server."""

from pathlib import Path
from typing import Any

import pytest

from wfledger.core.usage import Usage
from wfledger.run.agents.counting import counted, usage_of
from wfledger.run.agents.transcript import Transcript, read_transcript
from wfledger.run.agents.verdicts import final_text, problem_of, session_of, stuck_at
from wfledger.run.config.adapters import Adapter, Counting, Ends, Match, Pick, Sign, built_in
from wfledger.run.processes.process import Ended

HERE = Path(__file__).with_name("transcripts")
ADAPTERS = {adapter.name: adapter for adapter in built_in()}
#: Agent, what the server said, exit status, kind of trouble.
FAILED = [
    ("codex", "401", 1, "auth"), ("codex", "429", 1, "rate"), ("codex", "500", 1, "overload"),
    ("codex", "429-quota", 1, "quota"),
    ("claude", "401", 1, "auth"), ("claude", "429", 1, "rate"), ("claude", "500", 1, "overload"),
    ("claude", "429-quota", 1, "quota"),
    ("kimi-code", "401", 1, "auth"), ("kimi-code", "429", 1, "rate"),
    ("kimi-code", "500", 1, "overload"), ("kimi-code", "cut", 1, "transport"),
    ("opencode", "401", 1, "auth"),
    ("qwen-code", "401", 0, "auth"), ("qwen-code", "cut", 0, "transport"),
    ("mini-swe-agent", "401", 1, "auth"), ("mini-swe-agent", "429", 1, "rate"),
    ("mini-swe-agent", "500", 1, "overload"), ("mini-swe-agent", "429-quota", 1, "quota"),
    ("aider", "401", 0, "auth"), ("aider", "500", 0, "overload"),
]  # fmt: skip
#: Agent, tokens of the prompts and of the answers.
SUCCEEDED: list[tuple[str, int | None, int | None]] = [
    ("codex", 200, 40), ("claude", 200, 40), ("kimi-code", None, None), ("opencode", 200, 40),
    ("qwen-code", 200, 40), ("mini-swe-agent", 200, 40), ("aider", None, None),
]  # fmt: skip
PLAIN = Adapter(
    "plain", ("plain",), stream="jsonl",
    ends=Ends(
        ok=(Match((("type", ("end",)), ("good", (True,)))),),
        failed=(Match((("type", ("end", "error")),)),),
        message=(Pick("error.message"),), text=(Pick("text"),), session=(Pick("id"),),
    ),
    signs=(Sign("purple", "content"),),
)  # fmt: skip


def read(adapter: Adapter, path: Path) -> Transcript:
    file = path if adapter.stream == "file" else None
    log = path if file is None else path.with_name("none")
    return read_transcript(adapter, log, file, ())


def transcript(name: str, case: str) -> tuple[Adapter, Transcript]:
    adapter = ADAPTERS[name]
    return adapter, read(adapter, HERE / f"{name}.{case}.log")


def exited(status: int) -> Ended:
    return Ended(status, None, "exited", f"exit status {status}", 1.0, 0, truncated=False)


def said(tmp_path: Path, *lines: str, adapter: Adapter = PLAIN) -> Transcript:
    path = tmp_path / "log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return read(adapter, path)


@pytest.mark.requirement("WFL-ADAPT-012")
@pytest.mark.parametrize(("name", "case", "status", "kind"), FAILED)
def test_failure_of_every_agent_is_known_by_its_kind(
    name: str, case: str, status: int, kind: str
) -> None:
    adapter, found = transcript(name, case)
    problem = problem_of(adapter, found, exited(status))
    assert problem is not None
    assert problem.kind == kind, problem.message
    assert problem.message


@pytest.mark.requirement("WFL-ADAPT-010")
@pytest.mark.requirement("WFL-ADAPT-015")
@pytest.mark.parametrize(("name", "prompt", "answer"), SUCCEEDED)
def test_success_of_every_agent_is_known_with_what_it_used(
    name: str, prompt: int | None, answer: int | None
) -> None:
    adapter, found = transcript(name, "play")
    assert problem_of(adapter, found, exited(0)) is None
    usage = usage_of(adapter.usage, [counted(adapter.usage, found.events)])
    assert (usage.input, usage.output) == (prompt, answer)
    assert (usage.source == "unknown") == (answer is None)


@pytest.mark.parametrize(("name", "prompt", "answer"), SUCCEEDED)
def test_another_exit_status_makes_a_failure_of_every_success(
    name: str, prompt: int | None, answer: int | None
) -> None:
    adapter, found = transcript(name, "play")
    problem = problem_of(adapter, found, exited(1))
    assert problem is not None
    assert problem.kind is None


@pytest.mark.parametrize("name", ["codex", "claude", "opencode", "qwen-code"])
def test_session_and_last_words_are_found(name: str) -> None:
    adapter, found = transcript(name, "play")
    assert session_of(adapter, found.events)
    assert final_text(adapter, found) == "Done."


@pytest.mark.requirement("WFL-ADAPT-010")
def test_exit_without_a_last_word_is_no_success(tmp_path: Path) -> None:
    found = said(tmp_path, '{"type": "work"}', "Segmentation fault")
    problem = problem_of(PLAIN, found, exited(0))
    assert problem is not None
    assert problem.kind is None
    assert problem.message.startswith("it ended without saying that it was finished")
    assert "Segmentation fault" in problem.message


@pytest.mark.requirement("WFL-ADAPT-011")
def test_words_of_a_model_decide_nothing(tmp_path: Path) -> None:
    told = '{"type": "message", "text": "HTTP 401 Unauthorized: your purple quota exceeded"}'
    assert problem_of(PLAIN, said(tmp_path, told, '{"type": "end", "good": true}'), exited(0)) is None
    problem = problem_of(PLAIN, said(tmp_path, told, "it broke"), exited(1))
    assert problem is not None
    assert problem.kind is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("a purple thing", "content"), ("HTTP 402 Payment Required", "quota"),
        ("status: 503", "overload"), ("connect ECONNREFUSED 127.0.0.1:1", "transport"),
        ("Cannot connect to API: The socket connection was closed unexpectedly.", "transport"),
        ("Not logged in · Please run /login", "auth"), ("no idea", None),
        ("assertion failed in line 401 of test.py", None),
        ("You've hit your usage limit · resets 3pm", "quota"),
    ],
)  # fmt: skip
def test_error_is_classed_by_the_agents_own_signs_and_then_by_all(
    message: str, kind: str | None, tmp_path: Path
) -> None:
    found = said(tmp_path, f'{{"type": "error", "error": {{"message": "{message}"}}}}')
    problem = problem_of(PLAIN, found, exited(0))
    assert problem is not None
    assert problem.kind == kind


def test_last_terminal_event_decides(tmp_path: Path) -> None:
    broken, good = '{"type": "error"}', '{"type": "end", "good": true}'
    assert problem_of(PLAIN, said(tmp_path, broken, good), exited(0)) is None
    assert problem_of(PLAIN, said(tmp_path, good, broken), exited(0)) is not None


def test_waiting_time_of_a_rate_limit_is_read(tmp_path: Path) -> None:
    found = said(tmp_path, '{"type": "error", "error": {"message": "429, try again in 7.5s"}}')
    problem = problem_of(PLAIN, found, exited(1))
    assert problem is not None
    assert (problem.kind, problem.retry_after_s) == ("rate", 7.5)


@pytest.mark.parametrize("noise", ["", "Reading from stdin", '{"half": ', "[1, 2", "{", "\x1b[2J"])
def test_events_are_read_among_anything(noise: str, tmp_path: Path) -> None:
    found = said(tmp_path, noise, '{"type": "work", "id": "s1"}', noise, '{"type": "end", "good": true}', noise)
    assert [event["type"] for event in found.events] == ["work", "end"]
    assert session_of(PLAIN, found.events) == "s1"


def test_dropped_middle_costs_its_events_alone(tmp_path: Path) -> None:
    found = said(
        tmp_path, '{"type": "work", "id": "s1"}', '{"type": "wo',
        "[wfledger:             1000 bytes of output were dropped here]",
        'rk"}', '{"type": "end", "good": true}',
    )  # fmt: skip
    assert problem_of(PLAIN, found, exited(0)) is None
    assert session_of(PLAIN, found.events) == "s1"


@pytest.mark.parametrize("stream", ["json", "array"])
def test_one_value_over_many_lines_is_read(stream: Any, tmp_path: Path) -> None:
    end = '{\n  "type": "end",\n  "good": true\n}'
    adapter = Adapter("x", ("x",), stream=stream, ends=PLAIN.ends)
    text = end if stream == "json" else f'[{{"type": "work"}},\n{end}\n]'
    assert problem_of(adapter, said(tmp_path, "starts", text, adapter=adapter), exited(0)) is None


@pytest.mark.parametrize("session", ["--yolo", "a b", "", "x" * 300, "../../etc"])
def test_what_is_no_id_is_no_session(session: str, tmp_path: Path) -> None:
    assert session_of(PLAIN, ({"id": session},)) is None


@pytest.mark.requirement("WFL-ADAPT-015")
def test_usage_of_resumed_sessions_adds_up_and_unknown_stays_unknown() -> None:
    adding = Counting(paths=(("input", "i"),), input_includes=("cache_read",))
    assert usage_of(adding, [{"input": 5, "cache_read": 2}, {"input": 4}]) == Usage(
        input=7, cache_read=2, source="agent"
    )
    assert usage_of(adding, [{}, {}]) == Usage(source="unknown")
    all_told = Counting(is_cumulative=True)
    assert usage_of(all_told, [{"input": 5}, {"input": 9}, {}]).input == 9
    assert usage_of(adding, [{"usd": 0, "input": 1}]).cost_usd is None
    assert usage_of(adding, [{"usd": 0.5}]).cost_usd == 0.5


def silent() -> Ended:
    return Ended(None, 15, "silence", "no output for 9 s", 9.0, 0, truncated=False)


@pytest.mark.requirement("WFL-ADAPT-016")
def test_agent_that_tries_again_for_ever_has_died_of_what_it_said_last(tmp_path: Path) -> None:
    broken = '{"type": "error", "error": {"message": "Reconnecting (connection refused)"}}'
    problem = stuck_at(PLAIN, said(tmp_path, broken), silent())
    assert problem is not None
    assert problem.kind == "transport"
    assert "no output for 9 s" in problem.message
    assert stuck_at(PLAIN, said(tmp_path, broken, '{"type": "work"}'), silent()) is None
    assert stuck_at(PLAIN, said(tmp_path, '{"type": "work"}'), silent()) is None
    adapter, found = transcript("aider", "500")
    told = stuck_at(adapter, found, silent())
    assert told is not None
    assert told.kind == "overload"
