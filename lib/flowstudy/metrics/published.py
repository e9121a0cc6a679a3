"""The published convention: the six scores of a pair, to the last bit as the code published with arXiv 2503.21889.

Every quirk is kept on purpose (see `published_text`, `published_tree`, `published_costs`), so that numbers can be
compared with published ones. For decisions use the strict convention (`flowstudy.metrics.strict`).
"""

from __future__ import annotations

from typing import Final

from flowstudy.metrics.desks import BothCodes, PublishedFlow, published_desk
from flowstudy.metrics.kernel import both_distances, tree_distance
from flowstudy.metrics.matches import printed_component_match, printed_trigger_match
from flowstudy.metrics.published_text import checked_text
from flowstudy.metrics.reader import Coded
from flowstudy.metrics.treebleu import edge_recall

SCORES: Final = (
    "flow_sim_no_inputs",
    "flow_sim_with_inputs",
    "flow_bleu_no_inputs",
    "flow_bleu_with_inputs",
    "trigger_match",
    "component_match",
)


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
    desk = published_desk()
    candidate, reference = f"the candidate of {record}", f"the reference of {record}"
    first = desk.read(checked_text(candidate_text, candidate), candidate)
    second = desk.read(checked_text(reference_text, reference), reference)
    return dict(zip(SCORES, six_scores(first, second, record), strict=True))


def six_scores(first: PublishedFlow, second: PublishedFlow, record: str) -> tuple[float | None, ...]:
    """The scores of two flows that one desk has read, in the order of `SCORES`."""
    recalls = map(edge_recall, first.edges, second.edges)
    matches = (rule(first.prints, second.prints) for rule in (printed_trigger_match, printed_component_match))
    return (*both_similarities(first.codes, second.codes, record), *recalls, *matches)


def both_similarities(first: BothCodes, second: BothCodes, record: str = "the pair") -> tuple[float, float]:
    """Published FlowSim without and with inputs of two flows."""
    a, b = first[0], second[0]
    if a is None or b is None or first[1] is not a or second[1] is not b:
        return similarity(a, b, False, record), similarity(first[1], second[1], True, record)
    bare, full = both_distances(a.codes, b.codes, record)
    return normalised(bare, a.lengths[0], b.lengths[0]), normalised(full, a.lengths[1], b.lengths[1])


def similarity(first: Coded | None, second: Coded | None, inputs: bool, record: str = "the pair") -> float:
    """FlowSim of two coded flows in one mode; 0.0 where there is none."""
    if first is None or second is None:
        return 0.0
    distance = tree_distance(first.codes, second.codes, inputs=inputs, record=record)
    return normalised(distance, first.lengths[inputs], second.lengths[inputs])


def normalised(distance: int, length_a: int, length_b: int) -> float:
    """`1 - distance / (length_a + length_b)`; 1.0 for two trees of length 0."""
    total = length_a + length_b
    return 1 - distance / total if total else 1.0
