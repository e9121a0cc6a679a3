"""Splits and leaks: nothing that a system may learn from should stand in what it is tested on."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from flowstudy.corpus.example import GENERATED, Example, Split
from flowstudy.flows.schema import Flow

#: Words per shingle, and the share of common shingles (Jaccard) from which two requirements are near-duplicates.
SHINGLE: Final = 3
NEAR: Final = 0.6
#: Skeletons shorter than this (components) are shared by honest chance and not reported.
SKELETON_STEPS: Final = 4
SHARES: Final[Mapping[Split, float]] = {"train": 0.7, "validation": 0.1, "test": 0.2}
#: Bands and rows of the hash: a pair at similarity 0.6 is missed once in a thousand, at 0.7 once in a million.
_BANDS: Final = (50, 4)

LeakKind = Literal["same_id", "near_duplicate", "same_flow", "same_skeleton"]


class Leak(NamedTuple):
    """Two examples of different splits that share too much. `similarity` is 1 unless the kind is near_duplicate."""

    kind: LeakKind
    first: str
    second: str
    splits: tuple[str, str]
    similarity: float = 1.0

    def __str__(self) -> str:
        share = f" ({self.similarity:.2f})" if self.kind == "near_duplicate" else ""
        kind, (one, other) = self.kind.replace("_", " "), self.splits
        return f"{kind}{share}: {self.first} ({one}) and {self.second} ({other})"


def shingles(requirement: str) -> frozenset[str]:
    """Word triples of a requirement, case and punctuation ignored; a shorter text is one shingle."""
    words = re.findall(r"\w+", requirement.lower())
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))


def near_duplicates(requirements: Sequence[str], near: float = NEAR) -> Iterator[tuple[int, int, float]]:
    """Pairs of places whose requirements have a Jaccard similarity of at least `near`, each pair once.

    MinHash with locality-sensitive hashing (datasketch) finds candidates; every candidate is verified exactly.
    """
    from datasketch import MinHash, MinHashLSH

    permutations = _BANDS[0] * _BANDS[1]
    index = MinHashLSH(params=_BANDS, num_perm=permutations)
    sets = [shingles(text) for text in requirements]
    texts = ([s.encode("utf-8", "surrogatepass") for s in found] for found in sets)
    for place, sketch in enumerate(MinHash.generator(texts, num_perm=permutations, seed=1)):
        found = sets[place]
        for other in sorted(index.query(sketch)):
            similarity = len(found & sets[other]) / len(found | sets[other])
            if similarity >= near:
                yield other, place, similarity
        index.insert(place, sketch)


def flow_key(flow: Flow) -> str:
    """Digest of a flow without annotations: equal for flows that say the same."""
    bare = flow.without_annotations()
    return _digest(bare.to_json())


def source_workflows(examples: Sequence[Example]) -> dict[str, str]:
    """The workflow that each example came from, by example id: examples of one workflow are not independent.

    The feature `workflow` where an example has it; else examples that share a reference flow have one source.
    """
    sources: dict[str, str] = {}
    holders: dict[str, str] = {}
    for example in examples:
        keys = [flow_key(flow) for flow in example.references]
        shared = next((holders[key] for key in keys if key in holders), example.id)
        sources[example.id] = str(example.features.get("workflow") or shared)
        holders |= {key: sources[example.id] for key in keys if key not in holders}
    return sources


def skeleton_key(flow: Flow) -> str:
    """Digest of trigger type, steps and nesting, inputs left out."""
    steps = [(c.category, c.key, c.block) for c in flow.components]
    return _digest(repr((flow.trigger.type if flow.trigger else None, steps)))


def find_leaks(examples: Sequence[Example], near: float = NEAR) -> list[Leak]:
    """Everything shared across splits: ids, near-duplicate requirements, flows, and (a warning) skeletons."""
    leaks: list[Leak] = []
    for kind, keys in (
        ("same_id", [[e.id] for e in examples]),
        ("same_flow", [[flow_key(f) for f in e.references] for e in examples]),
        ("same_skeleton", [[skeleton_key(f) for f in e.references if f.steps >= SKELETON_STEPS] for e in examples]),
    ):
        leaks += (_leak(kind, examples[a], examples[b]) for a, b in _shared(keys) if _apart(examples, a, b))
    for a, b, similarity in near_duplicates([e.requirement for e in examples], near):
        if _apart(examples, a, b):
            leaks.append(_leak("near_duplicate", examples[a], examples[b], similarity))
    return leaks


def assign_splits(examples: Sequence[Example], seed: int = 0, shares: Mapping[Split, float] = SHARES) -> list[Example]:
    """Copies of `examples` in which those that came without a split have one.

    Near-duplicates and equal flows stay together; each (domain, source) is divided by `shares` (weights, not all 0);
    the same seed and examples give the same splits, whatever their order. A group with a member whose split was
    given follows that member (the first, where members disagree); a generated example is given the split train, and
    so is what it was made from.
    """
    given = [_given(example) for example in examples]
    total = sum(shares.values())
    if total <= 0 or any(share < 0 for share in shares.values()):
        raise ValueError(f"split shares: expected weights >= 0 that do not sum to 0, got {dict(shares)}")
    strata: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    chosen: dict[int, Split] = {}
    for group in _groups(examples):
        theirs = next((split for i in group if (split := given[i]) is not None), None)
        if theirs is not None:
            chosen |= dict.fromkeys(group, theirs)
        else:
            first = min((examples[i] for i in group), key=lambda e: e.id)
            strata[first.domain, first.source].append(group)
    for name, groups in sorted(strata.items()):
        groups.sort(key=lambda group: min(examples[i].id for i in group))
        random.Random(f"{seed}/{name}").shuffle(groups)
        chosen |= _divide(groups, shares)
    return [e.model_copy(update={"split": given[i] or chosen[i]}) for i, e in enumerate(examples)]


def _given(example: Example) -> Split | None:
    if example.source == GENERATED:
        return "train"
    return example.split if "split" in example.model_fields_set else None


def _divide(groups: list[list[int]], shares: Mapping[Split, float]) -> dict[int, Split]:
    total, size = sum(shares.values()), sum(map(len, groups))
    missing = {split: size * share / total for split, share in shares.items()}
    chosen: dict[int, Split] = {}
    for group in sorted(groups, key=len, reverse=True):
        split = max(missing, key=lambda s: missing[s])
        missing[split] -= len(group)
        chosen |= dict.fromkeys(group, split)
    return chosen


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = [(a, b) for a, b, _ in near_duplicates([e.requirement for e in examples])]
    pairs += _shared([[flow_key(f) for f in e.references] for e in examples])
    for a, b in pairs:
        parent[root(b)] = root(a)
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(len(examples)):
        groups[root(i)].append(i)
    return list(groups.values())


def _shared(keys: Iterable[Iterable[str]]) -> list[tuple[int, int]]:
    """Places with a key in common, each paired with the first place of every split-blind holder of that key."""
    holders: dict[str, list[int]] = defaultdict(list)
    for place, some in enumerate(keys):
        for key in dict.fromkeys(some):
            holders[key].append(place)
    return sorted({(a, b) for places in holders.values() for a, b in _pairs(places)})


def _pairs(places: list[int]) -> Iterator[tuple[int, int]]:
    """All pairs of a few places; for many, each with the first and with its neighbour, which still joins them all."""
    if len(places) <= 50:
        yield from ((a, b) for n, a in enumerate(places) for b in places[n + 1 :])
    else:
        yield from ((places[0], b) for b in places[1:])
        yield from itertools.pairwise(places)


def _apart(examples: Sequence[Example], a: int, b: int) -> bool:
    return examples[a].split != examples[b].split


def _leak(kind: Any, a: Example, b: Example, similarity: float = 1.0) -> Leak:
    return Leak(kind, a.id, b.id, (a.split, b.split), similarity)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
