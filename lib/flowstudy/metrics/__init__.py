"""How alike two workflows are: FlowSim in two conventions, explained, and the smaller measures beside it."""

from typing import TYPE_CHECKING, Any

from flowstudy.metrics.limits import MAX_NODES, FlowTooLarge, UnreadableFlow
from flowstudy.metrics.matches import component_match, trigger_match
from flowstudy.metrics.published import published_scores, published_similarities
from flowstudy.metrics.similarity import flow_similarity
from flowstudy.metrics.strict import STRICT_DIFFERENCES
from flowstudy.metrics.treebleu import tree_bleu

if TYPE_CHECKING:
    from flowstudy.metrics.batch import score_pairs
    from flowstudy.metrics.diff import diff_html, diff_text
    from flowstudy.metrics.encoders import NoEncoder, sentence_encoder
    from flowstudy.metrics.explanation import Edit, Explanation, explain
    from flowstudy.metrics.steps import catalogue_faults, order_errors, step_bag, step_bag_f1

__all__ = [
    "MAX_NODES", "STRICT_DIFFERENCES", "Edit", "Explanation", "FlowTooLarge", "NoEncoder", "UnreadableFlow",
    "catalogue_faults", "component_match", "diff_html", "diff_text", "explain", "flow_similarity", "order_errors",
    "published_scores", "published_similarities", "score_pairs", "sentence_encoder", "step_bag", "step_bag_f1",
    "tree_bleu", "trigger_match",
]  # fmt: skip

#: Imported when first used: they need pandas, numpy or numba.
_LATER = {
    "explain": "explanation", "Edit": "explanation", "Explanation": "explanation", "diff_html": "diff",
    "diff_text": "diff", "score_pairs": "batch", "catalogue_faults": "steps", "order_errors": "steps",
    "step_bag": "steps", "step_bag_f1": "steps", "NoEncoder": "encoders", "sentence_encoder": "encoders",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
