"""The published convention: the six scores of a pair, to the last bit as the code published with arXiv 2503.21889.

Every quirk is kept on purpose (see `published_tree`), so that numbers can be compared with published ones: FlowSim,
TreeBLEU (published as FlowBLEU: how many of the reference's parent-child pairs the candidate has), and two matches of
raw values. For decisions use the strict convention (`flowstudy.metrics.strict`).
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, TypeAlias

from flowstudy.metrics.kernel import tree_distance
from flowstudy.metrics.published_tree import SHAPE_ERRORS, published_book, published_trees, read_published
from flowstudy.metrics.trees import Codebook, Coded, Tree, UnreadableFlow

SCORES: Final = (
    "flow_sim_no_inputs", "flow_sim_with_inputs", "flow_bleu_no_inputs", "flow_bleu_with_inputs", "trigger_match",
    "component_match",
)  # fmt: skip
_IGNORED: Final = frozenset({("flow", "trigger"), ("flow", "components")})
_Edges: TypeAlias = set[tuple[Any, Any]]


class Unreadable(NamedTuple):
    """Stands for what the published code cannot print: every match with it is 0."""


class PublishedFlow(NamedTuple):
    """What the scores need of one flow: codes and (parent label, child label) pairs, both without and with inputs and
    None where the published code raises; the printed trigger (None without one) and the set of printed components."""

    codes: tuple[Coded | None, Coded | None]
    edges: tuple[_Edges | None, _Edges | None]
    trigger: str | Unreadable | None
    components: frozenset[str] | Unreadable


def published_scores(candidate_text: str, reference_text: str, *, record: str = "the pair") -> dict[str, float | None]:
    """The six published scores of two texts.

    Keys: `flow_sim_no_inputs` and `flow_sim_with_inputs` (at most 1, negative in rare cases), `flow_bleu_no_inputs`
    and `flow_bleu_with_inputs` in [0, 1], `trigger_match` (0 or 1) and `component_match` in [0, 1]; the last two are
    None where the published code skips the pair. Texts on which it stops altogether raise `UnreadableFlow`, and
    trees beyond `MAX_NODES` raise `FlowTooLarge`; both name `record`.

    >>> flow = '{"trigger": {"type": "daily"}, "components": [{"definition": "a", "order": 1}]}'
    >>> published_scores(flow, flow)["flow_sim_with_inputs"]
    1.0
    """
    sides = {f"the candidate of {record}": candidate_text, f"the reference of {record}": reference_text}
    for side, text in sides.items():
        if not isinstance(text, str):
            kind = type(text).__name__
            raise UnreadableFlow(f"unreadable text for {side}: expected a str, got {kind}; pass the raw model text")
    return dict(zip(SCORES, six_scores(candidate_text, reference_text, record), strict=True))


def six_scores(candidate: Any, reference: Any, record: str) -> tuple[float | None, ...]:
    """The scores of two texts, `Flow`s or JSON values, in the order of `SCORES`; raises as `published_scores`."""
    book = published_book()
    first = read_flow(candidate, book, f"the candidate of {record}")
    second = read_flow(reference, book, f"the reference of {record}")
    return (
        *[similarity(a, b, record) for a, b in zip(first.codes, second.codes, strict=True)],
        *[edge_recall(a, b) for a, b in zip(first.edges, second.edges, strict=True)],
        _trigger_match(first.trigger, second.trigger),
        _component_match(first.components, second.components),
    )


def read_flow(flow: Any, book: Codebook, record: str) -> PublishedFlow:
    """All that the six scores need of one flow."""
    value = read_published(flow, record)
    trees = published_trees(value, record)
    bare, full = (encoded(tree, book) for tree in trees)
    return PublishedFlow((bare, full), (edges(trees[0]), edges(trees[1])), _printed_trigger(value), _printed(value))


def encoded(tree: Tree | None, book: Codebook) -> Coded | None:
    """The coded tree; None for no tree and for a label that is not text."""
    try:
        return None if tree is None else book.encode(tree)
    except TypeError:
        return None


def similarity(first: Coded | None, second: Coded | None, record: str = "the pair") -> float:
    """`1 - distance / (length of both)` of two coded flows; 0.0 where there is none, 1.0 for two of length 0."""
    if first is None or second is None:
        return 0.0
    distance, total = tree_distance(first, second, record), first.length + second.length
    return 1 - distance / total if total else 1.0


def edge_recall(candidate: _Edges | None, reference: _Edges | None) -> float:
    """TreeBLEU: recall in [0, 1] of the reference's pairs; 0.0 if there are none. What is invented costs nothing."""
    return len(candidate & reference) / len(reference) if candidate is not None and reference else 0.0


def edges(tree: Tree | None) -> _Edges | None:
    """The set of (parent label, child label) pairs without the two that every flow has; None where there is none.

    The published code raises on unhashable labels, which gives None as well.
    """
    if tree is None:
        return None
    labels = tree.labels
    try:
        return set(zip([labels[above] for above in tree.parents[1:]], labels[1:], strict=True)) - _IGNORED
    except TypeError:
        return None


def _trigger_match(first: str | Unreadable | None, second: str | Unreadable | None) -> float | None:
    """1.0 if two flows have the same trigger type and inputs, else 0.0; None if neither has a trigger.

    Inputs are compared in order of their names; the order of keys inside an input counts. Unreadable shapes give 0.0.
    """
    if isinstance(first, Unreadable) or isinstance(second, Unreadable):
        return 0.0
    return None if first is None and second is None else float(first == second)


def _component_match(first: frozenset[str] | Unreadable, second: frozenset[str] | Unreadable) -> float | None:
    """Jaccard index in [0, 1] of the two sets of components; None if both are empty.

    A component counts by category, definition and scope as written. Unreadable shapes give 0.0.
    """
    if isinstance(first, Unreadable) or isinstance(second, Unreadable):
        return 0.0
    total = len(first | second)
    return len(first & second) / total if total else None


def _printed_trigger(flow: Any) -> str | Unreadable | None:
    try:
        trigger = flow.get("trigger")
        if trigger is None:
            return None
        kind, inputs = trigger.get("type"), trigger.get("inputs", [])
        if inputs:
            inputs = sorted(inputs, key=lambda each: each.get("name", ""))
        return json.dumps({"type": kind, "inputs": inputs})
    except SHAPE_ERRORS:
        return Unreadable()


def _printed(flow: Any) -> frozenset[str] | Unreadable:
    try:
        steps = flow.get("components", [])
        if not isinstance(steps, list):
            return Unreadable()
        return frozenset([f"{s.get('category')}___{s.get('definition')}___{s.get('scope')}" for s in steps])
    except SHAPE_ERRORS:
        return Unreadable()
