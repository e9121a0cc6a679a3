"""Prompts and answers for a small model: the same suggestions, prompt file and template as when it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from flowstudy.corpus.environments import CORE, shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.corpus.synthesis import Mix, generate, invent_catalogue
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.drafts import drafted, with_steps_of
from flowstudy.systems.offers import suggest_all
from flowstudy.systems.prompts import Shot, load_prompt, render, stage_answer
from flowstudy.systems.records import Strategy, Suggestion, SystemSpec
from flowstudy.systems.retrieval import Ranker, in_shelves, retrieve, with_missing
from flowstudy.systems.slm.blends import blended, practised, told_likeness
from flowstudy.systems.slm.strange import with_strange_words
from flowstudy.systems.slm.template import render_messages
from flowstudy.systems.uses import catalogue_uses, exists

#: How often a platform entry that the retriever missed is offered in training all the same.
PLATFORM: Final = 0.35
#: How many invented examples have no annotations, as many hand-written ones.
BARE: Final = 0.4
#: How often suggestions are shown in no order: a model that learns to trust the first alone is misled when it is wrong.
UNSORTED: Final = 1 / 6
#: How many prompts of a training set show a good draft (see `blends`), if they show any.
PRACTICE: Final = 0.5
#: How many of the invented requirements beside a draft have strange words, and which shares of their words are strange.
STRANGE, STRANGERS = 0.7, (0.2, 0.4, 0.6, 0.8)


class Pair(NamedTuple):
    """One training pair: the rendered prompt, the answer and the example's id."""

    id: str
    prompt: str
    completion: str


def pair(
    example: Example, catalogue: Catalogue, suggestions: Sequence[Suggestion], *, prompt: str = "pointed",
    shots: Sequence[Shot] = (),
) -> Pair:  # fmt: skip
    """The pair of one example for the strategy `whole`, with the given suggestions; the prompt begins with `shots`."""
    spec = SystemSpec(name="slm", model="slm/train", prompt=prompt)
    shot = Shot(example, suggestions)
    rendered = render(spec, "whole", example.requirement, suggestions, catalogue, shots)
    return Pair(example.id, render_messages(rendered.messages), stage_answer(rendered.reads, "whole", shot, catalogue))


def stage_pairs(
    example: Example, catalogue: Catalogue, suggestions: Sequence[Suggestion], *, prompt: str = "pointed",
    shots: Sequence[Shot] = (),
) -> list[Pair]:  # fmt: skip
    """The pairs of one example for the strategy `decomposed`: its outline, then the inputs of each step that has some,
    each prompt as the pipeline asks it."""
    spec = SystemSpec(name="slm", model="slm/train", prompt=prompt, strategy="decomposed")
    shot, outline = Shot(example, suggestions), example.flow.without_inputs()
    asked = render(spec, "outline", example.requirement, suggestions, catalogue, shots)
    found = [Pair(example.id, render_messages(asked.messages), stage_answer(asked.reads, "outline", shot, catalogue))]
    for step in (example.flow.trigger, *example.flow.components):
        if step is None or not step.inputs:
            continue
        asked = render(spec, "inputs", example.requirement, suggestions, catalogue, flow=outline, step=step)
        answer = stage_answer(asked.reads, "inputs", shot, catalogue, step)
        found.append(Pair(example.id, render_messages(asked.messages), answer))
    return found


def pairs(
    examples: Sequence[Example], catalogues: Mapping[str, Catalogue], *, k: int = 10, retriever: str = "lexical",
    rankers: Mapping[str, Ranker] | None = None, prompt: str = "pointed", strategy: Strategy = "whole",
    complete: bool = True, seed: int = 0, shown: Sequence[Example] | None = None,
) -> list[Pair]:  # fmt: skip
    """Pairs of a training set with retrieved suggestions (`rankers` by domain belong to the retriever `trained`):
    one an example for the strategy `whole`, an outline and one for each step with inputs for `decomposed`.

    `complete` adds what the reference needs and the retriever missed (see `completed`), so that the model is never
    taught to spell a name that it cannot know, shows one prompt in six in no order, and half of the drafts are good
    ones (see `blends`). A prompt with drafts takes them from the examples `shown`, None for the training set itself.
    Raises ValueError naming an example whose domain has no catalogue.
    """
    found = []
    offers = suggest_all(retriever, examples, catalogues, k, seed, rankers=rankers)
    for example in examples:
        catalogue, near = catalogues[example.domain], examples if shown is None else shown
        offered, rng = offers[example.id], random.Random(f"{seed}|{example.id}")
        if complete and load_prompt(prompt).drafts and rng.random() < PRACTICE:
            suggestions, shots = practised(example, offered, near, catalogue, rng)
        else:
            suggestions, shots = drafted(prompt, example, offered, near, catalogue)
        if complete:
            suggestions = _as_in_training(suggestions, example, catalogue, rng)
        if strategy == "whole":
            found.append(pair(example, catalogue, suggestions, prompt=prompt, shots=shots))
        else:
            found += stage_pairs(example, catalogue, suggestions, prompt=prompt, shots=shots)
    return found


