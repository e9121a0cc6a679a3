"""Drafts: the outline of a similar training example, in the numbers of the prompt at hand.

A prompt file that says `drafts: true` shows no question and answer of another requirement; it shows what was built for
a similar one, and the model edits it (retrieve and edit: Hashimoto et al., 2018, arXiv 1812.01194). Of the nearest
examples, the one is taken that promises most: it shares words with the requirement, and its steps are suggested (see
`promise`). On validation the outline of the chosen one has a strict FlowSim of 0.47 with the reference, that of the
very nearest one 0.37; on training examples, each left out in turn, 0.46 and 0.33.

The prompt says in tenths how like the answer the draft is expected to be: a model that is told nothing follows a good
draft as little as a bad one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
#: How much a draft must promise. Of hand-written training examples, each left out in turn, the tenth of the drafts
#: below 0.67 has a FlowSim of 0.35 with the reference, the tenth above 1.04 one of 0.62.
ENOUGH: Final = 0.6
#: What shared words, a suggested trigger and other suggested steps count. Chosen on hand-written training examples,
#: each left out in turn, and validation; a fit of thirteen measures by least squares finds drafts of 0.47 on both.
WEIGHTS: Final = (2.0, 0.3, 0.5)


def drafted(
    prompt: str, example: Example, suggestions: Sequence[Suggestion], train: Sequence[Example], catalogue: Catalogue
) -> tuple[Sequence[Suggestion], list[Shot]]:
    """What the prompt of an example shows: the suggestions, followed on their shelves by the steps of the draft that
    are not among them (so that a draft can point at all of its steps), and the shot that the draft is made of.

    That is the training example near to this one, not itself, of the same domain, whose steps all exist in the
    catalogue and that promises most, if it promises enough. Without one, and for a prompt file without drafts: the
    suggestions as they are, no shot.
    """
    if not load_prompt(prompt).drafts:
        return suggestions, []
    surest, index, fit = reciprocal_ranks(suggestions), example_index(train), usable(example, train, catalogue)
    shared = dict(zip((near.id for near in index.examples), index.votes.shared(example.requirement), strict=True))
    promises = [promise(shared[near.id], near, surest) for near in fit]
    if max(promises, default=0.0) < ENOUGH:
        return suggestions, []
    best = fit[promises.index(max(promises))]
    return with_steps_of(best.flow, suggestions), [Shot(best, likeness=expected_likeness(max(promises)))]


def usable(example: Example, train: Sequence[Example], catalogue: Catalogue) -> list[Example]:
    """The nearest training examples (at most NEIGHBOURS), closest first, that could be a draft: not this one, of the
    same domain, with no step that the catalogue lacks."""
    found = example_index(train).scored(example.requirement, NEIGHBOURS, exclude=example.id, domain=example.domain)
    return [near for near, _ in found if all(exists(use, catalogue) for use in catalogue_uses(near.flow.skeleton()))]


def expected_likeness(promised: float) -> float:
    """The FlowSim without inputs that is expected of a draft, 0 to 1 in tenths: half of what it promises.

    Of hand-written training examples, each left out in turn, and validation, drafts told 0.3 to 0.6 had 0.33,
    0.38, 0.46 and 0.51; from one to the next the deviation is 0.2.
    """
    return round(min(1.0, float(promised) / 2), 1)


def promise(shared: float, near: Example, surest: Mapping[Use, float]) -> float:
    """How good a draft the flow of another example is likely to be, 0 to 2.8: the share of words that both requirements
    have (see `Votes.shared`), and how sure the retriever is of its trigger and, on average, of its other steps."""
    steps = catalogue_uses(near.flow.skeleton())
    triggers = [surest.get(use, 0.0) for use in steps if SHELF[use[0]] == 0]
    others = [surest.get(use, 0.0) for use in steps if SHELF[use[0]] > 0]
    parts = (shared, sum(triggers), sum(others) / max(1, len(others)))
    return sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))


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
