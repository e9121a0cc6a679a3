"""Pointing drills for the seed model: real prompts, followed by many small questions "where is this?".

A flow points some twenty times per prompt of hundreds of tokens; a drill points a hundred times. Pointing emerges
several times sooner with them. The model sees no drill after training.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flowstudy.corpus.synthesis import Mix, generate, invent_catalogue
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.pointers import MAX_CHOICES, Word, words
from flowstudy.systems.records import Suggestion
from flowstudy.systems.retrieval import retrieve
from flowstudy.systems.slm.data import completed, pair


class Drill(NamedTuple):
    """A prompt and questions: text that is given, and the pointers that answer it."""

    prompt: str
    questions: list[tuple[str, str]]


def invented_drills(seed: int, mix: Mix, offers: Sequence[int], per_environment: int = 12) -> Iterator[list[Drill]]:
    """Endless drills, the drills of one invented environment after another."""
    number = 0
    while True:
        rng = random.Random(f"drill {seed}|{number}")
        catalogue = invent_catalogue(seed * 1_000_003 + number)
        found = []
        for example in generate(catalogue, per_environment, seed, mix=mix):
            offered = retrieve("lexical", example.requirement, catalogue, rng.choice(list(offers)))
            offered = completed(offered, example, catalogue, rng)
            prompt = pair(example, catalogue, offered).prompt.replace("Flow:\n", "Find:\n")
            found.append(Drill(prompt, _questions(example.requirement, offered, catalogue, rng)))
        yield found
        number += 1


def _questions(
    requirement: str, offered: Sequence[Suggestion], catalogue: Catalogue, rng: random.Random
) -> list[tuple[str, str]]:
    places = words(requirement)
    questions = [_span(requirement, places, rng) for _ in range(12)]
    questions += [_entry(number, item, catalogue, rng) for number, item in enumerate(offered) for _ in range(2)]
    rng.shuffle(questions)
    return [*questions[:40], *_walk(requirement, places, rng)]


def _span(requirement: str, places: Sequence[Word], rng: random.Random) -> tuple[str, str]:
    first = rng.randrange(len(places))
    last = min(len(places) - 1, first + rng.choice((0, 0, 1, 1, 2, 3, 5)))
    return requirement[places[first].start : places[last].end], f"<w{first}><w{last}>"


def _walk(requirement: str, places: Sequence[Word], rng: random.Random) -> list[tuple[str, str]]:
    """The whole requirement in pieces: the next piece begins where the last one ended."""
    found, first = [], 0
    while first < len(places):
        last = min(len(places) - 1, first + rng.randint(0, 9))
        found.append((requirement[places[last].start : places[last].end], f"<w{first}><w{last}>"))
        first = last + 1
    return found


def _entry(number: int, item: Suggestion, catalogue: Catalogue, rng: random.Random) -> tuple[str, str]:
    table, _, name = item.name.rpartition(".")
    if item.kind == "column":
        choices = (
            list(catalogue.tables[table].columns[name].choices.values())[:MAX_CHOICES]
            if table in catalogue.tables
            else []
        )
        if choices and rng.random() < 0.6:
            choice = rng.randrange(len(choices))
            return f"{_words(name)} {choices[choice].lower()}", f"<s{number}>=<c{choice}>"
        return _words(name), f"<s{number}>"
    shelf: Any = {"action": catalogue.actions, "subflow": catalogue.subflows, "trigger": catalogue.triggers}.get(
        item.kind, {}
    )
    step = shelf.get(item.name)
    if step is not None and step.description and rng.random() < 0.5:
        return step.description.lower(), f"<s{number}>"
    parts = _words(name if item.kind != "table" else item.name).split()
    start = rng.randrange(max(1, len(parts) - 1))
    return " ".join(parts[start:]), f"<s{number}>"


def _words(name: str) -> str:
    return re.sub(r"[._]+", " ", name).strip()


def encode_drill(tokenizer: Any, drill: Drill, most: int) -> tuple[list[int], list[int]]:
    """Token ids and labels; only the pointers count. Stops before `most` tokens."""
    ids = tokenizer(drill.prompt)["input_ids"]
    labels = [-100] * len(ids)
    for text, answer in drill.questions:
        given = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        wanted = tokenizer(answer, add_special_tokens=False)["input_ids"]
        if len(ids) + len(given) + len(wanted) > most:
            break
        ids += given + wanted
        labels += [-100] * len(given) + wanted
    return ids, labels
