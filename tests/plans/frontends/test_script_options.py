"""What `task()` takes, what it stands for, and what is refused in which words."""

from typing import Any

import pytest

from wfledger.core.documents import TaskSpec
from wfledger.plans.frontends.script_options import OptionError, read
from wfledger.plans.frontends.scriptcalls import compiled


def spec_of(**options: Any) -> TaskSpec:
    return compiled(read(options))


@pytest.mark.requirement("WFL-FRONT-056")
@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"prompt": "p"}, {"prompt": "p", "agent_type": "general"}),
        ({"prompt": "p", "description": "d"}, {"prompt": "p"}),
        ({"title": "t"}, {"prompt": "t"}),
        ({"command": "true"}, {"command": "true"}),
        ({"command": ["a", "b c"]}, {"command": ("a", "b c")}),
        ({"prompt": "p", "type": "scout"}, {"agent_type": "explore"}),
        ({"prompt": "p", "subagent_type": "Reviewer"}, {"agent_type": "review"}),
        ({"prompt": "p", "role": " Builder "}, {"agent_type": "implementer", "plays": "builder"}),
        ({"prompt": "p", "profile": "Alpha-1"}, {"role": "alpha-1"}),
        ({"prompt": "p", "writeRoots": ["./src//", "src"], "exact_files": ["a\\b.txt"]},
         {"write": ("src", "a/b.txt")}),
        ({"prompt": "p", "write_authority": "worktree_write", "writeRoots": ["src"],
          "worktree": True}, {"write": ("src",)}),
        ({"prompt": "p", "coordinationContracts": ["api", "api"]}, {"contracts": ("api",)}),
        ({"prompt": "p", "allowedTools": ["read", "search"]}, {"tools": ("read", "search")}),
        ({"prompt": "p", "maxDepth": 2}, {"depth": 2}),
        ({"prompt": "p", "label": "L", "phase": "P"}, {"title": "P / L"}),
        ({"prompt": "p", "thinking": "inherit", "modelStrength": "same", "cwd": "."}, {}),
        ({"prompt": "p", "worktree": False, "workspacePolicy": "shared"}, {}),
        ({"prompt": "p", "model": None}, {}),
        ({"command": "true", "deliverables": ["out.txt"], "writeRoots": ["out.txt"]},
         {"deliverables": ("out.txt",)}),
    ],
)  # fmt: skip
def test_options_become_a_task(options: dict[str, Any], fields: dict[str, Any]) -> None:
    spec = spec_of(**options)
    assert {name: getattr(spec, name) for name in fields} == fields
    assert spec.on_failure == "skip_continue"


@pytest.mark.requirement("WFL-FRONT-056")
def test_limits_and_models_are_those_of_a_task() -> None:
    spec = spec_of(prompt="p", tokenBudget=500, maxSteps=4, wallTimeSecs=90, model="zhipu/glm")
    assert spec.budget is not None
    assert (spec.budget.tokens, spec.budget.steps) == (500, 4)
    assert spec.limits.wall_s == 90.0
    assert spec.model is not None
    assert spec.model.model == "zhipu/glm"


@pytest.mark.requirement("WFL-FRONT-057")
def test_what_is_to_be_known_and_fulfilled_stands_in_the_prompt() -> None:
    asked = read({
        "prompt": "p", "dependencies": ["A", "A"], "acceptance": ["tests pass"],
        "responseSchema": {"type": "object"},
    })  # fmt: skip
    prompt = asked.task["prompt"]
    assert prompt.startswith("p\n\n## What you rest on\n\n- A\n\n## It is done when\n\n- tests pass")
    assert '{"type": "object"}' in prompt


@pytest.mark.requirement("WFL-FRONT-056")
@pytest.mark.requirement("WFL-FRONT-058")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "a prompt"),
        ({"prompt": "  "}, "a prompt"),
        ({"prompt": "p", "responseschema": {}}, "unknown option `responseschema`"),
        ({"prompt": 1}, "prompt must be a text, not a number"),
        ({"prompt": "p", "maxSteps": "3"}, "maxSteps must be a whole number"),
        ({"prompt": "p", "maxSteps": 1.5}, "maxSteps must be a whole number"),
        ({"prompt": "p", "maxSteps": True}, "maxSteps must be a whole number"),
        ({"prompt": "p", "maxSteps": 0}, "at least 1"),
        ({"prompt": "p", "max_steps": 1, "maxSteps": 1}, "twice"),
        ({"prompt": "p", "wallTimeSecs": 0}, "wallTimeSecs"),
        ({"prompt": "p", "maxDepth": 99}, "maxDepth"),
        ({"prompt": "p", "cwd": "src"}, "cwd is not supported"),
        ({"prompt": "p", "thinking": "high"}, "thinking is not supported"),
        ({"prompt": "p", "modelStrength": "faster"}, "modelStrength is not supported"),
        ({"prompt": "p", "type": "tool"}, "type `tool` is none of"),
        ({"prompt": "p", "type": "implementer", "role": "reviewer"}, "contradict"),
        ({"prompt": "p", "profile": "two words"}, "one word"),
        ({"prompt": "p", "profile": "a=b"}, "one word"),
        ({"prompt": "p", "writeAuthority": "workspace_write"}, "says where"),
        ({"prompt": "p", "writeAuthority": "all", "writeRoots": ["a"]}, "writeAuthority is one of"),
        ({"prompt": "p", "writeAuthority": "read_only", "writeRoots": ["a"]}, "contradicts"),
        ({"prompt": "p", "type": "review", "writeRoots": ["a"]}, "only reads"),
        ({"prompt": "p", "writeRoots": ["."]}, "no bounded scope"),
        ({"prompt": "p", "writeRoots": ["/etc"]}, "below the repository"),
        ({"prompt": "p", "writeRoots": ["C:\\x"]}, "below the repository"),
        ({"prompt": "p", "writeRoots": ["a\nb"]}, "below the repository"),
        ({"prompt": "p", "exactFiles": ["a/../../b"]}, "leave the repository"),
        ({"prompt": "p", "exactFiles": ["a"] * 33}, "at most 32"),
        ({"prompt": "p", "acceptance": ["x" * 513]}, "1 to 512"),
        ({"prompt": "p", "dependencies": ["x"] * 9}, "at most 8"),
        ({"prompt": "p", "workspacePolicy": "cloud"}, "workspacePolicy"),
        ({"prompt": "p", "worktree": True, "workspace_policy": "shared"}, "contradicts"),
        ({"prompt": "p", "command": "true"}, "a command has no prompt"),
        ({"command": "true", "acceptance": ["x"]}, "a command has no prompt"),
        ({"command": []}, "command must be"),
        ({"prompt": "p", "returns": "all"}, "returns is one of"),
    ],
)  # fmt: skip
def test_other_options_are_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as refused:
        read(options)
    assert words in str(refused.value)


@pytest.mark.requirement("WFL-FRONT-059")
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"prompt": "p", "allowedTools": ["fly"]}, "parse_error"),
        ({"command": "true", "writeRoots": [".git"]}, "invalid_scope"),
        ({"command": "true", "model": "m"}, "contradictory_fields"),
        ({"command": "true", "verify": [{"kind": "regex"}]}, "contradictory_fields"),
    ],
)
def test_what_no_plan_may_hold_no_script_may_start(options: dict[str, Any], kind: str) -> None:
    with pytest.raises(OptionError) as refused:
        spec_of(**options)
    assert str(refused.value).startswith("task(): ")
    assert f"[{kind}]" in str(refused.value)
