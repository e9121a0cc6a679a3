"""Why a score is what it is: an optimal edit script from the same alignment, whose costs sum to the distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flowstudy.metrics.comparison import compare
from flowstudy.metrics.places import Place, places
from flowstudy.metrics.published import current_book as published_book
from flowstudy.metrics.published import measured, normalised
from flowstudy.metrics.published_tree import published_tree
from flowstudy.metrics.similarity import (
    Convention,
    FlowLike,
    Strings,
    as_references,
    check_options,
    checked,
    current_book,
    flow_similarity,
    published_value,
    reference_tree,
)
from flowstudy.metrics.strict import strict_flow, strict_tree
from flowstudy.metrics.strings import STEPS, Encoder, TextCosts
from flowstudy.metrics.trees import FREE_CODE, Codebook, Tree

EditKind = Literal["matched", "relabelled", "inserted", "deleted"]
_EMPTY = Tree([("flow",)], [-1], [])


class Edit(NamedTuple):
    """One step of the script that turns the candidate into the reference.

    `deleted` nodes are only in the candidate, `inserted` ones only in the reference. `candidate` and `reference` are
    the place of the node on each side (label text, path, component number from 1 with 0 for the trigger, input name),
    None where it has none. `moved` is the number of the other edit when the same node was deleted here and inserted
    there, or the reverse: a step that only moved.
    """

    kind: EditKind
    cost: float
    candidate: Place | None
    reference: Place | None
    moved: int | None = None


@dataclass(frozen=True)
class Explanation:
    """A similarity with its reasons; the costs of `edits` sum to `distance` exactly.

    `status` is `ok`, `repaired`, `invalid_output` (the candidate is no flow: everything is missing) or `undefined`
    (published convention only: the published code raises and scores 0; there are no edits). `reference_best` is the
    index of the reference explained. `sizes` are the two lengths by which the distance is normalised.
    """

    similarity: float
    distance: float
    edits: tuple[Edit, ...]
    sizes: tuple[int, int]
    status: str = "ok"
    reference_best: int = 0
    repairs: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Edit, ...]:
        """The edits that cost something."""
        return tuple(edit for edit in self.edits if edit.cost)


def explain(
    candidate: FlowLike,
    reference: FlowLike | Sequence[FlowLike],
    *,
    inputs: bool = True,
    convention: Convention = "strict",
    strings: Strings = "exact",
    encoder: Encoder | None = None,
    record: str = "the pair",
) -> Explanation:
    """The optimal edit script behind `flow_similarity` with the same arguments; of several references, for the best.

    Nodes that cost nothing (the root; in the published convention also the keyword nodes) have no edit of their own.
    Raises what `flow_similarity` raises.

    >>> flow = {"trigger": {"type": "daily"}, "components": []}
    >>> [edit.kind for edit in explain(flow, flow).edits]
    ['matched']
    """
    check_options(convention, strings)
    references = as_references(reference, record)
    options: dict[str, Any] = {"inputs": inputs, "convention": convention, "strings": strings, "encoder": encoder}
    scores = [flow_similarity(candidate, each, **options, record=record) for each in references]
    best = scores.index(max(scores))
    if convention == "published":
        return _published(candidate, references[best], inputs, record, best)
    texts = TextCosts(encoder) if strings == "similar" else None
    second = reference_tree(references[best], inputs, record)
    parsed = strict_flow(checked(candidate, f"the candidate of {record}"))
    first = _EMPTY if parsed.flow is None else strict_tree(parsed.flow, inputs=inputs, record=record)
    edits = _edits(first, second, current_book(), texts, record)
    sizes = (current_book().length(first), current_book().length(second))
    return Explanation(scores[best], _total(edits), edits, sizes, parsed.status, best, parsed.repairs)


def _published(candidate: FlowLike, reference: FlowLike, inputs: bool, record: str, best: int) -> Explanation:
    book = published_book()
    values = (published_value(candidate, record), published_value(reference, record))
    trees = [published_tree(value, inputs=inputs, record=record) for value in values]
    sizes = [found.length if (found := measured(tree, book)) else None for tree in trees]
    first, second = trees
    if first is None or second is None or sizes[0] is None or sizes[1] is None:
        return Explanation(0.0, 0.0, (), (sizes[0] or 0, sizes[1] or 0), "undefined", best)
    edits = _edits(first, second, book, None, record)
    distance = _total(edits)
    return Explanation(normalised(int(distance), sizes[0], sizes[1]), distance, edits, (sizes[0], sizes[1]), "ok", best)


def _total(edits: Sequence[Edit]) -> float:
    return float(sum(edit.cost for edit in edits))


def _edits(first: Tree, second: Tree, book: Codebook, texts: TextCosts | None, record: str) -> tuple[Edit, ...]:
    comparison = compare(first, second, book, texts, record)
    rows = {node: row for row, node in enumerate(comparison.first.nodes)}
    columns = {node: column for column, node in enumerate(comparison.second.nodes)}
    paired = {a: (b, int(comparison.costs[rows[a], columns[b]])) for a, b in comparison.pairs()}
    kept_a, kept_b = ([n for n, label in enumerate(t.labels) if book[label] != FREE_CODE] for t in (first, second))
    steps = list(_merged(kept_a, kept_b, {a: b for a, (b, _) in paired.items()}))
    places_a, places_b = places(first), places(second)
    moved = _moves(steps, first, second)
    edits = []
    for number, (a, b) in enumerate(steps):
        cost = paired[a][1] if a is not None and b is not None else STEPS
        kind: EditKind = "deleted" if b is None else "inserted" if a is None else "relabelled" if cost else "matched"
        place_a, place_b = (None if a is None else places_a[a]), (None if b is None else places_b[b])
        edits.append(Edit(kind, cost / STEPS, place_a, place_b, moved.get(number)))
    return tuple(edits)


def _merged(
    kept_a: Sequence[int], kept_b: Sequence[int], paired: dict[int, int]
) -> Iterator[tuple[int | None, int | None]]:
    """Both trees in document order, pairs side by side: an alignment of ordered trees keeps that order."""
    waiting = iter(kept_b)
    for a in kept_a:
        if a not in paired:
            yield a, None
            continue
        for b in waiting:
            if b == paired[a]:
                break
            yield None, b
        yield a, paired[a]
    yield from ((None, b) for b in waiting)


def _moves(steps: Sequence[tuple[int | None, int | None]], first: Tree, second: Tree) -> dict[int, int]:
    """Edit number -> number of its other half, for labels that are deleted in one place and inserted in another."""
    gone: dict[Any, list[int]] = {}
    for number, (a, b) in enumerate(steps):
        if a is not None and b is None:
            gone.setdefault(first.labels[a], []).append(number)
    moved: dict[int, int] = {}
    for number, (a, b) in enumerate(steps):
        if a is None and b is not None and gone.get(second.labels[b]):
            other = gone[second.labels[b]].pop(0)
            moved[number], moved[other] = other, number
    return moved
