"""The strict convention: FlowSim without the published quirks; recommended for decisions.

Text is read by `parse_flow` and brought into canonical form (`canonical`); a flow becomes a tree whose node labels say
what they are, so that no label is mistaken for another kind. Every node except the root weighs 1. Inserting or deleting
a node costs 1; relabelling costs 0 for equal labels, 1 where the same thing has another value (an input of the same
name, a clause on the same field, a signature item of the same name) and 2, the price of a deletion and an insertion,
for anything else.
The score `1 - distance / (nodes of both trees)` lies in [0, 1], is symmetric, 1 only for equal flows and 0 for flows
that share nothing; the distance is a metric on canonical flows. `STRICT_DIFFERENCES` lists what differs from the
published convention, and why: what counts there, and what means nothing.

What it cannot see: it counts edits, not what they do. A negated condition, a guard left out or `delete_record` for
`update_record` is one small edit, and IF and ELSE exchanged together with their condition, independent steps in another
order or an early END instead of an ELSE are many although nothing changes. `flowstudy.metrics.behaviour` tells.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

from flowstudy.flows.schema import Signature
from flowstudy.metrics.canonical import canonical, input_tree, step_label
from flowstudy.metrics.reader import Inputs, Outline, read
from flowstudy.metrics.trees import MAX_NODES, Codebook, Coded, Tree, too_many_nodes

#: Edition of the strict convention; scores of two editions are not comparable.
EDITION: Final = 2
_KEY: Final = itemgetter(0)


class Difference(NamedTuple):
    """One way in which the strict convention differs; `codes` are those of the published measure's quirks."""

    topic: str
    published: str
    strict: str
    reason: str
    codes: str


STRICT_DIFFERENCES: Final = (
    Difference("unreadable text", "text that is not JSON after a narrow fence rule counts as an empty flow; some texts "
        "stop the whole batch", "named repairs are tried; otherwise the score is 0 and the status says "
        "`invalid_output`", "a failure must not score above 0, and a flow in an unusual fence is still a flow",
        "P1-P7, E10b, E11b"),
    Difference("unreachable and repeated components", "a component whose block names nobody is invisible; a repeated "
        "order copies whole subtrees", "every component is in the tree exactly once, at the nearest place that exists",
        "an invented step must cost something, and one step must not cost many times", "T1-T5, T10, T11"),
    Difference("sequence", "siblings follow the position in the array; `order` is compared as it is, also as text",
        "components follow their `order`, as numbers", "`order` is what the workflow engine runs", "T3, T6"),
    Difference("labels that look free", "a node is free or counts twice if its text looks like a keyword, wherever it "
        "stands", "nodes have kinds; only the root is free, and text never changes a cost", "a value `email` is no "
        "trigger, and a value `fields` is not nothing", "E9, E12, E13, L1-L3, L7"),
    Difference("conditions that cannot be decomposed", "one odd clause turns the whole query into a free empty node, "
        "so any two such queries are equal", "clauses start with a field name, values may hold anything, and what "
        "remains is compared as exact text", "a wrong condition must cost something", "E1-E6, E11, E15"),
    Difference("clauses", "field, operator, value and join are up to four nodes; joins are sorted apart from their "
        "clauses", "one node for a clause with its join; `^NQ`, `^` and `^OR` join sets, one within another",
        "an `=` that two unrelated clauses share is no likeness, `or` belongs to its clause, and order means nothing",
        "E7, E8, E10"),
    Difference("lists", "items in another order are another value, and `stateIN1,2` is not `state=1^ORstate=2`",
        "items of IN and NOT IN are a set, and equalities of one field joined by `^OR` are an IN", "both test the same",
        "new in edition 2"),
    Difference("assignments", "all assignments count, sorted by field", "the last one to a field counts",
        "the ones before it leave nothing behind", "new in edition 2"),
    Difference("references", "text: a step put in first changes every later number, and numbers that were left wrong "
        "cost nothing", "by what they point at: the nearest step of that name above, the second nearest and so on; "
        "what has not run there and what does not exist are something else", "right references must not cost more than "
        "wrong ones, and one error is charged in one place", "new in edition 2"),
    Difference("blanks", "blanks inside `{{ }}` and around a value are another value", "they mean nothing", "spelling",
        "new in edition 2"),
    Difference("empty inputs", "an input given as empty text, null, [] or {} is a node", "it is absent; `false` and 0 "
        "are values", "nothing is handed over in either case", "new in edition 2"),
    Difference("arms", "the branches of PARALLEL and the CASEs of SWITCH are compared in the order written",
        "branches are sorted, and so are CASEs with distinct constant values; CASEs that may overlap keep their order",
        "branches run at once, and of cases that exclude each other one is taken", "new in edition 2"),
    Difference("values", 'values are compared as Python prints them: 1 equals "1", true differs from "true", 1.0 from '
        "1", "values are compared as JSON: text differs from numbers and booleans, 1.0 equals 1, key order is ignored",
        "types matter to the workflow engine, JSON formatting does not", "T12, M2"),
    Difference("order of inputs and signature items", "inputs of the same name, and signature items, are compared in "
        "the order written", "both are sets", "their order has no meaning", "T8, T16"),
    Difference("floor", "an input may be relabelled to any other for 1 although deleting and inserting costs 2",
        "1 only for the same name with another value, else 2", "flows that share nothing score 0 instead of about 0.25",
        "L6, T14"),
    Difference("length", "counted on a printed tree, so that colons and line breaks in values change it; it can "
        "disagree with the costs", "the number of nodes that cost something", "keeps the score in [0, 1]",
        "E10, L1, L2, P5"),
    Difference("shape errors", "one malformed field scores 0 for the pair, also against itself",
        "the field is repaired by name or the text is `invalid_output`", "a failure is a status", "T5, T8b-T11"),
)  # fmt: skip


