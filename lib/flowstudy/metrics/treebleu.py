"""TreeBLEU (published as FlowBLEU): how many of the reference's parent-child pairs the candidate has.

Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

from typing import Any, Final

from flowstudy.metrics.published_tree import published_tree
from flowstudy.metrics.trees import Tree

_IGNORED: Final = frozenset({("flow", "trigger"), ("flow", "components")})


def tree_bleu(candidate: Any, reference: Any, *, inputs: bool = True) -> float:
    """Recall in [0, 1] of the reference's set of (parent label, child label) pairs; flows as JSON values.

    0.0 if the reference has no pairs (also for two empty flows) and where the published code raises. Steps that the
    candidate invents cost nothing.

    >>> flow = {"trigger": {"type": "daily"}, "components": [{"definition": "a", "order": 1}]}
    >>> tree_bleu({**flow, "components": []}, flow)
    0.5
    """
    return edge_recall(published_tree(candidate, inputs=inputs), published_tree(reference, inputs=inputs))


def edge_recall(candidate: Tree | None, reference: Tree | None) -> float:
    """`tree_bleu` of two published trees (None scores 0.0)."""
    if candidate is None or reference is None:
        return 0.0
    try:
        wanted = edges(reference)
        return len(edges(candidate) & wanted) / len(wanted) if wanted else 0.0
    except TypeError:
        return 0.0


def edges(tree: Tree) -> set[tuple[Any, Any]]:
    """The set of (parent label, child label) pairs without the two that every flow has; unhashable labels raise."""
    labels = tree.labels
    return {(labels[above], label) for label, above in zip(labels, tree.parents, strict=True) if above >= 0} - _IGNORED
