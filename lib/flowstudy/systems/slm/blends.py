"""Drafts for invented examples: like the nearest example of a corpus, somewhere between right and useless."""

from __future__ import annotations

import random
from typing import Final

from flowstudy.flows.schema import FOLLOWS, Component, Flow

#: How much of a flow its draft keeps; one of these is drawn for each draft.
KEEPS: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)


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


def _follows(component: Component, previous: str) -> bool:
    """Whether flow logic that must follow another (ELSE an IF) still does."""
    wanted = FOLLOWS.get(component.definition) if component.is_logic else None
    return wanted is None or previous in wanted


def _add(blend: Flow, component: Component, block: int | None) -> Component:
    added = component.model_copy(update={"order": blend.steps + 1, "block": block})
    blend.components.append(added)
    return added
