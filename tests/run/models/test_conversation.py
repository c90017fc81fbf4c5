"""Conversations with a scripted server, through the real client: how each of them ends."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import KEY, calls, hold, profile, submits, told
from tests.support.rehearsals import Rehearse
from wfledger.clock import SystemClock
from wfledger.core.usage import Budget
from wfledger.run.models.allowance import Allowance
from wfledger.run.models.metering import Meter
from wfledger.run.models.transcript import Transcript
from wfledger.run.rehearsal.script import FAILURES, Answer, Call, Failure, Script

WRITES = calls("write", path="src/a.py", content="a = 1\n")
SAYS = Answer("I am done, I believe.")

pytestmark = pytest.mark.long


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    return root


@pytest.mark.requirement("WFL-MODEL-020")
def test_it_ends_with_a_result(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(WRITES, submits(outputs={"n": 1}))
    held = hold(server, root)
    assert held.finished.result is not None
    assert held.finished.result.outputs == {"n": 1}
    assert (root / "src/a.py").read_text() == "a = 1\n"
    assert (held.meter.steps, held.meter.tokens) == (2, 240)


@pytest.mark.requirement("WFL-MODEL-021")
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": "perhaps"}, "status"),
        ({"summary": ""}, "summary is empty"),
        ({"status": "blocked", "open_questions": []}, "open_questions"),
        ({"confidence": "high"}, "confidence"),
    ],
)
def test_a_result_that_is_not_valid_is_mended(
    fields: dict[str, Any], word: str, root: Path, rehearse: Rehearse
) -> None:
    server = rehearse(WRITES, submits(**fields), submits())
    held = hold(server, root)
    assert held.finished.result is not None
    assert word in told(server)[-1]["content"]


@pytest.mark.requirement("WFL-MODEL-020")
def test_nothing_done_is_no_success(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(submits(), submits(status="no_change", summary="It was right already."))
    held = hold(server, root)
    assert held.finished.result is not None
    assert held.finished.result.status == "no_change"
    assert "you changed nothing" in told(server)[-1]["content"]


@pytest.mark.requirement("WFL-MODEL-021")
def test_a_result_that_is_never_valid_fails_the_task(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=submits(status="perhaps")))
    held = hold(server, root)
    assert held.finished.failure_class == "task"
    assert "not valid after 3 repairs" in held.finished.message
    assert server.count() == 4


@pytest.mark.requirement("WFL-MODEL-022")
def test_a_result_may_stand_in_the_text(root: Path, rehearse: Rehearse) -> None:
    envelope = json.dumps({"status": "succeeded", "summary": "Found it."})
    server = rehearse(Answer(f"So:\n```json\n{envelope}\n```\n"))
    held = hold(server, root, write=())
    assert held.finished.result is not None
    assert held.finished.result.summary == "Found it."


@pytest.mark.requirement("WFL-MODEL-022")
@pytest.mark.parametrize("said", [SAYS, Answer("")], ids=["text", "empty"])
def test_a_model_that_stops_is_asked_and_then_has_failed(
    said: Answer, root: Path, rehearse: Rehearse
) -> None:
    server = rehearse(script=Script(after=said))
    held = hold(server, root)
    assert held.finished.failure_class == "task"
    assert held.finished.message == "the model stopped without a result"
    assert server.count() == 4
    assert "submit_result" in told(server)[-1]["content"]


def test_a_model_that_stops_may_go_on(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(SAYS, WRITES, SAYS, SAYS, SAYS, submits())
    assert hold(server, root).finished.result is not None


def test_an_answer_that_was_cut_off_goes_on_in_pieces(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(Answer("This is lo", finish="length"), WRITES, submits())
    assert hold(server, root).finished.result is not None
    assert "cut off" in told(server, 1)[-1]["content"]


@pytest.mark.requirement("WFL-MODEL-023")
def test_calls_that_are_broken_are_answered_one_by_one(root: Path, rehearse: Rehearse) -> None:
    broken = Answer(calls=(
        Call("write", '{"path": "src/a.py", "content": '),
        Call("write", json.dumps(json.dumps({"path": "src/b.py", "content": "b\n"}))),
        Call("list", ""),
        Call("nothing", {}),
    ), reasoning="x")  # fmt: skip
    server = rehearse(broken, submits())
    held = hold(server, root)
    assert held.finished.result is not None
    answers = [one["content"] for one in told(server, 1) if one["role"] == "tool"]
    assert answers[0].startswith("error: the arguments are not JSON")
    assert answers[1:3] == ["wrote src/b.py, 2 bytes", "src/"]
    assert answers[3].startswith("error: there is no tool 'nothing'")


@pytest.mark.requirement("WFL-MODEL-023")
def test_a_server_that_reads_earlier_arguments_gets_some(root: Path, rehearse: Rehearse) -> None:
    broken = Answer(calls=(Call("write", '{"path": '), Call("list", {})), reasoning="x")
    server = rehearse(broken, FAILURES["400"], WRITES, submits())
    assert hold(server, root).finished.result is not None
    found = [[call["function"]["arguments"] for call in told(server, at)[2]["tool_calls"]]
             for at in (1, 2, 3)]  # fmt: skip
    assert found == [['{"path": ', "{}"], ["{}", "{}"], ["{}", "{}"]]


@pytest.mark.requirement("WFL-MODEL-024")
def test_a_conversation_that_is_too_long_goes_on_without_older_outputs(
    root: Path, rehearse: Rehearse
) -> None:
    (root / "src/long").write_text("long " * 1000)
    reads = [calls("read", path="src/long")] * 6
    server = rehearse(*reads, FAILURES["400-context"], WRITES, submits())
    held = hold(server, root)
    assert held.finished.result is not None
    outputs = [one["content"] for one in told(server, 7) if one["role"] == "tool"]
    assert [output.startswith("(left out") for output in outputs] == [True, True] + [False] * 4
    kept = [json.loads(line) for line in held.transcript.read_text().splitlines()]
    assert "left out" not in json.dumps(kept), "the transcript is whole"


@pytest.mark.requirement("WFL-MODEL-012")
@pytest.mark.parametrize("failure", ["429", "500", "cut", "no-choices", "garbage", "error-in-200"])
def test_what_passes_is_asked_again(failure: str, root: Path, rehearse: Rehearse) -> None:
    server = rehearse(WRITES, FAILURES[failure], FAILURES[failure], submits())
    held = hold(server, root)
    assert held.finished.result is not None
    assert server.count() == 4
    assert told(server, 1) == told(server, 2) == told(server, 3)
    assert len(held.troubles) == 1, "the provider learns of it once"
    assert any("asks again in" in said for said in held.said)


@pytest.mark.requirement("WFL-MODEL-012")
def test_a_provider_is_waited_for_as_it_asks(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(Failure(429, "Wait.", retry_after=0.3), WRITES, submits())
    clock = SystemClock()
    began = clock.elapsed()
    assert hold(server, root).finished.result is not None
    assert clock.elapsed() - began >= 0.3


@pytest.mark.requirement("WFL-MODEL-012")
@pytest.mark.requirement("WFL-MODEL-013")
@pytest.mark.parametrize(("failure", "count"), [("429", 10), ("503", 5)])
def test_what_does_not_pass_ends_as_transport(
    failure: str, count: int, root: Path, rehearse: Rehearse
) -> None:
    server = rehearse(script=Script(after=FAILURES[failure]))
    held = hold(server, root)
    assert held.finished.failure_class == "transport"
    assert held.finished.refused is not None
    assert server.count() == count


@pytest.mark.requirement("WFL-MODEL-012")
def test_nobody_waits_longer_than_the_attempt_may_last(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=Failure(429, "Wait.", retry_after=600)))
    now = SystemClock().now()
    held = hold(server, root, deadline=now + timedelta(seconds=60))
    assert held.finished.failure_class == "transport"
    assert "would have to wait 600 s" in held.finished.message
    assert server.count() == 1


@pytest.mark.requirement("WFL-MODEL-010")
@pytest.mark.parametrize(
    ("failure", "kind"),
    [("401", "auth"), ("402", "quota"), ("403-quota", "quota"), ("429-quota", "quota"),
     ("400", "request"), ("400-context", "request"), ("content-filter", "content")],
)
def test_what_is_final_ends_at_once_with_its_class(
    failure: str, kind: str, root: Path, rehearse: Rehearse
) -> None:
    server = rehearse(WRITES, FAILURES[failure])
    held = hold(server, root)
    assert held.finished.failure_class == kind
    assert held.finished.refused is not None
    assert server.count() == 2
    assert (root / "src/a.py").exists(), "what was written is kept"


@pytest.mark.requirement("WFL-MODEL-040")
@pytest.mark.requirement("WFL-MODEL-041")
@pytest.mark.parametrize(
    ("budget", "answers"),
    # An answer of the script has 120 tokens, and costs $0.0002112 of DeepSeek's.
    [({"steps": 5}, 5), ({"tokens": 500}, 5), ({"usd": 0.001}, 5)],
)
def test_a_budget_ends_it_after_a_word_of_warning(
    budget: dict[str, Any], answers: int, root: Path, rehearse: Rehearse
) -> None:
    server = rehearse(script=Script(after=WRITES))
    held = hold(server, root, budget=budget)
    assert held.finished.failure_class == "budget"
    assert next(iter(budget)).replace("usd", "dollars") in held.finished.message
    assert server.count() == held.meter.steps == answers
    warnings = [one for one in told(server) if "almost used up" in str(one["content"])]
    assert len(warnings) == 1
    assert (root / "src/a.py").exists()


@pytest.mark.requirement("WFL-MODEL-040")
def test_time_ends_it_before_the_runtime_does(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=WRITES))
    now = SystemClock().now()
    held = hold(server, root, deadline=now + timedelta(seconds=1))
    assert (held.finished.failure_class, server.count()) == ("budget", 0)


@pytest.mark.requirement("WFL-MODEL-040")
def test_money_without_a_price_is_not_counted(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(WRITES, WRITES, submits())
    held = hold(server, root, budget={"usd": 0.000001}, used=profile("vllm"))
    assert held.finished.result is not None
    assert held.meter.report().cost_usd is None


def test_what_others_spend_is_looked_at_again_after_a_wait(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=FAILURES["429"]))
    held = hold(server, root, caps=lambda: "used up" if server.count() > 1 else None)
    assert (held.finished.failure_class, server.count()) == ("budget", 2)


def test_others_may_say_that_nothing_more_is_spent(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(script=Script(after=WRITES))
    held = hold(server, root, caps=lambda: "the run's budget is used up" if server.count() else None)
    assert (held.finished.failure_class, server.count()) == ("budget", 1)
    assert held.finished.message == "the run's budget is used up"


@pytest.mark.requirement("WFL-MODEL-041")
def test_a_full_context_is_a_reason_to_come_to_an_end(root: Path, rehearse: Rehearse) -> None:
    server = rehearse(WRITES, WRITES, submits())
    hold(server, root, context=120)
    assert "fills 100 of 120 tokens" in str(told(server))


@pytest.mark.requirement("WFL-MODEL-035")
@pytest.mark.requirement("WFL-MODEL-051")
def test_secrets_are_blotted_out_of_what_is_sent_and_kept(root: Path, rehearse: Rehearse) -> None:
    (root / "src/env").write_text(f"KEY={KEY}\nTOKEN=sk-{'a' * 30}\n")
    server = rehearse(calls("read", path="src/env"), submits(summary=f"It is {KEY}."))
    held = hold(server, root, write=())
    assert "[redacted]" in told(server)[-1]["content"]
    sent = json.dumps([one.body for one in server.asked])
    kept = held.transcript.read_text()
    for text in (sent, kept):
        assert KEY not in text
        assert "sk-aaaa" not in text
    assert held.transcript.stat().st_mode & 0o777 == 0o600


@pytest.mark.requirement("WFL-MODEL-013")
def test_a_transcript_is_a_conversation_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    transcript = Transcript(path, (), SystemClock())
    transcript.begin(anew=True)
    call = {"id": "c1", "type": "function", "function": {"name": "list", "arguments": "{}"}}
    other = {**call, "id": "c2"}
    messages = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": [call, other]},
        {"role": "tool", "tool_call_id": "c1", "content": "a"},
    ]
    for message in messages:
        transcript.message(message)
    transcript.note("refused", message="x")
    with path.open("a") as file:
        file.write('{"kind": "message", "mess')
    again = Transcript(path, (), SystemClock())
    again.begin(anew=False)
    found = again.messages()
    assert found[:3] == messages
    assert (found[3]["tool_call_id"], len(found)) == ("c2", 4)
    assert "is not known" in found[3]["content"]
    again.message({"role": "user", "content": "more"})
    assert again.messages()[-1] == {"role": "user", "content": "more"}
    again.begin(anew=True)
    assert again.messages() == []


def test_an_allowance_without_bounds_still_ends() -> None:
    clock = SystemClock()
    allowance = Allowance(Budget(), clock, clock.now())
    assert allowance.over(Meter()) is None
    assert allowance.seconds_left() == float("inf")
