"""Why a score is what it is: an optimal edit script from the same alignment, whose costs sum to the distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flowstudy.metrics.canonical import written
from flowstudy.metrics.comparison import STEPS, TextCost, compare, text_cost
from flowstudy.metrics.similarity import (
    FlowLike,
    Strings,
    as_references,
    check_options,
    checked,
    strict_pair,
    strict_similarity,
)
from flowstudy.metrics.strict import strict_book
from flowstudy.metrics.trees import Codebook, Tree

EditKind = Literal["matched", "relabelled", "inserted", "deleted"]
_EMPTY = Tree([("flow",)], [-1], [])


class Place(NamedTuple):
    """One node: `component` is its number from 1, 0 for the trigger, None elsewhere; `path` ends with `text`."""

    text: str
    path: tuple[str, ...]
    component: int | None
    input: str | None


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

    `status` is `ok`, `repaired` or `invalid_output` (the candidate is no flow: everything is missing).
    `reference_best` is the index of the reference explained. `sizes` are the two lengths by which the distance is
    normalised.
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

    @property
    def corrections(self) -> int:
        """How many things a person puts right: the edits that cost something, as people count them.

        One correction is a component or trigger that is added, taken away, exchanged or moved, with all its inputs; or
        one input of a component that stays.
        """
        stays, inputs = dict[int | None, int | None](), set[tuple[int | None, str]]()
        for _, cost, have, want, _ in self.edits:
            if have and want and have.component is not None and have.input is None and not cost:
                stays[have.component] = want.component
        count, gap = 0, [0, 0]  # taken away and added since the last component that is on both sides
        for number, (_, cost, have, want, moved) in enumerate(self.edits):
            if have and want and have.input is None and want.input is None:
                count, gap = count + bool(cost), [0, 0]
                continue
            for place, new in ((have, False), (want, True)):  # an input may stand for a component in the script
                if place and place.input is not None:
                    step = place.component if new else stays.get(place.component)
                    if cost and step in stays.values():
                        inputs.add((step, place.input))
                elif place and moved is not None:
                    count += moved > number
                elif place:
                    gap[new] += 1
                    count += gap[new] > gap[not new]
        return min(count + len(inputs), len(self.changes))  # a renamed input is one edit


def explain(
    candidate: FlowLike,
    reference: FlowLike | Sequence[FlowLike],
    *,
    inputs: bool = True,
    strings: Strings = "exact",
    record: str = "the pair",
) -> Explanation:
    """The optimal edit script behind strict `flow_similarity`, with the same arguments; of several references, for the
    best. The root, which costs nothing, has no edit. Raises what `flow_similarity` raises.

    >>> flow = {"trigger": {"type": "daily"}, "components": []}
    >>> [edit.kind for edit in explain(flow, flow).edits]
    ['matched']
    """
    check_options("strict", strings)
    references, book = as_references(reference, record), strict_book()
    first, others = strict_pair(checked(candidate, f"the candidate of {record}"), references, book, record)
    scores = [strict_similarity(first, each, book, inputs, strings, record) for each in others]
    best = scores.index(max(scores))
    trees = [found.trees[inputs] if found.trees else _EMPTY for found in (first, others[best])]
    edits = _edits(trees[0], trees[1], book, text_cost if strings == "similar" else None, record)
    sizes = len(trees[0].labels) - 1, len(trees[1].labels) - 1
    distance = sum(edit.cost for edit in edits)
    return Explanation(scores[best], distance, edits, sizes, first.status, best, first.repairs)


def _edits(first: Tree, second: Tree, book: Codebook, texts: TextCost | None, record: str) -> tuple[Edit, ...]:
    paired = compare(first, second, book, texts, record).pairs()
    kept_a, kept_b = range(1, len(first.labels)), range(1, len(second.labels))  # the root costs nothing
    steps = list(_merged(kept_a, kept_b, {a: b for a, (b, _) in paired.items()}))
    places_a, places_b = _places(first), _places(second)
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


def _places(tree: Tree) -> list[Place]:
    """The place of every node of a strict tree, in document order."""
    numbers = iter(tree.steps)
    found: list[Place] = []
    for label, above in zip(tree.labels, tree.parents, strict=True):
        kind, owner = label[0], found[above] if above >= 0 else Place("", (), None, None)
        component = next(numbers) if kind == "component" else 0 if kind == "trigger" else owner.component
        text = label_text(label)
        if "{{" in text and component is not None:
            text = written(text, tree.names[component])
        name = label[1] if kind in ("input", "query", "clause") else owner.input
        found.append(Place(text, (*owner.path, text) if above >= 0 else (), component, name))
    return found


def label_text(label: tuple[str, ...]) -> str:
    """A label as people read it.

    >>> label_text(("component", "action", "send_email", "global"))
    'action send_email'
    >>> label_text(("clause", "condition", "^OR", "state", "=", "3"))
    '^OR state = 3'
    """
    kind, *rest = label
    if kind == "component":
        category, definition, scope = rest
        name = definition if category == "flowlogic" else f"{category} {definition}"
        return name if scope == "global" else f"{name} ({scope})"
    if kind == "input":
        return f"{rest[0]}: {rest[2]}"
    if kind == "clause":
        return " ".join(rest[1:])
    if kind == "item":
        return f"{rest[0]}: {' '.join(filter(None, rest[1:]))}"
    return {"query": rest[-1:], "flow": ["flow"]}.get(kind, [f"{kind} {rest[-1]}" if rest else kind])[0]
