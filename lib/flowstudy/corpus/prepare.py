"""The corpus of one run: the training examples, the examples that will be answered, catalogues."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

from flowstudy.corpus import features
from flowstudy.corpus.environments import catalogues_for, corpus_path
from flowstudy.corpus.example import Example, Split
from flowstudy.corpus.splits import assign_splits
from flowstudy.corpus.store import load_corpus
from flowstudy.corpus.written import SEALED, shipped_corpus
from flowstudy.flows.catalogue import Catalogue

#: Fewer examples without a split than this stay together as `test`.
LEAST_TO_SPLIT: Final = 20


@dataclass
class Prepared:
    """Examples with their features computed, the catalogue of each domain, and what was done in plain words."""

    examples: list[Example]
    catalogues: dict[str, Catalogue]
    notes: list[str] = field(default_factory=list)

    def split(self, *names: str) -> list[Example]:
        """The examples of one or more splits, in order."""
        return [example for example in self.examples if example.split in names]


def prepare(corpus: str, limits: Mapping[str, int | None], seed: int, *, sealed: bool = False) -> Prepared:
    """Load `shipped`, a corpus that is shipped under another name, or a file; keep at most `limits[split]` examples of
    each split.

    A smaller limit gives a subset of a larger one, balanced over domains. The sealed splits of the shipped corpus are
    left out unless `sealed` is True. Raises CorpusError for a broken file.
    """
    path = None if corpus == "shipped" else corpus_path(corpus)
    examples = load_corpus(path) if path else shipped_corpus()
    catalogues = catalogues_for(examples, path)
    prepared = Prepared([], catalogues)
    without = sum("split" not in example.model_fields_set for example in examples)
    if without >= LEAST_TO_SPLIT:
        examples = assign_splits(examples, seed)
        prepared.notes.append(f"{without} examples came without a split and were divided (seed {seed})")
    elif without:
        prepared.notes.append(f"{without} examples came without a split, too few to divide: all are `test`")
    if corpus == "shipped" and not sealed:
        closed = sum(example.split in SEALED for example in examples)
        examples = [example for example in examples if example.split not in SEALED]
        words = f"test and ood are sealed: {closed} examples not loaded; the reference run answers them"
        prepared.notes += [words] if closed else []
    for split in get_args(Split):
        members = [example for example in examples if example.split == split]
        kept = take(members, limits.get(split), seed)
        prepared.examples += kept
        if len(kept) < len(members):
            prepared.notes.append(f"{split}: {len(kept)} of {len(members)} examples (seed {seed})")
    for example in prepared.examples:
        example.features = features.compute(example, catalogues[example.domain])
    return prepared


def take(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """At most `limit` examples (None: all), the domains in turn, each in an order that only the seed decides.

    >>> take([], 3, seed=0)
    []
    """
    by_domain: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda e: e.id):
        by_domain.setdefault(example.domain, []).append(example)
    for domain, members in by_domain.items():
        random.Random(f"{seed} {domain}").shuffle(members)
    turns = [members[turn : turn + 1] for turn in range(len(examples)) for members in by_domain.values()]
    chosen = [example for turn in turns for example in turn]
    return chosen if limit is None else chosen[:limit]


def write_catalogues(path: Path, catalogues: Mapping[str, Catalogue]) -> None:
    """All catalogues of a run in one JSON file, keyed by domain."""
    value = {domain: catalogue.model_dump(exclude_defaults=True) for domain, catalogue in catalogues.items()}
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def read_catalogues(path: Path) -> dict[str, Catalogue]:
    """What `write_catalogues` wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return {domain: Catalogue.model_validate(entry) for domain, entry in raw.items()}
