"""TreeBLEU (published as FlowBLEU): how many of the reference's parent-child pairs the candidate has.

Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import UNSET, UnsetType

from flowstudy.metrics.plain import PlainFlow, PlainInputs
from flowstudy.metrics.published_tree import input_tree, published_tree, step_label
from flowstudy.metrics.reader import Memo, input_key, with_defaults
from flowstudy.metrics.trees import Tree

#: Pairs of a parent's and a child's label.
Edges: TypeAlias = set[tuple[Any, Any]]

_IGNORED: Final = frozenset({("flow", "trigger"), ("flow", "components")})


def tree_bleu(candidate: Any, reference: Any, *, inputs: bool = True) -> float:
    """Recall in [0, 1] of the reference's set of (parent label, child label) pairs; flows as JSON values.

    0.0 if the reference has no pairs (also for two empty flows) and where the published code raises. Steps that the
    candidate invents cost nothing.

    >>> flow = {"trigger": {"type": "daily"}, "components": [{"definition": "a", "order": 1}]}
    >>> tree_bleu({**flow, "components": []}, flow)
    0.5
    """
    return edge_recall(*(edges(published_tree(flow, inputs=inputs)) for flow in (candidate, reference)))


def edge_recall(candidate: Edges | None, reference: Edges | None) -> float:
    """`tree_bleu` of two sets of pairs (None scores 0.0)."""
    return len(candidate & reference) / len(reference) if candidate is not None and reference else 0.0


def edges(tree: Tree | None) -> Edges | None:
    """The set of (parent label, child label) pairs without the two that every flow has; None where there is none.

    The published code raises on unhashable labels, which gives None as well.
    """
    if tree is None:
        return None
    labels = tree.labels
    pairs = zip(labels, tree.parents, strict=True)
    try:
        return {(labels[above], label) for label, above in pairs if above >= 0} - _IGNORED
    except TypeError:
        return None


class EdgeReader:
    """Reads the pairs of plain flows, and remembers those of steps and inputs."""

    def __init__(self) -> None:
        self._labels = Memo(lambda key: step_label(*with_defaults(key)))
        self._inputs = Memo(_input_edges)

    def read(self, flow: PlainFlow) -> tuple[Edges, Edges]:
        """The pairs without and with inputs."""
        bare: Edges = set()
        inside: Edges = set()
        owners = ["components"]
        if flow.trigger is not None:
            bare.add(("trigger", flow.trigger.type))
            self._add(flow.trigger.type, flow.trigger.inputs, inside)
        for step in flow.components:
            label = self._labels[step.category, step.definition, step.scope]
            bare.add((owners[step.block or 0], label))
            owners.append(label)
            self._add(label, step.inputs, inside)
        return bare, bare | inside

    def _add(self, label: str, inputs: PlainInputs | UnsetType, found: Edges) -> None:
        if inputs is UNSET:
            return
        found.add((label, "inputs"))
        for each in inputs:
            found |= self._inputs[input_key(each)]


def _input_edges(key: tuple[Any, ...]) -> Edges:
    _, labels, parents = input_tree(key[0], key[1])
    return edges(Tree(["inputs", *labels], [-1, *(above + 1 for above in parents)], [])) or set()
