"""The strict convention: FlowSim without the published quirks; recommended for decisions.

Text is read by `parse_flow`; a flow becomes a tree whose node labels say what they are, so that no label is mistaken
for another kind. Every node except the root weighs 1. Inserting or deleting a node costs 1; relabelling costs 0 for
equal labels, 1 where the same thing has another value (an input of the same name, a clause on the same field, a
signature item of the same name) and 2, the price of a deletion and an insertion, for anything else.
The score `1 - distance / (nodes of both trees)` lies in [0, 1], is symmetric, 1 only for equal flows and 0 for flows
that share nothing; the distance is a metric. `STRICT_DIFFERENCES` lists what differs from the published convention,
and why. Two flows are equal if they have the same trigger, the same components in the same order and nesting, the
same signature, and everywhere the same set of inputs; annotations do not count. In queries, a closing `^EQ` (which
means nothing) does not count, and clauses that are all joined by "and" are a set.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from flowstudy.flows.parse import ParsedFlow, parse_flow
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Flow, Input, Signature, structure_faults
from flowstudy.metrics.limits import MAX_NODES, FlowTooLarge, too_many_nodes
from flowstudy.metrics.reader import InputTree, Labels, Reader
from flowstudy.metrics.trees import Codebook, Tree

#: Longer queries are decomposed each time instead of being remembered.
_REMEMBERED_CHARS: Final = 500
_KEY: Final = itemgetter(0)


class Difference(NamedTuple):
    """One way in which the strict convention differs; `codes` are those of the published measure's quirks."""

    topic: str
    published: str
    strict: str
    reason: str
    codes: str


STRICT_DIFFERENCES: Final = (
    Difference(
        "unreadable text",
        "text that is not JSON after a narrow fence rule counts as an empty flow; some texts stop the whole batch",
        "named repairs are tried; otherwise the score is 0 and the status says `invalid_output`",
        "a failure must not score above 0, and a flow in an unusual fence is still a flow",
        "P1-P7, E10b, E11b",
    ),
    Difference(
        "unreachable and repeated components",
        "a component whose block names nobody is invisible; a repeated order copies whole subtrees",
        "every component is in the tree exactly once, at the nearest place that exists",
        "an invented step must cost something, and one step must not cost many times",
        "T1-T5, T10, T11",
    ),
    Difference(
        "sequence",
        "siblings follow the position in the array; `order` is compared as it is, also as text",
        "components follow their `order`, as numbers",
        "`order` is what the workflow engine runs",
        "T3, T6",
    ),
    Difference(
        "labels that look free",
        "a node is free or counts twice if its text looks like a keyword, wherever it stands",
        "nodes have kinds; only the root is free, and text never changes a cost",
        "a value `email` is no trigger, and a value `fields` is not nothing",
        "E9, E12, E13, L1-L3, L7",
    ),
    Difference(
        "conditions that cannot be decomposed",
        "one odd clause turns the whole query into a free empty node, so any two such queries are equal",
        "clauses start with a field name, values may hold anything, and what remains is compared as exact text",
        "a wrong condition must cost something",
        "E1-E6, E11, E15",
    ),
    Difference(
        "clauses",
        "field, operator, value and join are up to four nodes; joins are sorted apart from their clauses",
        "one node for a clause with its join; clauses all joined by `and` are a set, others keep their order",
        "an `=` that two unrelated clauses share is no likeness, and `or` belongs to its clause",
        "E7, E8, E10",
    ),
    Difference(
        "values",
        'values are compared as Python prints them: 1 equals "1", true differs from "true", 1.0 from 1',
        "values are compared as JSON: text differs from numbers and booleans, 1.0 equals 1, key order is ignored",
        "types matter to the workflow engine, JSON formatting does not",
        "T12, M2",
    ),
    Difference(
        "order of inputs and signature items",
        "inputs of the same name, and signature items, are compared in the order written",
        "both are sets",
        "their order has no meaning",
        "T8, T16",
    ),
    Difference(
        "floor",
        "an input may be relabelled to any other for 1 although deleting and inserting costs 2",
        "1 only for the same name with another value, else 2",
        "flows that share nothing score 0 instead of about 0.25",
        "L6, T14",
    ),
    Difference(
        "length",
        "counted on a printed tree, so that colons and line breaks in values change it; it can disagree with the costs",
        "the number of nodes that cost something",
        "keeps the score in [0, 1]",
        "E10, L1, L2, P5",
    ),
    Difference(
        "shape errors",
        "one malformed field scores 0 for the pair, also against itself",
        "the field is repaired by name or the text is `invalid_output`",
        "a failure is a status",
        "T5, T8b-T11",
    ),
)


def strict_flow(value: Any) -> ParsedFlow:
    """Read a `Flow`, a parsed JSON object or a text as the strict convention does. Never raises on a text."""
    if not isinstance(value, Flow):
        return parse_flow(value)
    if any("order" in fault or "block" in fault for fault in structure_faults(value)):
        return parse_flow(value.to_dict())
    return ParsedFlow("ok", value)


