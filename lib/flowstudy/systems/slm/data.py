"""Prompts and answers for fine-tuning: the same prompt file as when the model is asked, and suggestions drawn anew.

A training example is seen several times. Each pass draws other suggestions for it: as many as a retriever offers, in
an order as good as a retriever's, with other distractors; and some of the names are exchanged consistently in prompt
and answer, so that names are copied from the prompt and not recalled. Nothing here depends on a fitted retriever.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flowstudy.corpus.environments import CORE, shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import Shot, render, stage_answer
from flowstudy.systems.records import Strategy, Suggestion, SystemSpec
from flowstudy.systems.retrieval import LexicalRanker, entries, top, with_missing
from flowstudy.systems.uses import catalogue_uses, exists

#: What a needed entry gains over its lexical score, and the spread of the noise: with k = 8, nine of ten needed steps
#: are among the suggestions and the first is a needed one nine times in ten, as with the trained retriever.
LIFT: Final = 0.7
NOISE: Final = 0.3
#: How often a needed entry of the platform core that was not drawn is offered all the same; others always are.
PLATFORM: Final = 0.5
#: How many prompts show their suggestions in no order.
UNSORTED: Final = 0.2
#: How many of the names in a prompt with exchanged names are exchanged.
EXCHANGED: Final = 0.6


class Pair(NamedTuple):
    """One training pair: the messages of the prompt, the answer and the example's id."""

    id: str
    messages: list[dict[str, str]]
    completion: str


class Teaching(NamedTuple):
    """How examples become pairs. `k` and `prompt` are as when the model is asked; `redraw` draws suggestions anew in
    each pass, `rename` is the share of prompts (0..1) with exchanged names, `offered` False trains without
    suggestions."""

    k: int = 8
    prompt: str = "outline"
    strategy: Strategy = "whole"
    redraw: bool = True
    rename: float = 0.25
    offered: bool = True


def pairs(
    examples: Sequence[Example], catalogues: Mapping[str, Catalogue], teaching: Teaching | None = None, *,
    seed: int = 0, number: int = 0,
) -> list[Pair]:  # fmt: skip
    """The pairs of pass `number` in the order of `examples`: one an example for the strategy `whole`, an outline and
    one for each step with inputs for `decomposed`.

    Raises ValueError naming an example whose domain has no catalogue.
    """
    teaching = teaching or Teaching()
    lacking = [example.id for example in examples if example.domain not in catalogues]
    if lacking:
        raise ValueError(f"example {lacking[0]}: expected a catalogue for its domain, got none; add one")
    drawers = {domain: _Drawer(catalogues[domain]) for domain in {example.domain for example in examples}}
    turn = number if teaching.redraw else 0
    found = []
    for example in examples:
        rng = random.Random(f"{seed}|{turn}|{example.id}")
        offered = drawers[example.domain].draw(example, teaching.k, rng) if teaching.offered else []
        made = _pairs_of(example, catalogues[example.domain], offered, teaching)
        found += [exchanged(one, rng) for one in made] if rng.random() < teaching.rename else made
    return found


def _pairs_of(
    example: Example, catalogue: Catalogue, offered: Sequence[Suggestion], teaching: Teaching
) -> list[Pair]:  # fmt: skip
    spec = SystemSpec(name="slm", model="slm/train", prompt=teaching.prompt, strategy=teaching.strategy)
    shot = Shot(example, offered)
    if teaching.strategy == "whole":
        asked = render(spec, "whole", example.requirement, offered, catalogue)
        return [Pair(example.id, asked.messages, stage_answer(asked.reads, "whole", shot))]
    outline = example.flow.without_inputs()
    asked = render(spec, "outline", example.requirement, offered, catalogue)
    found = [Pair(example.id, asked.messages, stage_answer(asked.reads, "outline", shot))]
    for step in (example.flow.trigger, *example.flow.components):
        if step is not None and step.inputs:
            asked = render(spec, "inputs", example.requirement, offered, catalogue, flow=outline, step=step)
            answer = stage_answer(asked.reads, "inputs", shot, step)
            found.append(Pair(example.id, asked.messages, answer))
    return found


