"""The corpus of one run: the examples that will be answered, a training split filled up by synthesis, catalogues."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flowstudy.corpus import features
from flowstudy.corpus.environments import catalogues_for
from flowstudy.corpus.example import Example
from flowstudy.corpus.splits import assign_splits, find_leaks
from flowstudy.corpus.store import load_corpus
from flowstudy.corpus.synthesis import generate
from flowstudy.corpus.written import shipped_corpus
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


def prepare(corpus: str, limits: Mapping[str, int | None], seed: int) -> Prepared:
    """Load `shipped` or a corpus file, keep at most `limits[split]` examples of each split, fill up `train`.

    A smaller limit gives a subset of a larger one, balanced over domains. `limits["train"]` training examples are
    made: the corpus' own first, then synthetic ones from the catalogues of the domains that are not unseen (`ood`).
    Synthetic examples that come too close to another split are left out and counted.
    Raises CorpusError for a broken file.
    """
    examples = shipped_corpus() if corpus == "shipped" else load_corpus(corpus)
    catalogues = catalogues_for(examples, None if corpus == "shipped" else corpus)
    prepared = Prepared([], catalogues)
    without = sum("split" not in example.model_fields_set for example in examples)
    if without >= LEAST_TO_SPLIT:
        examples = assign_splits(examples, seed)
        prepared.notes.append(f"{without} examples came without a split and were divided (seed {seed})")
    elif without:
        prepared.notes.append(f"{without} examples came without a split, too few to divide: all are `test`")
    for split in ("train", "validation", "test", "ood"):
        members = [example for example in examples if example.split == split]
        kept = take(members, limits.get(split), seed)
        prepared.examples += kept
        if len(kept) < len(members):
            prepared.notes.append(f"{split}: {len(kept)} of {len(members)} examples (seed {seed})")
    unseen = {example.domain for example in examples if example.split == "ood"}
    _fill_train(prepared, unseen, limits.get("train") or 0, seed)
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


def _fill_train(prepared: Prepared, unseen: set[str], wanted: int, seed: int) -> None:
    """Synthetic examples are like those of the corpus: without annotations where those have none. A model that must
    write them one time in two learns neither."""
    own = prepared.split("train")
    domains = [d for d in prepared.catalogues if d not in unseen and prepared.catalogues[d].steps()]
    missing = wanted - len(own)
    if missing <= 0 or not domains:
        return
    share = -(-missing // len(domains))
    made: list[Example] = []
    for domain in domains:
        try:
            made.extend(generate(prepared.catalogues[domain], share, seed=seed, domain=domain))
        except ValueError as error:
            prepared.notes.append(f"synthesis for {domain} stopped early: {error}")
    leaks = find_leaks([*own, *made, *prepared.split("validation", "test", "ood")])
    leaking = {leak.first for leak in leaks if leak.kind != "same_skeleton"}
    kept = take([example for example in made if example.id not in leaking], missing, seed)
    if own and not any(_is_annotated(example) for example in own):
        kept = [e.model_copy(update={"references": [f.without_annotations() for f in e.references]}) for e in kept]
    prepared.examples = [*own, *kept, *prepared.split("validation", "test", "ood")]
    prepared.notes.append(
        f"train: {len(own)} examples of the corpus and {len(kept)} synthetic ones from {len(domains)} catalogues; "
        f"{len(made) - len(kept)} more were made and left out ({len(leaking)} too close to another split)"
    )


def _is_annotated(example: Example) -> bool:
    return any(component.annotation for component in example.flow.components)


def write_catalogues(path: Path, catalogues: Mapping[str, Catalogue]) -> None:
    """All catalogues of a run in one JSON file, keyed by domain."""
    value = {domain: catalogue.model_dump(exclude_defaults=True) for domain, catalogue in catalogues.items()}
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def read_catalogues(path: Path) -> dict[str, Catalogue]:
    """What `write_catalogues` wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return {domain: Catalogue.model_validate(entry) for domain, entry in raw.items()}
