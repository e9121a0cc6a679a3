"""The published convention: the six scores of a pair, to the last bit as the code published with arXiv 2503.21889.

Every quirk is kept on purpose (see `published_text`, `published_tree`, `published_costs`), so that numbers can be
compared with published ones. For decisions use the strict convention (`flowstudy.metrics.strict`).
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from flowstudy.metrics.kernel import tree_distance, tree_distance_pair
from flowstudy.metrics.matches import component_match, trigger_match
from flowstudy.metrics.published_costs import published_book
from flowstudy.metrics.published_fast import BothModes, FastReader
from flowstudy.metrics.published_text import read_published
from flowstudy.metrics.published_tree import published_tree
from flowstudy.metrics.treebleu import edge_recall
from flowstudy.metrics.trees import Codebook, Tree

SCORES = (
    "flow_sim_no_inputs",
    "flow_sim_with_inputs",
    "flow_bleu_no_inputs",
    "flow_bleu_with_inputs",
    "trigger_match",
    "component_match",
)


class Measured(NamedTuple):
    """A published tree ready to be compared: its codes and its length."""

    codes: array[int]
    length: int


_book = published_book()
_reader = FastReader(_book)


def current_book() -> Codebook:
    """The codebook shared by single comparisons; a new one when it has grown large."""
    return current_reader().book


def current_reader() -> FastReader:
    """The reader shared by single comparisons; a new one when its codebook has grown large."""
    global _book, _reader
    if _book.is_large:
        _book = published_book()
        _reader = FastReader(_book)
    return _reader


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
    candidate = read_published(candidate_text, f"the candidate of {record}")
    return published_value_scores(candidate, read_published(reference_text, f"the reference of {record}"), record)


def published_value_scores(candidate: Any, reference: Any, record: str = "the pair") -> dict[str, float | None]:
    """The six published scores of two flows given as parsed JSON values."""
    scores: dict[str, float | None] = dict.fromkeys(SCORES)
    for mode, inputs in (("no", False), ("with", True)):
        first = published_tree(candidate, inputs=inputs, record=record)
        second = published_tree(reference, inputs=inputs, record=record)
        scores[f"flow_sim_{mode}_inputs"] = tree_similarity(first, second, record)
        scores[f"flow_bleu_{mode}_inputs"] = edge_recall(first, second)
    scores["trigger_match"] = trigger_match(candidate, reference)
    scores["component_match"] = component_match(candidate, reference)
    return scores


def published_similarities(
    candidate_text: str, reference_text: str, *, record: str = "the pair"
) -> tuple[float, float]:
    """Published FlowSim without and with inputs of two texts: the fast route when nothing else is needed.

    The last few hundred reference texts are remembered.
    Raises as `published_scores`.
    """
    reader = current_reader()
    candidate = read_published(candidate_text, f"the candidate of {record}")
    first, second = reader.read(candidate), reader.kept.get(reference_text)
    if second is None:
        second = reader.keep(reference_text, read_published(reference_text, f"the reference of {record}"))
    if first is None or second is None:
        reference = read_published(reference_text, f"the reference of {record}")
        return (
            published_similarity(candidate, reference, inputs=False, record=record),
            published_similarity(candidate, reference, inputs=True, record=record),
        )
    return both_similarities(first, second, record)


def both_similarities(first: BothModes, second: BothModes, record: str = "the pair") -> tuple[float, float]:
    """Published FlowSim without and with inputs of two flows read by a `FastReader`."""
    bare, full = tree_distance_pair(first.codes, second.codes, record)
    (bare_a, full_a), (bare_b, full_b) = first.lengths, second.lengths
    return normalised(bare, bare_a, bare_b), normalised(full, full_a, full_b)


def published_similarity(candidate: Any, reference: Any, *, inputs: bool = True, record: str = "the pair") -> float:
    """Published FlowSim of two flows given as parsed JSON values; at most 1, 0.0 where the published code raises."""
    first = published_tree(candidate, inputs=inputs, record=record)
    return tree_similarity(first, published_tree(reference, inputs=inputs, record=record), record)


def tree_similarity(candidate: Tree | None, reference: Tree | None, record: str = "the pair") -> float:
    """Published FlowSim of two published trees (None scores 0.0)."""
    book = current_book()
    first, second = measured(candidate, book), measured(reference, book)
    if first is None or second is None:
        return 0.0
    if first.length == second.length == 0:
        return 1.0
    return normalised(tree_distance(first.codes, second.codes, record), first.length, second.length)


def measured(tree: Tree | None, book: Codebook) -> Measured | None:
    """The tree's codes and length, or None for no tree and for a label that is not text (the published code raises)."""
    if tree is None:
        return None
    try:
        return Measured(book.encode(tree), book.length(tree))
    except TypeError:
        return None


def normalised(distance: int, length_a: int, length_b: int) -> float:
    """`1 - distance / (length_a + length_b)`; 1.0 for two trees of length 0."""
    total = length_a + length_b
    return 1 - distance / total if total else 1.0
