"""Drafts: the outline of a similar training example, in the numbers of the prompt at hand.

A prompt file that says `drafts: true` shows no question and answer of another requirement; it shows what was built for
a similar one, and the model edits it (retrieve and edit: Hashimoto et al., 2018, arXiv 1812.01194). Of the nearest
examples, the one is taken whose requirement is close and whose steps the retriever suggests; both count the same. On
validation its outline has a strict FlowSim of 0.44 with the reference, that of the very nearest one 0.38; on training
examples, each left out in turn, 0.44 and 0.35.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Flow
from flowstudy.systems.neighbours import example_index
from flowstudy.systems.prompts import Shot, load_prompt
from flowstudy.systems.records import Suggestion
from flowstudy.systems.retrieval import SHELF, in_shelves
from flowstudy.systems.uses import Use, catalogue_uses, exists

#: How many of the nearest examples are looked at.
NEIGHBOURS: Final = 20
#: How much of a draft the retriever must suggest, 0..1. Of hand-written training examples, each left out in turn, the
#: fifth of the drafts below 0.38 has a FlowSim of 0.28 with the reference, the fifth above 0.72 one of 0.60.
ENOUGH: Final = 0.4


def drafted(
    prompt: str, example: Example, suggestions: Sequence[Suggestion], train: Sequence[Example], catalogue: Catalogue
) -> tuple[Sequence[Suggestion], list[Shot]]:
    """What the prompt of an example shows: the suggestions, followed on their shelves by the steps of the draft that
    are not among them (so that a draft can point at all of its steps), and the shot that the draft is made of.

    That is a training example near to this one, not itself, of the same domain, whose steps all exist in the catalogue
    and are suggested enough. Without one, and for a prompt file without drafts: the suggestions as they are, no shot.
    """
    if not load_prompt(prompt).drafts:
        return suggestions, []
    found = example_index(train).scored(example.requirement, NEIGHBOURS, exclude=example.id, domain=example.domain)
    steps, surest = {near.id: catalogue_uses(near.flow.skeleton()) for near, _ in found}, reciprocal_ranks(suggestions)
    suggested = {name: sum(surest.get(step, 0.0) for step in own) / max(1, len(own)) for name, own in steps.items()}
    fit = [(near, close) for near, close in found if all(exists(use, catalogue) for use in steps[near.id])]
    most = max((close for _, close in fit), default=0.0) or 1.0
    best = max(fit, key=lambda pair: pair[1] / most + suggested[pair[0].id], default=None)
    if best is None or suggested[best[0].id] < ENOUGH:
        return suggestions, []
    return with_steps_of(best[0].flow, suggestions), [Shot(best[0])]


def reciprocal_ranks(suggestions: Sequence[Suggestion]) -> dict[Use, float]:
    """1 for what the retriever is surest of on a shelf, 1/2 for what comes next, ...; what it holds equal is equal."""
    ranks: dict[Use, float] = {}
    for item in suggestions:
        ahead = sum(SHELF[other.kind] == SHELF[item.kind] and other.score > item.score for other in suggestions)
        ranks[item.kind, item.name] = 1 / (1 + ahead)
    return ranks


def with_steps_of(flow: Flow, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """The suggestions, followed on their shelves by the steps of `flow` that are not among them."""
    more = sorted(catalogue_uses(flow.skeleton()) - {(s.kind, s.name) for s in suggestions})
    return in_shelves([*suggestions, *(Suggestion(kind=kind, name=name) for kind, name in more)])  # type: ignore[arg-type]
