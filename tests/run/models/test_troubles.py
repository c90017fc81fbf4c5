"""Which class a provider's error is of, and how long it asks to wait."""

from datetime import UTC, datetime

import pytest

from tests.support.models import profile
from wfledger.run.models.troubles import Said, classify, inside_200, retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.requirement("WFL-MODEL-010")
@pytest.mark.parametrize(
    ("name", "status", "said", "kind"),
    [
        ("deepseek", 401, Said(), "auth"),
        ("deepseek", 402, Said(message="Insufficient Balance"), "quota"),
        ("deepseek", 403, Said(message="forbidden"), "auth"),
        ("moonshot", 403, Said(message="You've reached your usage limit"), "quota"),
        ("deepseek", 429, Said(message="slow down"), "rate"),
        ("openai", 429, Said(code="insufficient_quota"), "quota"),
        ("moonshot", 429, Said(type="exceeded_current_quota_error"), "quota"),
        ("moonshot", 429, Said(type="engine_overloaded_error"), "overload"),
        ("zhipu", 429, Said(code="1113"), "quota"),
        ("zhipu", 429, Said(code="1302"), "rate"),
        ("zhipu", 429, Said(code="1305"), "overload"),
        ("zhipu", 400, Said(code="1301"), "content"),
        ("zhipu", 429, Said(message="wait 1113 ms"), "rate"),
        ("minimax", None, Said(code="2049"), "auth"),
        ("minimax", None, Said(code="1008"), "quota"),
        ("deepseek", 400, Said(message="bad"), "request"),
        ("deepseek", 422, Said(), "request"),
        ("deepseek", 404, Said(), "request"),
        ("deepseek", 500, Said(message="usage limit of the pool"), "overload"),
        ("deepseek", 529, Said(), "overload"),
        ("deepseek", 408, Said(), "overload"),
        ("vllm", None, Said(code="400", message="too long"), "request"),
        ("vllm", None, Said(type="authentication_error"), "auth"),
        ("vllm", None, Said(message="something"), "overload"),
    ],
)
def test_errors_have_a_class(name: str, status: int | None, said: Said, kind: str) -> None:
    assert classify(profile(name), status, said) == kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_provider_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.requirement("WFL-MODEL-011")
def test_an_answer_may_be_an_error() -> None:
    minimax = profile("minimax")
    fine = {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}}
    assert inside_200(minimax, fine) is None
    refused = inside_200(minimax, {"base_resp": {"status_code": 1002, "status_msg": "rate"}})
    assert refused is not None
    assert (refused.kind, refused.message) == ("rate", "rate (1002)")
    told = inside_200(profile(), {"error": {"message": "no", "code": "invalid_api_key"}})
    assert told is not None
    assert (told.kind, told.message) == ("auth", "no")
