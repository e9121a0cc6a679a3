"""How alike two workflows are (FlowSim in two conventions, explained), and whether they do the same."""

from typing import TYPE_CHECKING, Any

from flowstudy.metrics.published import published_scores
from flowstudy.metrics.similarity import flow_similarity, score_pairs, signature
from flowstudy.metrics.strict import STRICT_DIFFERENCES
from flowstudy.metrics.trees import MAX_NODES, FlowTooLarge, UnreadableFlow

if TYPE_CHECKING:
    from flowstudy.metrics.diff import diff_html, diff_text
    from flowstudy.metrics.explanation import Edit, Explanation, Place, explain
    from flowstudy.metrics.symbolic import Behaviour, behaviour

__all__ = [
    "MAX_NODES", "STRICT_DIFFERENCES", "Behaviour", "Edit", "Explanation", "FlowTooLarge", "Place", "UnreadableFlow",
    "behaviour", "diff_html", "diff_text", "explain", "flow_similarity", "published_scores", "score_pairs",
    "signature",
]  # fmt: skip

#: Imported when first used: they need pandas, numpy or numba, or are large.
_LATER = {
    "explain": "explanation", "Edit": "explanation", "Place": "explanation", "Explanation": "explanation",
    "diff_html": "diff", "diff_text": "diff", "behaviour": "symbolic", "Behaviour": "symbolic",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
