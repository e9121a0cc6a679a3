"""Drafts: the outline of the most similar training example, in the numbers of the prompt at hand.

A prompt file that says `drafts: true` shows no question and answer of another requirement; it shows what was built for
the nearest one, and the model edits it (retrieve and edit: Hashimoto et al., 2018, arXiv 1812.01194).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Flow
from flowstudy.systems.neighbours import example_index
from flowstudy.systems.offers import in_shelves
from flowstudy.systems.prompts import Shot, load_prompt
from flowstudy.systems.records import Suggestion
from flowstudy.systems.uses import catalogue_uses, exists

#: How many neighbours are looked through for one whose steps all exist in the catalogue.
NEIGHBOURS: Final = 20


def drafted(
    prompt: str, example: Example, suggestions: Sequence[Suggestion], train: Sequence[Example], catalogue: Catalogue
) -> tuple[Sequence[Suggestion], list[Shot]]:
    """What the prompt of an example shows: the suggestions, followed on their shelves by the steps of the draft that
    are not among them (so that a draft can point at all of its steps), and the shot that the draft is made of.

    That is the nearest training example, not itself, whose steps all exist in the catalogue. Without one, and for a
    prompt file without drafts: the suggestions as they are, and no shot.
    """
    if not load_prompt(prompt).drafts:
        return suggestions, []
    for near in example_index(train).nearest(example.requirement, NEIGHBOURS, exclude=example.id):
        if all(exists(use, catalogue) for use in catalogue_uses(near.flow.skeleton())):
            return with_steps_of(near.flow, suggestions), [Shot(near)]
    return suggestions, []


def with_steps_of(flow: Flow, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """The suggestions, followed on their shelves by the steps of `flow` that are not among them."""
    more = sorted(catalogue_uses(flow.skeleton()) - {(s.kind, s.name) for s in suggestions})
    return in_shelves([*suggestions, *(Suggestion(kind=kind, name=name) for kind, name in more)])  # type: ignore[arg-type]
