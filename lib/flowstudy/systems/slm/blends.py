"""Drafts to learn from: for invented examples blends, somewhere between right and useless, for real ones good ones too.

A training corpus holds no two requirements that are nearly the same, but what a model is asked later may be nearly the
same as a training example. Without practice it follows such a draft no more than another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import FOLLOWS, Component, Flow
from flowstudy.metrics import flow_similarity
from flowstudy.systems.drafts import usable, with_steps_of
from flowstudy.systems.prompts import Shot
from flowstudy.systems.records import Suggestion

#: How much of a flow its draft keeps; one of these is drawn for each draft.
KEEPS: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
#: Standard deviation of how like a real draft is around what is expected of it (hand-written training examples, each
#: left out in turn: 0.2; see `systems.drafts`).
UNSURE: Final = 0.2
#: How many good drafts of real examples are blends: what is nearest in training is seldom as near as it can be later.
BLENDS: Final = 0.5


def blended(flow: Flow, other: Flow, rng: random.Random) -> Flow:
    """The outline of `flow` with steps left out, exchanged for steps of `other`, and added from there; with nothing
    kept, the outline of `other`."""
    keep = rng.choice(KEEPS)
    if keep == 0:
        return other.skeleton()
    spare = [c for c in other.components if not c.is_logic]
    change = (1 - keep) / 2
    trigger = flow.trigger if rng.random() < 1 - change else other.trigger
    blend = Flow(trigger=trigger)
    places: dict[int | None, int | None] = {None: None}
    last: dict[int | None, str] = {}
    for component in flow.components:
        if component.block not in places:
            continue
        block, draw = places[component.block], rng.random()
        if spare and rng.random() < change / 2:
            last[component.block] = _add(blend, rng.choice(spare), block).definition
        if draw < keep and _follows(component, last.get(component.block, "")):
            places[component.order] = _add(blend, component, block).order
            last[component.block] = component.definition
        elif spare and draw < keep + change:
            last[component.block] = _add(blend, rng.choice(spare), block).definition
    return blend.skeleton()


def told_likeness(draft: Flow, flow: Flow, rng: random.Random) -> float:
    """How like `flow` its draft is said to be, 0 to 1 in tenths: about right, as it is for real drafts."""
    said = flow_similarity(draft, [flow], inputs=False) + rng.gauss(0, UNSURE)
    return round(min(1.0, max(0.0, said)), 1)


def practised(
    example: Example, suggestions: Sequence[Suggestion], train: Sequence[Example], catalogue: Catalogue,
    rng: random.Random,
) -> tuple[Sequence[Suggestion], list[Shot]]:  # fmt: skip
    """As `drafts.drafted`, but the draft is the one of the nearest training examples that is most like the answer, or
    a blend of both, and said to be about as like the answer as it is."""
    fit = usable(example, train, catalogue)
    if not fit:
        return suggestions, []
    like = [flow_similarity(near.flow, example.references, inputs=False) for near in fit]
    best = fit[like.index(max(like))].flow
    draft = blended(example.flow, best, rng) if rng.random() < BLENDS else best
    shot = Shot(example.with_flow(draft), likeness=told_likeness(draft, example.flow, rng))
    return with_steps_of(draft, suggestions), [shot]


def _follows(component: Component, previous: str) -> bool:
    """Whether flow logic that must follow another (ELSE an IF) still does."""
    wanted = FOLLOWS.get(component.definition) if component.is_logic else None
    return wanted is None or previous in wanted


def _add(blend: Flow, component: Component, block: int | None) -> Component:
    added = component.model_copy(update={"order": blend.steps + 1, "block": block})
    blend.components.append(added)
    return added
