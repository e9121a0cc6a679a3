"""How alike two workflows are: FlowSim in two conventions, explained, and the smaller measures beside it."""

from flowstudy.metrics.limits import MAX_NODES, FlowTooLarge, UnreadableFlow
from flowstudy.metrics.matches import component_match, trigger_match
from flowstudy.metrics.published import published_scores
from flowstudy.metrics.similarity import flow_similarity
from flowstudy.metrics.strict import STRICT_DIFFERENCES
from flowstudy.metrics.treebleu import tree_bleu

__all__ = [
    "MAX_NODES", "STRICT_DIFFERENCES", "FlowTooLarge", "UnreadableFlow", "component_match", "flow_similarity",
    "published_scores", "tree_bleu", "trigger_match",
]  # fmt: skip
