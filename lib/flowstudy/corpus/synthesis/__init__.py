"""Training examples out of a catalogue: any number, seeded, none written by hand and none seen in a test split.

A planner draws a flow from the catalogue (trigger, steps, blocks, references to earlier data, implicit steps), and a
writer puts its words into prose, bullets or a terse line, so that requirement and flow always agree.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator

from flowstudy.corpus.example import CORPUS_SCHEMA, Example, Split
from flowstudy.corpus.synthesis.blocks import BLOCKS
from flowstudy.corpus.synthesis.invent import invent_catalogue
from flowstudy.corpus.synthesis.plan import Deck, Mix, Node, Plan, Planner
from flowstudy.corpus.synthesis.scene import Scene, World
from flowstudy.corpus.synthesis.write import Writer
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Component, Flow, Input, Trigger

__all__ = ["Mix", "generate", "invent_catalogue"]
LICENCE = "CC-BY-4.0"


def generate(
    catalogue: Catalogue,
    n: int,
    seed: int = 0,
    *,
    split: Split = "train",
    domain: str | None = None,
    mix: Mix | None = None,
    avoid: Iterable[str] = (),
) -> Iterator[Example]:
    """`n` examples of one environment, deterministic in catalogue, seed and mix; no requirement repeats.

    `mix` sets the shares of features and the sizes (1-20 components; up to 200 on request); `avoid` are
    requirements that must not come out. Components carry the words that they cover as their annotation; a component
    that the text leaves unsaid has none and is named in the feature `implicit_step`.
    Raises ValueError when the catalogue has no step, or so few that new requirements run out.
    """
    if not catalogue.actions and not catalogue.subflows:
        raise ValueError(f"catalogue {catalogue.name}: expected at least one action or subflow, got none")
    mix = mix or Mix()
    world = World(catalogue)
    deck = Deck(world)
    seen = {_plain(text) for text in avoid}
    for number in range(n):
        for attempt in range(50):
            rng = random.Random(f"{catalogue.name}|{seed}|{number}|{attempt}")
            example = _example(world, deck, mix, rng)
            if _plain(example[0]) not in seen:
                break
        else:
            raise ValueError(
                f"catalogue {catalogue.name}: expected {n} different requirements, got {number}; it has too few steps"
            )
        seen.add(_plain(example[0]))
        requirement, flow, implicit = example
        yield Example.model_construct(
            schema_version=CORPUS_SCHEMA, id=f"syn-{domain or catalogue.name}-{seed}-{number}",
                requirement=requirement,
            references=[flow], domain=domain or catalogue.name, split=split, source="synthetic", licence=LICENCE,
            features={"implicit_step": [f"{n}: not said" for n in implicit] or False, "implicit_condition": False},
        )  # fmt: skip


def _plain(text: str) -> int:
    return hash(re.sub(r"\W+", " ", text.lower()))


def _example(world: World, deck: Deck, mix: Mix, rng: random.Random) -> tuple[str, Flow, list[int]]:
    scene = Scene(world, rng)
    plan = Planner(world, deck, scene, mix, _size(rng, *mix.sizes), BLOCKS).plan()
    writer = Writer(scene, mix)
    writer.write(plan)
    protected = {word for _, value in _values(plan) for word in re.split(r"\W+", value)} if writer.typos else set()
    requirement, spans = writer.finish(protected)
    return requirement, _flow(plan, spans), plan.implicit


def _size(rng: random.Random, fewest: int, most: int) -> int:
    """Mostly small, with a long tail up to `most`."""
    return min(most, fewest + int(rng.expovariate(1 / 4.5))) if most <= 20 else rng.randint(fewest, most)


def _walk(nodes: list[Node], block: int | None = None) -> Iterator[tuple[Node, int | None]]:
    for node in nodes:
        yield node, block
        yield from _walk(node.children, node.order)


def _values(plan: Plan) -> Iterator[tuple[str, str]]:
    yield from plan.start.inputs if plan.start else ()
    for node, _ in _walk(plan.nodes):
        yield from node.inputs


def _flow(plan: Plan, spans: dict[int, str]) -> Flow:
    start = plan.start
    trigger = Trigger.model_construct(type=start.type, inputs=_inputs(start.inputs)) if start else None
    components = [
        Component.model_construct(
            category=node.category,
            definition=node.definition,
            scope=node.scope,
            order=node.order,
            block=block,
            annotation=spans.get(node.order) or None,
            inputs=_inputs(node.inputs),
        )
        for node, block in _walk(plan.nodes)
    ]
    return Flow.model_construct(trigger=trigger, components=components, inputs=None, outputs=None)


def _inputs(pairs: list[tuple[str, str]]) -> list[Input]:
    return [Input.model_construct(name=name, value=value) for name, value in pairs]
