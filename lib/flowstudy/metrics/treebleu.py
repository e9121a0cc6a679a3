"""TreeBLEU (published as FlowBLEU): how many of the reference's parent-child pairs the candidate has.

Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from flowstudy.metrics.plain import PlainFlow, PlainInputs
from flowstudy.metrics.published_tree import input_tree, step_label
from flowstudy.metrics.reader import Memo, with_defaults
from flowstudy.metrics.trees import Tree

#: Pairs of a parent's and a child's label, or their numbers.
Edges: TypeAlias = set[Any]

_IGNORED: Final = frozenset({("flow", "trigger"), ("flow", "components")})


def edge_recall(candidate: Edges | None, reference: Edges | None) -> float:
    """TreeBLEU: recall in [0, 1] of the reference's pairs; 0.0 if there are none. What is invented costs nothing."""
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
    """Reads pairs as numbers, which are quicker to compare, and remembers those of steps and inputs of plain flows."""

    def __init__(self) -> None:
        self._labels = Memo(lambda name: step_label(*with_defaults(name)))
        self._numbers = Memo(lambda _: len(self._numbers))
        self._inputs = Memo(self._below_inputs)

    def read(self, flow: PlainFlow) -> tuple[Edges, Edges]:
        """The pairs of a plain flow, without and with inputs."""
        number, below = self._numbers, self._inputs
        bare, inside = set(), set()
        owners = ["components"]
        if flow.trigger is not None:
            kind, inputs = flow.trigger
            bare.add(number["trigger", kind])
            if inputs is not None:
                inside.add(number[kind, "inputs"])
                inside |= below[inputs]
        for name, block, inputs in flow.steps:
            label = self._labels[name]
            bare.add(number[owners[block], label])
            owners.append(label)
            if inputs is not None:
                inside.add(number[label, "inputs"])
                inside |= below[inputs]
        return bare, bare | inside

    def number(self, found: Edges | None) -> Edges | None:
        """Pairs of the complete route in the same numbers."""
        return None if found is None else {self._numbers[pair] for pair in found}

    def _below_inputs(self, inputs: PlainInputs) -> Edges:
        labels, parents = ["inputs"], [-1]
        for _, more, above in (input_tree(str(each["name"]), each["value"]) for each in inputs.given):
            base = len(labels)
            labels += more
            parents += [base + parent if parent >= 0 else 0 for parent in above]
        return self.number(edges(Tree(labels, parents, []))) or set()
