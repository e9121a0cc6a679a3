"""What the seed model is trained on: endless batches from invented environments, and what it is measured on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.synthesis import Mix
from flowstudy.corpus.synthesis.words import QUALITIES, SYNONYMS, THINGS, plural
from flowstudy.systems.slm.data import Pair, invented_pairs
from flowstudy.systems.slm.drills import encode_drill, invented_drills
from flowstudy.systems.slm.prepare import encode
from flowstudy.systems.slm.seed_model import SeedPlan
from flowstudy.systems.slm.seed_team import Team

#: Environments that no training run uses; what is measured on them is measured on the unseen.
HELD_OUT: Final = 999
#: The answer of a shot in a prompt.
_SHOWN: Final = re.compile(r"(?<=\nFlow:\n).+?(?=\n\n)", re.DOTALL)


def _mix(share: float, rng: random.Random) -> Mix:
    """Short flows first; later one environment in five has long ones."""
    if share < 0.4:
        return Mix(sizes=(1, 3 if share < 0.15 else 6))
    return Mix(sizes=rng.choice(((1, 6), (1, 8), (1, 12), (1, 20), (8, 20))))


def seed_tokenizer(out: Path, plan: SeedPlan, team: Team) -> Any:
    """Read from `out`, or made by the first process while the others wait."""
    from flowstudy.systems.slm.tokenizer import load_tokenizer, train_tokenizer

    if team.rank == 0 and not (out / "tokenizer.json").exists():
        found: Iterator[list[Pair]] = invented_pairs(plan.seed + 500, Mix(), per_environment=3)
        texts = [f"{pair.prompt}{pair.completion}" for _ in range(plan.vocabulary // 10) for pair in next(found)]
        texts += [f" {word} {plural(word)}" for word in (*THINGS, *QUALITIES, *SYNONYMS) for _ in range(3)]
        train_tokenizer(texts, plan.vocabulary, plan.context).save_pretrained(out)
    team.told(0)
    return load_tokenizer(out)


Rows = tuple[list[list[int]], list[list[int]]]


class Batches:
    """Endless batches of rows with labels: single prompts, prompts with shots, and drills, each of one pool that is
    filled from invented environments and sorted by length, so that little is padding."""

    def __init__(self, tokenizer: Any, plan: SeedPlan, rank: int, step: int) -> None:
        self.tokenizer, self.plan = tokenizer, plan
        self.rng = random.Random(f"{plan.seed}|{rank}|{step}")
        self.pools: dict[str, list[tuple[list[int], list[int]]]] = {"single": [], "shots": [], "drills": []}

    def next(self, share: float) -> Rows:
        """The rows of one update when `share` (0..1) of the time has passed."""
        draw, drills = self.rng.random(), self.plan.drills * (1 if share < 0.2 else 0.25)
        kind = "drills" if draw < drills else ("shots" if draw < drills + (1 - drills) * self.plan.shots else "single")
        pool = self.pools[kind]
        for _ in range(50):
            if not pool:
                pool += self._filled(kind, share)
        if not pool:
            rule = f"expected some {kind} of at most {self.plan.longest} tokens, got none in 50 environments"
            raise ValueError(f"seed training: {rule}; raise `longest`")
        taken = [pool.pop(self.rng.randrange(len(pool)))]
        pool.sort(key=lambda row: abs(len(row[0]) - len(taken[0][0])), reverse=True)
        while pool and (len(taken) + 1) * max(len(taken[0][0]), len(pool[-1][0])) <= self.plan.tokens:
            taken.append(pool.pop())
        return [ids for ids, _ in taken], [labels for _, labels in taken]

    def _filled(self, kind: str, share: float) -> list[tuple[list[int], list[int]]]:
        seed, longest = self.rng.randrange(10**9), self.plan.longest
        offers = (2, 3, 4) if share < 0.2 else ((3, 4, 6) if share < 0.5 else (4, 6, 8))
        if kind == "drills":
            drills = next(invented_drills(seed, Mix(sizes=(1, 4)), offers, 24))
            return [encode_drill(self.tokenizer, drill, longest) for drill in drills]
        if kind == "shots":
            longest = self.plan.longest_shots
            found = invented_pairs(seed, Mix(sizes=(1, 6)), offers=offers, shots=3)
        else:
            found = invented_pairs(seed, _mix(share, self.rng), offers=offers, drafts=self.plan.drafts)
        return [row for row in (labelled(self.tokenizer, pair) for pair in next(found)) if len(row[0]) <= longest]


def labelled(tokenizer: Any, pair: Pair) -> tuple[list[int], list[int]]:
    """Token ids and labels of a pair. The answers of its shots count as well: each is an answer to what stands before
    it, so that a long prompt teaches as much for its length as a short one."""
    ids, prompt = encode(tokenizer, pair)
    labels = [-100] * prompt + ids[prompt:]
    places = tokenizer(pair.prompt, return_offsets_mapping=True)["offset_mapping"]
    shown = [match.span() for match in _SHOWN.finditer(pair.prompt)]
    for place, (start, end) in enumerate(places):
        if start < end and any(first < end <= last for first, last in shown):
            labels[place] = ids[place]
    return ids, labels


def held_out_batch(tokenizer: Any, count: int = 48) -> list[tuple[list[int], int]]:
    """Single prompts (no shots) of environments that training never draws."""
    found = invented_pairs(HELD_OUT, Mix(sizes=(1, 8)), per_environment=4, offers=(8,))
    pairs = [pair for _ in range(count // 4) for pair in next(found)]
    return [(ids, prompt) for ids, prompt in (encode(tokenizer, pair) for pair in pairs) if len(ids) <= 1024]
