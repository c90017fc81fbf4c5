"""A supervisor of hundreds of attempts has descriptors for them."""

import resource
from collections.abc import Iterator

import pytest

from wfledger.run.processes.descriptors import allow_for


@pytest.fixture
def soft() -> Iterator[int]:
    """Have a soft limit of 256, as far below what many attempts need as the usual one is."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield 256
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("attempts", [1, 50, 300])
def test_soft_limit_is_raised_to_what_the_attempts_need_and_never_lowered(
    soft: int, attempts: int
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert allow_for(attempts) == min(attempts, max(1, (hard - 64) // 8))
    found = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found[1] == hard
    assert found[0] >= min(soft + (attempts - 24) * 5, hard)
    assert (found[0] == soft) is (attempts == 1)


def test_what_the_system_does_not_allow_is_no_failure(soft: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY:
        pytest.skip("everything is allowed here")
    assert allow_for(10**9) < 10**9
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits[0] == limits[1] > soft