def _as_in_training(
    suggestions: Sequence[Suggestion], example: Example, catalogue: Catalogue, rng: random.Random
) -> list[Suggestion]:
    found = completed(suggestions, example, catalogue, rng, platform=PLATFORM)
    return _shuffled(found, rng) if rng.random() < UNSORTED else found


def completed(
    suggestions: Sequence[Suggestion],
    example: Example,
    catalogue: Catalogue,
    rng: random.Random,
    *,
    platform: float = 1.0,
) -> list[Suggestion]:
    """The suggestions with the missing entries that the reference uses, each in a random place of its shelf.

    Entries of the platform core are added only with the chance `platform` (0..1): a retriever often misses them, they
    are the same everywhere, and so the model learns to spell them.
    """
    offered, core = {(s.kind, s.name) for s in suggestions}, shipped_catalogue(CORE)
    missing = (
        use for use in sorted(catalogue_uses(example.flow) - offered)
        if exists(use, catalogue) and (not exists(use, core) or rng.random() < platform)
    )  # fmt: skip
    return with_missing(suggestions, missing, rng)


def invented_pairs(
    seed: int, mix: Mix, per_environment: int = 24, offers: Sequence[int] = (4, 6, 8, 8, 10, 12), shots: int = 0,
    drafts: float = 0.0,
) -> Iterator[list[Pair]]:  # fmt: skip
    """Endless training material for the seed model: the pairs of one invented environment after another, each with
    one of `offers` as its k for the retriever, its suggestions completed and sometimes in no order as in `pairs`; with
    `shots`, each prompt begins with up to so many examples of the same environment. The share `drafts` (0..1) shows a
    draft (see `blends`), most of them beside a requirement with strange words (see `strange`).
    """
    number = 0
    while True:
        rng = random.Random(f"{seed}|{number}")
        catalogue = invent_catalogue(seed * 1_000_003 + number)
        examples = list(generate(catalogue, per_environment, seed, mix=mix))
        examples = [_bare(example) if rng.random() < BARE else example for example in examples]
        shown: list[Shot] = []
        near: list[list[Shot]] = []
        for example in examples:
            found = retrieve("lexical", example.requirement, catalogue, rng.choice(list(offers)))
            draft = blended(example.flow, rng.choice(examples).flow, rng) if rng.random() < drafts else None
            found = _as_in_training(found if draft is None else with_steps_of(draft, found), example, catalogue, rng)
            if draft is None:
                near.append([])
            else:
                near.append([Shot(example.with_flow(draft), likeness=told_likeness(draft, example.flow, rng))])
                if rng.random() < STRANGE:
                    example = with_strange_words(example, rng.choice(STRANGERS), rng)
            shown.append(Shot(example, found))
        yield [
            pair(shot.example, catalogue, shot.suggestions, prompt="drafted", shots=draft) if draft
            else pair(shot.example, catalogue, shot.suggestions, shots=_others(shown, n, shots, rng))
            for n, (shot, draft) in enumerate(zip(shown, near, strict=True))
        ]  # fmt: skip
        number += 1


def _bare(example: Example) -> Example:
    return example.with_flow(example.flow.without_annotations())


def _others(shown: Sequence[Shot], place: int, most: int, rng: random.Random) -> list[Shot]:
    """One to `most` shots other than the one at `place`; none when `most` is 0."""
    return rng.sample([*shown[:place], *shown[place + 1 :]], rng.randint(min(1, most), most))


def _shuffled(suggestions: Sequence[Suggestion], rng: random.Random) -> list[Suggestion]:
    """Each shelf in another order."""
    return in_shelves(rng.sample(list(suggestions), len(suggestions)))