def strict_tree(flow: Flow, *, inputs: bool, record: str = "the flow") -> Tree:
    """The strict tree of a flow read by `strict_flow`; more than `MAX_NODES` nodes raise `FlowTooLarge`."""
    tree = Tree([("flow",)], [-1], [])
    if flow.trigger is not None:
        node = _add(tree, _trigger_label(flow.trigger.type), 0)
        if inputs:
            _add_inputs(tree, flow.trigger.inputs, node, record)
    _add_signature(tree, "inputs", flow.inputs)
    _add_signature(tree, "outputs", flow.outputs)
    owners: dict[int | None, int] = {None: 0}
    for place, step in enumerate(flow.components, start=1):
        owners[step.order] = node = _add(
            tree, _step_label(step.category, step.definition, step.scope), owners[step.block]
        )
        tree.steps.append(place)
        if inputs:
            _add_inputs(tree, step.inputs, node, record)
    if len(tree.labels) > MAX_NODES:
        raise too_many_nodes(record)
    return tree


def _trigger_label(kind: str) -> tuple[str, ...]:
    return "trigger", kind


def _step_label(category: str, definition: str, scope: str) -> tuple[str, ...]:
    return "component", category, definition.upper() if category == "flowlogic" else definition, scope


def _add(tree: Tree, label: tuple[str, ...], parent: int) -> int:
    tree.labels.append(label)
    tree.parents.append(parent)
    return len(tree.labels) - 1


def _add_signature(tree: Tree, side: str, signature: Signature | None) -> None:
    if signature is None:
        return
    node = _add(tree, ("signature", side), 0)
    for item in sorted((i.name, i.type, "" if i.reference is None else f"[{i.reference}]") for i in signature.items):
        _add(tree, ("item", *item), node)


def _add_inputs(tree: Tree, inputs: Iterable[Input], parent: int, record: str) -> None:
    queries = [i.value for i in inputs if i.name in QUERY_INPUTS and isinstance(i.value, str)]
    if sum(query.count("^") for query in queries) > MAX_NODES:
        raise too_many_nodes(record)
    for each in sorted((_input_tree(each.name, each.value) for each in inputs), key=_KEY):
        base = len(tree.labels)
        tree.labels.extend(each.labels)
        tree.parents.extend(base + above if above >= 0 else parent for above in each.parents)


def _input_tree(name: str, value: Any) -> InputTree:
    """One node, or for a query a node with its clauses below; sorted by name, kind and text."""
    kind, text = ("text", value) if isinstance(value, str) else ("json", _json(name, value))
    clauses = _clauses(name, text) if kind == "text" and name in QUERY_INPUTS else None
    if clauses is None:
        return InputTree((name, kind, text), (("input", name, kind, text),), (-1,))
    labels = (("query", name), *(("clause", name, *clause) for clause in clauses))
    return InputTree((name, kind, text), labels, (-1, *(0 for _ in clauses)))


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(_plain_numbers(value), sort_keys=True)
    except RecursionError:
        raise FlowTooLarge(
            f"value too deep for input {name}: expected JSON nested at most a few hundred levels deep, got more; "
            "flatten the value"
        ) from None


def _plain_numbers(value: Any) -> Any:
    """Integral floats as integers, so that 1.0 equals 1. Values of a parsed flow are nested at most 100 deep."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain_numbers(each) for name, each in value.items()}
    return value


def _clauses(name: str, query: str) -> Sequence[Clause] | None:
    return _remembered(name, query) if len(query) <= _REMEMBERED_CHARS else _read_clauses(name, query)


def _read_clauses(name: str, query: str) -> Sequence[Clause] | None:
    """The clauses of a query; sorted where all are joined by "and" (assignments only by field: the last one wins)."""
    clauses = parse_query(query)
    if clauses is None:
        return None
    clauses = [clause._replace(join=clause.join or "^") for clause in clauses]
    if any(clause.join != "^" for clause in clauses):
        return clauses
    if "condition" in name:
        return sorted(clauses)
    return sorted(clauses, key=lambda clause: clause.field)


_remembered = lru_cache(maxsize=20_000)(_read_clauses)


def strict_group(label: tuple[str, ...]) -> Hashable | None:
    """None for the root, the shared group of labels whose relabelling costs 1, () for a label of its own."""
    kind = label[0]
    if kind in ("input", "query", "item"):
        return "item" if kind == "item" else "input", label[1]
    if kind == "clause":
        return kind, label[1], label[3]
    return None if kind == "flow" else ()


def strict_length(label: tuple[str, ...]) -> int:
    """What a node weighs: 1, and 0 for the root."""
    return int(label[0] != "flow")


def strict_reader() -> Reader:
    """A new reader with the strict labels, costs and lengths."""
    return Reader(Codebook(strict_group, strict_length), Labels(_trigger_label, _step_label, _input_tree))