class _Drawer:
    """Draws suggestions from one catalogue as a retriever of ordinary quality would rank it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.entries, self.lexical = catalogue, entries(catalogue), LexicalRanker(catalogue)
        self.core = shipped_catalogue(CORE)

    def draw(self, example: Example, k: int, rng: random.Random) -> list[Suggestion]:
        uses = {use for use in catalogue_uses(example.flow) if exists(use, self.catalogue)}
        scores = [
            score + rng.gauss(0.0, NOISE) + (LIFT if (entry.kind, entry.name) in uses else 0.0)
            for score, entry in zip(self.lexical.scores(example.requirement), self.entries, strict=True)
        ]
        found = top(self.entries, scores, k)
        missing = sorted(uses - {(s.kind, s.name) for s in found})
        missing = [use for use in missing if not exists(use, self.core) or rng.random() < PLATFORM]
        found = with_missing(found, missing, rng)
        if rng.random() < UNSORTED:
            found = sorted(rng.sample(found, len(found)), key=lambda s: _ORDER[s.kind])
        return found


_ORDER: Final = {"trigger": 0, "action": 1, "subflow": 1, "table": 2, "column": 3}
_WORDS: Final = {
    "get": "fetch", "find": "locate", "look": "search", "create": "open", "update": "change", "send": "dispatch",
    "notify": "inform", "check": "verify", "close": "finish", "request": "ask", "add": "append", "remove": "drop",
    "cancel": "revoke", "start": "launch", "book": "reserve", "assign": "allot", "order": "purchase", "record": "entry",
    "records": "entries", "user": "person", "approval": "consent", "notification": "alert", "email": "mail",
    "date": "day", "number": "no", "manager": "lead", "group": "team", "state": "status", "case": "file",
}  # fmt: skip
_OFFERED: Final = re.compile(r"^(?:action|subflow|table) ([\w.\-]+)", re.MULTILINE)
_COLUMN: Final = re.compile(r"(?<= \| )([a-z]+_\w+)")


def exchanged(pair: Pair, rng: random.Random) -> Pair:
    """The pair with some offered names (steps, tables, columns of several words) written otherwise, the same in the
    offered lines, in an outline to complete and in the answer. The requirement keeps its words."""
    text = pair.messages[-1]["content"]
    offered, mark, rest = text.partition("\nRequirement: ")
    if not mark:
        return pair
    tables = [line for line in offered.split("\n") if line.startswith("table ")]
    columns = {name for line in tables for name in _COLUMN.findall(line)}
    names = sorted({*_OFFERED.findall(offered), *columns})
    chosen = {name: _otherwise(name, rng) for name in names if rng.random() < EXCHANGED}
    known = set(names)
    chosen = {old: new for old, new in chosen.items() if new not in known}
    answer = pair.completion
    requirement, marked, outline = rest.rpartition("\nWorkflow:")  # in the stage `inputs` the outline so far
    for old, new in chosen.items():
        if "_" in old:  # of several words: cannot be meant otherwise
            before = r"(?<![\w.])" if "." in old else r"(?<!\w)"
        else:
            before = r"(?:(?<=\baction )|(?<=\bsubflow )|(?<=\btable )|(?<= of )|(?<=\btable = ))"
        pattern = re.compile(rf"{before}{re.escape(old)}(?!\w)")
        offered, outline, answer = (pattern.sub(new, part) for part in (offered, outline, answer))
    content = f"{offered}{mark}{requirement}{marked}{outline}"
    messages = [*pair.messages[:-1], {**pair.messages[-1], "content": content}]
    return Pair(pair.id, messages, answer)


def _otherwise(name: str, rng: random.Random) -> str:
    """Another spelling of a name: other words, another order, another scope.

    >>> _otherwise("a", random.Random(0)) != "a"
    True
    """
    scope, dot, rest = name.rpartition(".")
    parts = [_WORDS.get(part, part) if rng.random() < 0.7 else part for part in rest.split("_")]
    if len(parts) > 1 and rng.random() < 0.3:
        parts = [*parts[1:], parts[0]]
    found = "_".join(part for part in parts if part) or rest
    if dot and rng.random() < 0.5:
        scope = "x_" + "".join(rng.choice("bcdfglmnprst") + rng.choice("aeiou") for _ in range(3))
    if found == rest and not dot:
        found = rng.choice([f"u_{rest}", f"{rest}_v2", f"my_{rest}"])
    return f"{scope}{dot}{found}"
