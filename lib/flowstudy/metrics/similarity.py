"""FlowSim: how alike two workflows are, in the strict or the published convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from flowstudy.flows.schema import Flow
from flowstudy.metrics.kernel import tree_distance
from flowstudy.metrics.limits import UnreadableFlow
from flowstudy.metrics.published import normalised, published_similarity
from flowstudy.metrics.published_text import read_published
from flowstudy.metrics.strict import read_strict, strict_book, strict_tree
from flowstudy.metrics.strings import STEPS, Encoder, TextCosts
from flowstudy.metrics.trees import Codebook, Tree

FlowLike: TypeAlias = Flow | dict[str, Any] | str
Convention = Literal["strict", "published"]
Strings = Literal["exact", "similar"]

_book = strict_book()


def flow_similarity(
    candidate: FlowLike,
    reference: FlowLike | Sequence[FlowLike],
    *,
    inputs: bool = True,
    convention: Convention = "strict",
    strings: Strings = "exact",
    encoder: Encoder | None = None,
    record: str = "the pair",
) -> float:
    """How alike a candidate is to a reference, or to the best of several: 1.0 is equal.

    Each flow is a `Flow`, a parsed JSON object or a text. `inputs=False` leaves out the inputs of the trigger and of
    components. `convention="strict"` lies in [0, 1], is symmetric in its two flows and 1 only for equal flows; a
    candidate text that is no flow scores 0.0, and two empty flows 1.0. `convention="published"` is the published
    number with all its quirks. `strings="similar"` (strict only) grades free text, by letters or by `encoder`.

    Raises `UnreadableFlow` for a reference that is no flow, `FlowTooLarge` beyond the limits (both are ValueErrors
    that name `record`), ValueError for an empty list of references or an unknown option.

    >>> flow_similarity('{"trigger": {"type": "daily"}, "components": []}',
    ...                 '{"trigger": {"type": "weekly"}, "components": []}')
    0.0
    """
    check_options(convention, strings)
    references = as_references(reference, record)
    if convention == "published":
        value = published_value(candidate, f"the candidate of {record}")
        values = [published_value(each, f"the reference of {record}") for each in references]
        return max(published_similarity(value, each, inputs=inputs, record=record) for each in values)
    trees = [reference_tree(each, inputs, record) for each in references]
    parsed = read_strict(checked(candidate, f"the candidate of {record}"))
    if parsed.flow is None:
        return 0.0
    tree = strict_tree(parsed.flow, inputs=inputs, record=f"the candidate of {record}")
    texts = TextCosts(encoder) if strings == "similar" else None
    return max(strict_similarity(tree, each, texts, record) for each in trees)


def strict_similarity(first: Tree, second: Tree, texts: TextCosts | None = None, record: str = "the pair") -> float:
    """Strict FlowSim of two strict trees; `texts` grades free text."""
    book = current_book()
    if texts is not None:
        from flowstudy.metrics.comparison import compare  # numpy and numba are imported when first needed

        distance = compare(first, second, book, texts, record).distance()
        return normalised(distance, book.length(first) * STEPS, book.length(second) * STEPS)
    distance = tree_distance(book.encode(first), book.encode(second), record)
    return normalised(distance, book.length(first), book.length(second))


def current_book() -> Codebook:
    """The strict codebook shared by single comparisons; a new one when it has grown large."""
    global _book
    if _book.is_large:
        _book = strict_book()
    return _book


def reference_tree(reference: FlowLike, inputs: bool, record: str) -> Tree:
    """The strict tree of a reference, which must be a flow."""
    parsed = read_strict(checked(reference, f"the reference of {record}"))
    if parsed.flow is None:
        raise UnreadableFlow(
            f"unreadable reference for {record}: expected a flow, got {parsed.error}; correct the reference"
        )
    return strict_tree(parsed.flow, inputs=inputs, record=f"the reference of {record}")


def published_value(flow: FlowLike, record: str) -> Any:
    """The JSON value that the published convention sees in a `Flow`, a parsed object or a text."""
    if isinstance(flow, Flow):
        return flow.to_dict()
    return read_published(flow, record) if isinstance(flow, str) else checked(flow, record)


def as_references(reference: FlowLike | Sequence[FlowLike], record: str) -> Sequence[FlowLike]:
    """One or several references as a sequence; ValueError when there is none."""
    references = [reference] if isinstance(reference, Flow | dict | str) else reference
    if not isinstance(references, Sequence) or not references:
        raise ValueError(f"no reference for {record}: expected a flow or a list of flows, got {references!r}; add one")
    return references


def check_options(convention: str, strings: str) -> None:
    """ValueError for an unknown convention or string comparison, or for a pair that does not go together."""
    if convention not in ("strict", "published"):
        raise ValueError(f"unknown convention: expected 'strict' or 'published', got {convention!r}; choose one")
    if strings not in ("exact", "similar"):
        raise ValueError(f"unknown strings: expected 'exact' or 'similar', got {strings!r}; choose one")
    if (convention, strings) == ("published", "similar"):
        raise ValueError("strings for the published convention: expected 'exact', got 'similar'; use 'strict'")


def checked(flow: Any, record: str) -> Any:
    """The flow itself; `UnreadableFlow` when it is neither a Flow nor an object nor a text."""
    if not isinstance(flow, Flow | dict | str):
        kind = type(flow).__name__
        raise UnreadableFlow(f"unreadable flow for {record}: expected Flow, dict or text, got {kind}; convert it")
    return flow
