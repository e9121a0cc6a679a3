"""Prompts and answers for fine-tuning: the same prompt file and the same retriever as when the model is asked.

A training example is seen several times. Each pass draws its suggestions anew: as the retriever ranks them, with a
little noise, and in a share of the prompts as if no example of the environment had been seen, so that a model learns to
read what an unknown environment offers. Some of the names in such prompts are exchanged consistently in prompt and
answer, so that names are copied from the prompt and not recalled.
"""

from __future__ import annotations

import random
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flowstudy.corpus.environments import CORE, shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import Shot, render, stage_answer
from flowstudy.systems.prompts.offering import Conditions, conditions_of
from flowstudy.systems.records import Strategy, Suggestion, SystemSpec
from flowstudy.systems.retrieval import LexicalRanker, Ranker, entries, top, with_missing
from flowstudy.systems.slm.voices import in_another_voice
from flowstudy.systems.uses import catalogue_uses, exists

#: Noise on the scores of a ranker, as a share of their standard deviation: enough for another order in each pass.
NOISE: Final = 0.3
#: How many of the names in a prompt with exchanged names are exchanged.
EXCHANGED: Final = 0.6


class Pair(NamedTuple):
    """One training pair: the messages of the prompt, the answer and the example's id."""

    id: str
    messages: list[dict[str, str]]
    completion: str


class Teaching(NamedTuple):
    """How examples become pairs. `k` and `prompt` are as when the model is asked; `redraw` draws suggestions anew in
    each pass, `unseen` is the share of prompts (0..1) that are ranked as in an environment without training examples,
    `rename` the share of those (0..1) with exchanged names, `voice` the share (0..1) of requirements in another voice,
    `offered` False trains without suggestions."""

    k: int = 8
    prompt: str = "outline"
    strategy: Strategy = "whole"
    redraw: bool = True
    unseen: float = 0.5
    rename: float = 0.5
    voice: float = 0.4
    offered: bool = True


def pairs(
    examples: Sequence[Example], catalogues: Mapping[str, Catalogue], teaching: Teaching | None = None, *,
    rankers: Mapping[str, Ranker] | None = None, seed: int = 0, number: int = 0,
) -> list[Pair]:  # fmt: skip
    """The pairs of pass `number` in the order of `examples`: one an example for the strategy `whole`, an outline and
    one for each step with inputs for `decomposed`. `rankers` are by domain; without one, entries are ranked by words.

    Raises ValueError naming an example whose domain has no catalogue.
    """
    teaching = teaching or Teaching()
    lacking = [example.id for example in examples if example.domain not in catalogues]
    if lacking:
        raise ValueError(f"example {lacking[0]}: expected a catalogue for its domain, got none; add one")
    domains = {example.domain for example in examples}
    drawers = {domain: _Drawer(catalogues[domain], (rankers or {}).get(domain)) for domain in domains}
    turn = number if teaching.redraw else 0
    conditions = conditions_of(example.flow for example in examples)
    found = []
    for example in examples:
        rng = random.Random(f"{seed}|{turn}|{example.id}")
        unseen, renamed = rng.random() < teaching.unseen, rng.random() < teaching.rename
        offered = drawers[example.domain].draw(example, teaching.k, rng, unseen) if teaching.offered else []
        voiced = _voiced(example, teaching.voice, turn, seed)
        made = _pairs_of(voiced, catalogues[example.domain], offered, teaching, conditions)
        found += [exchanged(one, rng) for one in made] if unseen and renamed else made
    return found


def _voiced(example: Example, share: float, turn: int, seed: int) -> Example:
    rng = random.Random(f"{seed}|{turn}|{example.id}|voice")
    if rng.random() >= share:
        return example
    return example.model_copy(update={"requirement": in_another_voice(example.requirement, rng)})


def _pairs_of(
    example: Example, catalogue: Catalogue, offered: Sequence[Suggestion], teaching: Teaching, conditions: Conditions
) -> list[Pair]:  # fmt: skip
    spec = SystemSpec(name="slm", model="slm/train", prompt=teaching.prompt, strategy=teaching.strategy)
    shot = Shot(example, offered)
    if teaching.strategy == "whole":
        asked = render(spec, "whole", example.requirement, offered, catalogue, conditions=conditions)
        return [Pair(example.id, asked.messages, stage_answer(asked.reads, "whole", shot))]
    outline = example.flow.without_inputs()
    asked = render(spec, "outline", example.requirement, offered, catalogue, conditions=conditions)
    found = [Pair(example.id, asked.messages, stage_answer(asked.reads, "outline", shot))]
    for step in (example.flow.trigger, *example.flow.components):
        if step is not None and step.inputs:
            asked = render(
                spec, "inputs", example.requirement, offered, catalogue, flow=outline, step=step, conditions=conditions
            )
            answer = stage_answer(asked.reads, "inputs", shot, step)
            found.append(Pair(example.id, asked.messages, answer))
    return found


class _Drawer:
    """Draws suggestions from one catalogue."""

    def __init__(self, catalogue: Catalogue, ranker: Ranker | None) -> None:
        self.catalogue, self.entries = catalogue, entries(catalogue)
        self.ranker = ranker or LexicalRanker(catalogue)
        self.core = shipped_catalogue(CORE)

    def draw(self, example: Example, k: int, rng: random.Random, unseen: bool) -> list[Suggestion]:
        """As the retriever offers them, with noise. In an unseen environment every needed entry that is not of the
        platform core is among them: its name could not be recalled."""
        scores = self.ranker.scores(example.requirement, unseen=unseen)
        spread = NOISE * statistics.pstdev(scores) if scores else 0.0
        found = top(self.entries, [score + rng.gauss(0.0, spread) for score in scores], k)
        if not unseen:
            return found
        offered = {(s.kind, s.name) for s in found}
        uses = sorted(use for use in catalogue_uses(example.flow) if exists(use, self.catalogue))
        return with_missing(found, [use for use in uses if use not in offered and not exists(use, self.core)], rng)


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