class StrictFlow(NamedTuple):
    """What the strict convention found in one flow; `trees` and `codes`, without and with inputs, only where it is one.

    `status` is `ok`, `repaired` or `invalid_output`; then `error` says why. The `steps` of a tree are the numbers that
    people see.
    """

    status: str
    error: str = ""
    repairs: tuple[str, ...] = ()
    trees: tuple[Tree, Tree] | None = None
    codes: tuple[Coded, Coded] | None = None


def read_strict(flow: Any, book: Codebook, record: str) -> StrictFlow:
    """A text, a JSON object or a `Flow` as the strict convention reads it; `FlowTooLarge` naming `record`.

    The codebook remembers texts: a reference is compared with many answers.
    """
    if isinstance(flow, str) and flow in book.read:
        return cast("StrictFlow", book.read[flow])
    status, outline, repairs, error = read(flow)
    found = StrictFlow(status, error)
    if outline is not None:
        bare, full = strict_trees(outline, record)
        found = StrictFlow(status, "", repairs, (bare, full), (book.encode(bare), book.encode(full)))
    if isinstance(flow, str):
        book.remember(flow, found)
    return found


def strict_trees(outline: Outline, record: str = "the flow") -> tuple[Tree, Tree]:
    """The strict trees of a flow without and with inputs, both in canonical order."""
    flow, order, names = canonical(outline)
    trees = bare, full = Tree([("flow",)], [-1], order, names), Tree([("flow",)], [-1], order, names)
    if flow.trigger is not None:
        kind, inputs = flow.trigger
        start = [tree.add(("trigger", kind), 0, record) for tree in trees]
        _add_inputs(full, inputs, start[1], record)
    for side, signature in zip(("inputs", "outputs"), flow.signatures, strict=True):
        for tree in trees:
            _add_signature(tree, side, signature, record)
    owners = [(0, 0)]
    for name, block, inputs in flow.steps:
        label, owner = step_label(name), owners[block]
        place = bare.add(label, owner[0], record), full.add(label, owner[1], record)
        owners.append(place)
        _add_inputs(full, inputs, place[1], record)
    return trees


def _add_signature(tree: Tree, side: str, signature: Signature | None, record: str) -> None:
    if signature is None:
        return
    node = tree.add(("signature", side), 0, record)
    for item in sorted((i.name, i.type, "" if i.reference is None else f"[{i.reference}]") for i in signature.items):
        tree.add(("item", *item), node, record)


def _add_inputs(tree: Tree, inputs: Inputs, parent: int, record: str) -> None:
    found = []
    for each in inputs:
        if isinstance(each.value, str) and len(each.value) > MAX_NODES < each.value.count("^"):
            raise too_many_nodes(record)
        found.append(input_tree(each.name, each.value))
    for part in sorted(found, key=_KEY) if len(found) > 1 else found:
        tree.graft(part, parent, record)


def strict_group(label: tuple[str, ...]) -> Hashable | None:
    """None for the root, the shared group of labels whose relabelling costs 1, () for a label of its own."""
    kind = label[0]
    if kind in ("input", "query", "item"):
        return "item" if kind == "item" else "input", label[1]
    if kind == "clause":
        return kind, label[1], label[3]
    return None if kind == "flow" else ()


@cache
def _book() -> Codebook:
    return Codebook(strict_group, lambda label: int(label[0] != "flow"))


def strict_book() -> Codebook:
    """The codebook of flows read from now on; a new one when it has grown large."""
    if _book().is_large:
        _book.cache_clear()
    return _book()
