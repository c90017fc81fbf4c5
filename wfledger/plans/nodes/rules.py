"""The rules of the node shape, in the order of the original (WFL-NODE-010)."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from wfledger.core import bounds, scopes
from wfledger.core.control import Promotion
from wfledger.errors import InvalidPatternError
from wfledger.plans import conditions, fields
from wfledger.plans.nodes import narrowing, references
from wfledger.plans.nodes.cleaning import without
from wfledger.plans.nodes.local import OTHER_NAMES, node_rules, zeros
from wfledger.plans.nodes.model import DEPTH, Group, Leaf, Node, Permissions, Review, SpecDoc, walk
from wfledger.plans.nodes.narrowing import Allowed, Around, Narrowed
from wfledger.plans.nodes.references import Edge, Flow, Reference
from wfledger.plans.nodes.scoping import Scoping
from wfledger.plans.nodes.shapes import GATE, SPEC
from wfledger.plans.nodes.tree import ROOT, Tree
from wfledger.plans.problems import Findings, Problem, join, quote
from wfledger.plans.rules import report_late, report_unknown
from wfledger.plans.words import is_blank


@dataclass(frozen=True)
class Resolved:
    """A document that was judged, and what its nodes may do."""

    #: In lenient without the references that can never be followed.
    doc: SpecDoc
    narrowed: Narrowed


def resolve(
    doc: SpecDoc, findings: Findings, *, around: Around | None = None,
    outer: Collection[str] = (), chained: bool = False,
) -> Resolved | None:  # fmt: skip
    """Apply every rule; None where what was found leaves nothing to compile.

    For nodes that a controller starts: what is *around* them, the names *outer* of nodes outside,
    and whether they are *chained*, one after the other as declared.
    """
    tree = Tree(doc.nodes)
    plan, said = narrowing.of_plan(doc) if around is None else (around, [])
    _document_rules(doc, said, findings)
    count = sum(not tree.is_deferred(number) for number in range(len(tree.nodes)))
    if count > bounds.RUN_TASKS:
        message = f"the plan has {count} nodes; a run has at most {bounds.RUN_TASKS} tasks"
        findings.error("too_many_tasks", message, "/nodes")
        return None
    if _too_deep(tree, findings):
        return None
    narrowed = narrowing.narrow(tree, plan)
    _declaration_rules(tree, narrowed, findings)
    if findings.parse:
        return None
    scoping = Scoping(tree, narrowed, findings, doc.promotion)
    dropped = _Second(tree, scoping, findings, outer=frozenset(outer), chained=chained).walk()
    findings.warnings.extend(narrowing.not_enforced(doc, tree, narrowed))
    clean = without(doc, tree, dropped)
    if clean is not doc:
        tree = Tree(clean.nodes)
        narrowed = narrowing.narrow(tree, plan)
    allowed: dict[Node, Allowed] = {
        node: replace(granted, write=scoping.scopes[number].write)
        for number, node in enumerate(tree.nodes)
        if (granted := narrowed.allowed.get(node)) is not None and isinstance(node, Leaf)
    }
    return Resolved(clean, replace(narrowed, allowed={**narrowed.allowed, **allowed}))


def _too_deep(tree: Tree, findings: Findings) -> bool:
    """Report a node inside of too many others; return whether there is one."""
    deepest = max(tree.depth, default=0)
    if deepest <= DEPTH:
        return False
    node = tree.nodes[tree.depth.index(deepest)]
    message = f"{node.label} is inside of {deepest} other nodes; at most {DEPTH} are allowed"
    findings.error("nested_too_deep", message, node.place)
    return True


# --- the document


def _document_rules(doc: SpecDoc, said: list[Problem], findings: Findings) -> None:
    """Report what is wrong with the document: the original looks at none of it."""
    if is_blank(doc.goal):
        findings.strictly("empty_field", "the `goal` of the plan is blank", "/goal")
    if not doc.nodes and not findings.parse:
        findings.strictly("empty_workflow", "the plan has no nodes", "/nodes")
    report_late(doc.late, findings)
    report_unknown(
        doc.unknown, SPEC, pointer="", label="the plan", others=OTHER_NAMES, findings=findings
    )
    for kind, message, pointer in zeros(doc.budget, "the plan"):
        findings.strictly(kind, message, pointer)
    for problem in said:
        findings.strictly(problem.kind, problem.message, problem.pointer)
    _pattern_rules(doc.permissions, "the plan", findings)
    _gate_rules(doc, findings)
    if any(isinstance(node, Review) for node in walk(doc.nodes)):
        return
    if doc.promotion.require_teacher_review:
        message = "`promotion_policy` demands a teacher review, and no node is one"
        findings.warn("not_enforced", message, "/promotion_policy/require_teacher_review")
    elif doc.promotion != Promotion():
        message = "`promotion_policy` promotes nothing: no node is a teacher_review"
        findings.warn("not_enforced", message, "/promotion_policy")


def _pattern_rules(given: Permissions, label: str, findings: Findings) -> None:
    """Report patterns outside the grammar in what is around leaves."""
    for place, text in enumerate(given.file_scope):
        try:
            scopes.parse(text)
        except InvalidPatternError as error:
            message = f"the permissions of {label}: {error.message}"
            where = join(given.pointer, "file_scope", place)
            findings.strictly("invalid_scope", message, where)


def _gate_rules(doc: SpecDoc, findings: Findings) -> None:
    played = {node.plays for node in walk(doc.nodes) if isinstance(node, Leaf)}
    seen: set[str] = set()
    for gate in doc.gates:
        for name, value in (("id", gate.id), ("role", gate.role)):
            if is_blank(value):
                message = f"`{name}` of {gate.label} is blank"
                findings.strictly("empty_field", message, join(gate.pointer, name))
        if gate.id in seen:
            message = f"two gates have the id {quote(gate.id)}"
            findings.strictly("duplicate_gate", message, join(gate.pointer, "id"))
        seen.add(gate.id)
        report_late(gate.late, findings)
        report_unknown(
            gate.unknown, GATE, pointer=gate.pointer, label=gate.label, others={},
            findings=findings,
        )  # fmt: skip
        if gate.blocks_role == gate.role:
            message = f"{gate.label} holds back the role that it waits for"
            where = join(gate.pointer, "blocks_role")
            findings.strictly("contradictory_fields", message, where)
        for name, role in (("role", gate.role), ("blocks_role", gate.blocks_role)):
            if role is not None and role not in played:
                message = f"no leaf plays {quote(role)}, the `{name}` of {gate.label}"
                findings.warn("unresolved_name", message, join(gate.pointer, name))


# --- first walk


def _declaration_rules(tree: Tree, narrowed: Narrowed, findings: Findings) -> None:
    seen: set[str] = set()
    for number, node in enumerate(tree.nodes):
        said = narrowed.problems.get(node, ())
        in_template = tree.template[number] != ROOT
        node_rules(node, seen, said, in_template=in_template, findings=findings)
        if isinstance(node, Group):
            _pattern_rules(node.permissions, node.label, findings)


# --- second walk


class _Second:
    """The second walk: references, scopes, and then circles."""

    def __init__(
        self, tree: Tree, scoping: Scoping, findings: Findings, *, outer: frozenset[str],
        chained: bool,
    ) -> None:  # fmt: skip
        self._tree = tree
        self._scoping = scoping
        self._findings = findings
        self._outer = outer
        self._chained = chained
        self._edges: list[Edge] = []
        #: References that can never be followed.
        self._dropped: list[Reference] = []

    def walk(self) -> list[Reference]:
        """Report everything, and return the references that can never be followed."""
        for number, node in enumerate(self._tree.nodes):
            self._scoping.leave(number)
            for reference in references.listed(self._tree, number):
                self._listed(reference)
            self._asked(number, node)
            self._scoping.enter(number)
        self._scoping.leave(len(self._tree.nodes))
        self._circles()
        return self._dropped

    def _listed(self, reference: Reference) -> None:
        to = self._tree.ids.get(reference.name)
        if to is None and reference.name in self._outer:
            return
        label = self._tree.nodes[reference.by].label
        names = f"{label} names {quote(reference.name)} in `{reference.field}`"
        if to is None or not self._tree.is_visible(to, to=reference.by):
            message = f"{names}, which is no node of this plan{self._meant(reference.name, to)}"
            if self._tree.template[reference.by] != ROOT:
                self._findings.strictly("unknown_node_reference", message, reference.pointer)
            else:
                self._findings.error("unknown_node_reference", message, reference.pointer)
            return
        why = references.why_never(self._tree, reference.by, to, chained=self._chained)
        if why is None:
            self._edges.append(Edge(reference, to))
            return
        if self._findings.lenient and references.is_beside(self._tree, reference.by, to):
            self._edges.append(Edge(reference, to))
            message = f"{names}, which is {why}: it waits for it all the same"
            self._findings.warn("added_edge", message, reference.pointer)
            return
        message = f"{names}, which is {why}: its result is never there in time"
        self._findings.strictly("unavailable_result", message, reference.pointer)
        self._dropped.append(reference)

    def _meant(self, name: str, to: int | None) -> str:
        if to is None:
            return fields.did_you_mean(name, self._tree.ids, {})
        around = self._tree.nodes[self._tree.template[to]]
        return f" but part of the template of {around.label}; name {quote(around.id)} instead"

    def _asked(self, number: int, node: Node) -> None:
        """Report what the question of a controller names."""
        asked = references.question_of(node)
        if asked is None or conditions.problem(asked[1]) is not None:
            return
        field, text = asked
        for reference in references.named_in(node, field, text, number):
            to = self._tree.ids.get(reference.name)
            seen = to is not None and self._tree.is_visible(to, to=number)
            if to is None or not seen:
                if reference.name not in self._outer:
                    self._unresolved(node, reference)
                continue
            why = references.why_never(self._tree, number, to, chained=self._chained)
            if why is None:
                self._edges.append(Edge(reference, to))
            elif references.is_bare(text, reference.name) and number <= to < self._tree.end[number]:
                # A word that happens to be its own name, or that of a node inside it.
                self._unresolved(node, reference)
            else:
                message = f"the {field} of {node.label} names {quote(reference.name)}, {why}"
                self._findings.strictly("unavailable_result", message, reference.pointer)

    def _unresolved(self, node: Node, reference: Reference) -> None:
        message = (
            f"the {reference.field} of {node.label} names {quote(reference.name)}, which is no "
            "node that can have a result by then: a person is asked"
        )
        self._findings.warn("unresolved_name", message, reference.pointer)

    def _circles(self) -> None:
        """Report what waits for itself; lenient goes without the references that look ahead."""
        flow = Flow(self._tree, self._edges, chained=self._chained)
        circles = flow.circles()
        ahead = [edge.reference for edge in flow.forward()] if circles else []
        for circle in circles:
            message = f"results wait for each other: {references.shown_circle(circle)}"
            self._findings.strictly("dependency_cycle", message, circle.edge.reference.pointer)
        self._dropped.extend(ahead)
