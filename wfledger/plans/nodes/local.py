"""What is wrong with one node by itself, in the order of the original's first walk (WFL-NODE-010).

What only strict knows follows what the original knows of the same node.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wfledger.core.control import Condition
from wfledger.plans import conditions
from wfledger.plans.nodes.model import (
    Bounds,
    Chain,
    Cond,
    Expand,
    Group,
    Leaf,
    Loop,
    Node,
    Reduce,
    Review,
    kind_of,
)
from wfledger.plans.nodes.shapes import SHAPES
from wfledger.plans.problems import Findings, Problem, join, quote
from wfledger.plans.rules import report_unknown
from wfledger.plans.terms import contradictions, tool_contradictions
from wfledger.plans.words import is_blank
from wfledger.plans.writing import EVERYWHERE

#: What other shapes call the fields of this one.
OTHER_NAMES: Final[Mapping[str, str]] = {
    "write": "file_scope", "scope": "file_scope", "after": "depends_on_results",
    "depends_on": "depends_on_results", "timeout_s": "timeout", "provider": "model_policy",
    "max_concurrent": "concurrency", "until": "condition", "phases": "nodes",
}  # fmt: skip
_QUOTES: Final = frozenset("\"'`=")
#: The limits that may be given as zero in the original, by their names here.
_ZEROS: Final[Mapping[str, str]] = {
    "max_steps": "steps", "timeout_secs": "time_s", "max_tokens": "tokens",
    "max_parallel": "max_parallel",
}  # fmt: skip
#: Kind, message, pointer.
_Found = tuple[str, str, str]


def node_rules(
    node: Node, seen: set[str], said: Sequence[Problem], *, in_template: bool, findings: Findings
) -> None:
    """Report what is wrong with *node*.

    *seen* are the ids before it; *said* is what it asks for beyond what is around it. A node of a
    template that breaks a rule of the original is no error in lenient: the original never looks.
    """
    for kind, message, pointer in _original(node, seen):
        if in_template:
            findings.strictly(kind, message, pointer)
        else:
            findings.error(kind, message, pointer)
    seen.add(node.id)
    _late(node, in_template=in_template, findings=findings)
    report_unknown(
        node.unknown, SHAPES[kind_of(node)], pointer=node.pointer, label=node.label,
        others=OTHER_NAMES, findings=findings,
    )  # fmt: skip
    for problem in said:
        findings.strictly(problem.kind, problem.message, problem.pointer)
    found = []
    if isinstance(node, Leaf | Group | Reduce | Loop):
        found += zeros(node.budget, node.label)
    # What could not be read is missing where it belongs, and has been told.
    found += [] if findings.parse else _nothing(node)
    for kind, message, pointer in found:
        findings.strictly(kind, message, pointer)
    findings.extend(_ours(node))
    if isinstance(node, Loop) and node.max_iterations == 0:
        message = f"`max_iterations` of {node.label} is 0: it runs one round, as in the original"
        findings.warn("one_round", message, join(node.pointer, "max_iterations"))


def _late(node: Node, *, in_template: bool, findings: Findings) -> None:
    for problem in node.late:
        if in_template or problem.kind == "unknown_field":
            findings.strictly(problem.kind, problem.message, problem.pointer)
        else:
            findings.extend((problem,))


def _original(node: Node, seen: set[str]) -> list[_Found]:
    """Return what the original refuses, in its order."""
    found: list[_Found] = []
    where = join(node.pointer, "id")
    if is_blank(node.id):
        found.append(("empty_node_id", f"the id of a {kind_of(node)} is blank", where))
    elif node.id in seen:
        found.append(("duplicate_node_id", f"two nodes have the id {quote(node.id)}", where))
    if isinstance(node, Leaf) and node.prompt is not None and is_blank(node.prompt):
        message = f"the prompt of {node.label} is blank"
        found.append(("empty_leaf_prompt", message, join(node.pointer, "prompt")))
    if isinstance(node, Leaf | Reduce):
        for name, value in (("role", node.plays), ("profile", node.profile)):
            if value is not None and not _is_token(value):
                message = (
                    f"the {name} {quote(value)} of {node.label} is no name: "
                    "it has white space, quotes or `=`, or is empty"
                )
                found.append((f"invalid_leaf_{name}", message, join(node.pointer, name)))
    return found


def _is_token(value: str) -> bool:
    return bool(value) and not any(is_blank(c) or c in _QUOTES for c in value)


# --- what only strict refuses


def _nothing(node: Node) -> list[_Found]:
    """Return what of *node* needs something and holds nothing."""
    found: list[_Found] = []
    if isinstance(node, Group | Chain | Loop) and not node.children:
        message = f"{node.label} has no children"
        found.append(("empty_branch", message, join(node.pointer, "children")))
    if isinstance(node, Cond) and not node.then_nodes and not node.else_nodes:
        message = f"{node.label} has no nodes in either arm"
        found.append(("empty_branch", message, join(node.pointer, "then_nodes")))
    return found + [
        ("empty_field", f"{what} of {node.label} is {why}", join(node.pointer, name))
        for name, what, why in _empty(node)
    ]


def zeros(given: Bounds, label: str) -> list[_Found]:
    """Return the limits of a budget that are zero."""
    return [
        ("invalid_bound", f"`{name}` of {label} is 0; at least 1 is needed",
         join(given.pointer, name))
        for name, ours in _ZEROS.items() if name in given.names and getattr(given, ours) == 0
    ]  # fmt: skip


def _empty(node: Node) -> list[tuple[str, str, str]]:
    """Return the fields of *node* that need something and hold nothing."""
    found = []
    if isinstance(node, Reduce):
        if not node.inputs:
            found.append(("inputs", "the list `inputs`", "empty"))
        if node.is_neutral and not node.merge:
            found.append(("prompt", "the prompt", "blank (`merge: true` needs none)"))
    if isinstance(node, Review) and not node.candidates:
        found.append(("candidates", "the list `candidates`", "empty"))
    if isinstance(node, Loop | Cond) and _is_blank_question(node.condition):
        found.append(("condition", "the condition", "blank"))
    if isinstance(node, Expand) and is_blank(node.source):
        found.append(("source", "the source", "blank"))
    return found


def _is_blank_question(asked: Condition) -> bool:
    return asked.expression is not None and is_blank(asked.expression)


# --- what only wfledger has


def _ours(node: Node) -> list[Problem]:
    """Return what is wrong with fields that the original does not have, or gives no meaning."""
    if isinstance(node, Leaf):
        return [*_work(node), *_choice(node)]
    if isinstance(node, Reduce):
        return _reduce(node)
    if isinstance(node, Loop | Cond):
        return _expression(node, "condition", node.condition.expression)
    if isinstance(node, Expand):
        return _expression(node, "source", node.source)
    return []


def _work(node: Leaf) -> list[Problem]:
    # What it plays in its plan says nothing of who runs it: a command may play a part, too.
    found = contradictions(node.names - {"role"}, node.terms, node.pointer, node.label)
    scope = (node.file_scope or EVERYWHERE) if node.writes else ()
    found += tool_contradictions(node.terms, scope, node.pointer, node.label)
    if "tools" in node.names and node.permissions.allowed_tools:
        found.append(_clash(node, "tools", "has both `tools` and `allowed_tools`"))
    if "profile" in node.names and not node.terms.starts_agent:
        found.append(_clash(node, "profile", "has a profile, which is for prompts, and no prompt"))
    return found


def _choice(node: Leaf) -> list[Problem]:
    found = []
    if node.judge is not None and node.best_of is None:
        found.append(_clash(node, "judge", "has a judge and no `best_of`"))
    if node.best_of is not None and node.terms.manual:
        found.append(_clash(node, "best_of", "is done by people, once"))
    return found


def _reduce(node: Reduce) -> list[Problem]:
    asks = node.prompt is not None and not is_blank(node.prompt)
    # The original demands a prompt, so that an empty one beside a command says nothing.
    names = node.names - {"role"} - (frozenset() if asks else {"prompt"})
    found = contradictions(names, node.terms, node.pointer, node.label)
    found += tool_contradictions(node.terms, (), node.pointer, node.label)
    if node.merge and (asks or not node.terms.starts_agent):
        found.append(_clash(node, "merge", "only merges, and says how it is done besides"))
    return found


def _expression(node: Node, field: str, text: str | None) -> list[Problem]:
    if text is None or is_blank(text):
        return []
    why = conditions.problem(text)
    if why is None:
        return []
    message = f"the {field} of {node.label} {why}"
    return [Problem("invalid_expression", message, join(node.pointer, field))]


def _clash(node: Node, field: str, message: str) -> Problem:
    return Problem("contradictory_fields", f"{node.label} {message}", join(node.pointer, field))
