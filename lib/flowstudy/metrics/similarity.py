"""FlowSim: how alike two workflows are, in the strict or the published convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from flowstudy.flows.schema import Flow
from flowstudy.metrics.published import encoded, similarity
from flowstudy.metrics.published_tree import published_book, published_trees, read_published
from flowstudy.metrics.strict import EDITION, StrictFlow, read_strict, strict_book
from flowstudy.metrics.trees import Codebook, FlowTooLarge, UnreadableFlow

FlowLike: TypeAlias = Flow | dict[str, Any] | str
Convention = Literal["strict", "published"]
Strings = Literal["exact", "similar"]


class Options(TypedDict, total=False):
    """The keyword arguments of `flow_similarity`, for functions that take the same ones."""

    inputs: bool
    convention: Convention
    strings: Strings
    record: str


def flow_similarity(
    candidate: FlowLike,
    reference: FlowLike | Sequence[FlowLike],
    *,
    inputs: bool = True,
    convention: Convention = "strict",
    strings: Strings = "exact",
    record: str = "the pair",
) -> float:
    """How alike a candidate is to a reference, or to the best of several: 1.0 is equal.

    Each flow is a `Flow`, a parsed JSON object or a text. `inputs=False` leaves out the inputs of the trigger and of
    components. `convention="strict"` lies in [0, 1], is symmetric in its two flows and 1 only for flows that differ in
    nothing that means something (`STRICT_DIFFERENCES`); a candidate text that is no flow scores 0.0, and two empty
    flows 1.0. `convention="published"` is the published number with all its quirks. `strings="similar"` (strict only)
    grades free text by letters.

    Raises `UnreadableFlow` for a reference that is no flow, `FlowTooLarge` beyond the limits (both are ValueErrors
    that name `record`), ValueError for an empty list of references or an unknown option.

    >>> flow_similarity('{"trigger": {"type": "daily"}, "components": []}',
    ...                 '{"trigger": {"type": "weekly"}, "components": []}')
    0.0
    """
    check_options(convention, strings)
    references = as_references(reference, record)
    if convention == "published":
        return max(_published(candidate, each, inputs, record) for each in references)
    book = strict_book()
    first = strict_flow(candidate, book, f"the candidate of {record}")
    others = [strict_reference(each, book, record) for each in references]
    return max(strict_similarity(first, each, book, inputs, strings, record) for each in others)


def signature(
    *, inputs: bool = True, convention: Convention = "strict", strings: Strings = "exact", references: str = "best"
) -> str:
    """What makes a score comparable with others, in one word to print beside it; `references`: `best` or `first`.

    Its version is the edition of the convention: scores of two editions are never compared.

    >>> signature(inputs=False)
    'FlowSim|v2|strict|no_inputs|refs:best|strings:exact'
    """
    check_options(convention, strings)
    version, mode = EDITION if convention == "strict" else 1, "inputs" if inputs else "no_inputs"
    return f"FlowSim|v{version}|{convention}|{mode}|refs:{references}|strings:{strings}"


def _published(candidate: FlowLike, reference: FlowLike, inputs: bool, record: str) -> float:
    """Published FlowSim of two flows; 0.0 where the published code raises."""
    book, codes = published_book(), []
    for side, flow in (("candidate", candidate), ("reference", reference)):
        where = f"the {side} of {record}"
        codes.append(encoded(published_trees(read_published(checked(flow, where), where), where)[inputs], book))
    return similarity(codes[0], codes[1], record)


def strict_similarity(
    first: StrictFlow, second: StrictFlow, book: Codebook, inputs: bool, strings: Strings, record: str
) -> float:
    """Strict FlowSim of two flows that were read with one codebook; 0.0 if either is none."""
    if first.trees is None or second.trees is None or first.codes is None or second.codes is None:
        return 0.0
    if strings == "exact":
        return similarity(first.codes[inputs], second.codes[inputs], record)
    from flowstudy.metrics.comparison import STEPS, compare, text_cost  # numpy and numba, when first needed

    distance = compare(first.trees[inputs], second.trees[inputs], book, text_cost, record).distance()
    total = (first.codes[inputs].length + second.codes[inputs].length) * STEPS
    return 1 - distance / total if total else 1.0


def strict_flow(flow: FlowLike, book: Codebook, record: str) -> StrictFlow:
    """A flow as the strict convention reads it; only one that is too large raises (`FlowTooLarge`)."""
    found = read_strict(checked(flow, record), book, record)
    if found.status == "too_large":
        raise FlowTooLarge(found.error)
    return found


def strict_reference(reference: FlowLike, book: Codebook, record: str) -> StrictFlow:
    """A reference as the strict convention reads it; `UnreadableFlow` unless it is a flow."""
    found = strict_flow(reference, book, f"the reference of {record}")
    if found.codes is None:
        raise UnreadableFlow(
            f"unreadable reference for {record}: expected a flow, got {found.error}; correct the reference"
        )
    return found


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


def is_flow_like(flow: Any) -> bool:
    """True for a `Flow`, a parsed JSON object or a text."""
    return isinstance(flow, Flow | dict | str)


def checked(flow: Any, record: str) -> Any:
    """The flow itself; `UnreadableFlow` when it is neither a Flow nor an object nor a text."""
    if not is_flow_like(flow):
        kind = type(flow).__name__
        raise UnreadableFlow(f"unreadable flow for {record}: expected Flow, dict or text, got {kind}; convert it")
    return flow
