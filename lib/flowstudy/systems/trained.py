"""The trained retriever: a pretrained encoder fine-tuned on the training split, votes of similar examples, BM25.

Each catalogue entry scores the weighted sum of three parts: the cosine similarity of requirement and entry under the
fine-tuned encoder, the logarithm of how often the nearest training examples needed the entry, and its BM25 score.

A training requirement is ranked by an encoder that has not learned from it (cross-fitting: FOLDS more encoders, each
fine-tuned without a part of the training examples) and by votes that leave it out; so are its paraphrases. What is
offered for it, as a shot or to a small model that is fine-tuned, is then as good as what will be offered for a new
requirement, and not better. Encoders are fine-tuned when they are first asked for and kept in the folder of learned
weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowstudy.corpus.environments import CORE, shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.files import replacing
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.systems.encoder import (
    EncoderSource,
    Group,
    Tuning,
    encode,
    find_encoder,
    fine_tune,
    learned,
    load_encoder,
    put_learned,
)
from flowstudy.systems.neighbour_votes import FLOOR, UNSEEN, NeighbourVotes
from flowstudy.systems.offers import alone
from flowstudy.systems.retrieval import SHELVES, Entry, LexicalRanker, Ranker, entries, needed
from flowstudy.systems.uses import exists, makings_hash

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

#: Raise it when the same examples would give another ranker.
RANKER_VERSION: Final = 5
#: Into how many parts the training examples are dealt; each is left out of one encoder.
FOLDS: Final = 3
#: What cosine similarity, log votes and BM25 (0 to 1) count.
WEIGHTS: Final = (8.0, 1.0, 1.0)


def run_rankers(
    retrievers: Iterable[str],
    folder: Path,
    examples: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    *,
    seed: int,
    encoder: str = "minilm",
    tuning: Tuning = Tuning(),  # noqa: B008
) -> dict[str, Ranker]:
    """Rankers by domain for the retriever `trained`; none when it is not among `retrievers`.

    They learn from the split `train` of `examples`, from those whose domain has a catalogue; other splits are not
    looked at. `encoder` is `minilm`, a folder or a name of the hub. What the encoders have learned lies in `folder`, a
    file for each set of inputs and each fold. Without training examples BM25 alone ranks, which is better than the
    pretrained encoder. Raises WeightsError without the encoder.
    """
    if "trained" not in set(retrievers):
        return {}
    train = [example for example in examples if example.split == "train" and example.domain in catalogues]
    model = TrainedModel(folder, find_encoder(encoder), train, catalogues, seed, tuning)
    return {domain: TrainedRanker(model, catalogue) for domain, catalogue in catalogues.items()}


def ranker_facts(rankers: Mapping[str, Ranker]) -> list[dict[str, str]]:
    """For manifests: fingerprint, and of the encoder name, SHA-256 and licence; one for each different ranker."""
    found = {ranker.fingerprint(): ranker for ranker in rankers.values()}
    return [
        {"fingerprint": print_} | (ranker.model.facts() if isinstance(ranker, TrainedRanker) else {})
        for print_, ranker in sorted(found.items())
    ]


class TrainedModel:
    """Fine-tuned encoders and the votes of the training examples, for all catalogues. Nothing is loaded or fitted
    before the first question."""

    def __init__(
        self, folder: Path, source: EncoderSource, train: Sequence[Example], catalogues: Mapping[str, Catalogue],
        seed: int, tuning: Tuning,
    ) -> None:  # fmt: skip
        train = sorted(train, key=lambda example: example.id)  # so that a run's order gives no other ranker
        self.source, self._folder, self._tuning, self._seed = source, folder, tuning, seed
        self._train, self._catalogues, self.learns = train, catalogues, bool(train)
        makings = [RANKER_VERSION, seed, source.sha256, tuning._asdict(), len(train)]
        self.fingerprint = makings_hash(makings, train, catalogues)
        texts = {example.id: example.requirement for example in train}
        self._folds = {e.requirement: fold_of(texts.get(e.origin, e.origin)) for e in train}
        self._encoders: dict[int, SentenceTransformer] = {}
        self._vectors: dict[tuple[int, str], np.ndarray] = {}

    def facts(self) -> dict[str, str]:
        """Name, SHA-256 and licence of the encoder, and from how many training examples it learns."""
        source = {"encoder": self.source.name, "sha256": self.source.sha256, "licence": self.source.licence}
        return {**source, "training_examples": str(len(self._train))}

    @cached_property
    def votes(self) -> NeighbourVotes:
        return NeighbourVotes(self._train, self._catalogues)

    def fold(self, requirement: str) -> int:
        """Number of the encoder that ranks a requirement: one that has not learned from it, 0 for a new one."""
        return self._folds.get(requirement, 0)

    def vectors(self, texts: Sequence[str], fold: int) -> np.ndarray:
        """Texts x dimensions, unit length, by the encoder of a fold (0: learned from all); encoded once and kept."""
        new = [text for text in dict.fromkeys(texts) if (fold, text) not in self._vectors]
        if new:
            found = encode(self.encoder(fold), new)
            self._vectors |= {(fold, text): vector for text, vector in zip(new, found, strict=True)}
        return np.array([self._vectors[fold, text] for text in texts])

    def encoder(self, fold: int) -> SentenceTransformer:
        """The encoder fine-tuned without the examples of a fold, read from the run folder or fitted and stored there;
        one process at a time. Without examples left it is the untuned one."""
        if fold not in self._encoders:
            model, path = load_encoder(self.source), self.path(fold)
            kept = [example for example in self._train if self._folds[example.requirement] != fold]
            if kept and self._tuning.epochs:
                with alone(path):
                    if not self._read(path, model):
                        fine_tune(model, groups(kept, self._catalogues), self._tuning, self._seed)
                        self._write(path, model)
            self._encoders[fold] = model
        return self._encoders[fold]

    def path(self, fold: int) -> Path:
        """Where the learned weights of a fold are kept; another file for other inputs."""
        return self._folder / f"encoder-{self.fingerprint[:12]}-{fold}.safetensors"

    def _read(self, path: Path, model: SentenceTransformer) -> bool:
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("made_from") != self.fingerprint:
                    return False
                put_learned(model, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except SafetensorError:
            return False
        return True

    def _write(self, path: Path, model: SentenceTransformer) -> None:
        from safetensors.torch import save_file

        with replacing(path) as draft:
            save_file(learned(model), draft, metadata={"made_from": self.fingerprint, **self.facts()})


class TrainedRanker:
    """Scores of the entries of one catalogue, in the order of `retrieval.entries`."""

    def __init__(self, model: TrainedModel, catalogue: Catalogue) -> None:
        self.model, self._catalogue = model, catalogue

    def fingerprint(self) -> str:
        return self.model.fingerprint

    @cached_property
    def _catalogue_parts(self) -> Any:
        found = entries(self._catalogue)
        rates = self.model.votes.log_rates([(entry.kind, entry.name) for entry in found])
        return entry_texts(found, self._catalogue), rates, LexicalRanker(self._catalogue)

    def parts(self, requirement: str) -> np.ndarray:
        """What a score is made of, entries x (cosine similarity, log votes, BM25)."""
        texts, rates, lexical = self._catalogue_parts
        if not texts or not self.model.learns:
            return np.stack([np.zeros(len(texts)), np.zeros(len(texts)), lexical.scores(requirement)], axis=1)
        fold = self.model.fold(requirement)
        cosine = self.model.vectors(texts, fold) @ self.model.vectors([requirement], fold)[0]
        return np.stack([cosine, rates(requirement), lexical.scores(requirement)], axis=1)

    def scores(self, requirement: str, *, unseen: bool = False) -> list[float]:
        """Weighted sums of the parts; with `unseen` as in an environment without training examples, where only the
        platform core has votes."""
        parts = self.parts(requirement)
        if unseen:
            parts[[not core for core in self._of_core], 1] = np.log(UNSEEN + FLOOR)
        return [float(score) for score in parts @ np.array(WEIGHTS)]

    @cached_property
    def _of_core(self) -> list[bool]:
        core = shipped_catalogue(CORE)
        return [exists((entry.kind, entry.name), core) for entry in entries(self._catalogue)]


def fold_of(requirement: str) -> int:
    """The part, 1 to FOLDS, that a training requirement and its paraphrases are dealt to."""
    digest = hashlib.sha256(json.dumps(requirement).encode()).digest()
    return 1 + int.from_bytes(digest[:4], "big") % FOLDS


def groups(train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> list[Group]:
    """Training examples by environment, as `encoder.fine_tune` takes them."""
    made = []
    for domain in sorted({example.domain for example in train}):
        catalogue, examples = catalogues[domain], [example for example in train if example.domain == domain]
        found = entries(catalogue)
        if not found:
            continue
        wanted = [needed(example, catalogue) for example in examples]
        needs = np.array([[(entry.kind, entry.name) in want for entry in found] for want in wanted])
        shelves = [np.array([n for n, e in enumerate(found) if e.kind in shelf], dtype=int) for shelf in SHELVES]
        made.append(Group([e.requirement for e in examples], entry_texts(found, catalogue), needs, shelves))
    return made


def entry_texts(found: Sequence[Entry], catalogue: Catalogue) -> list[str]:
    """One short sentence per entry for the encoder: what it is, its name or label, its description, its choices."""
    steps = {"trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows}
    return [_entry_text(entry, catalogue, steps.get(entry.kind, {})) for entry in found]


def _entry_text(entry: Entry, catalogue: Catalogue, steps: Mapping[str, StepDef]) -> str:
    if entry.kind == "table":
        table = catalogue.tables[entry.name]
        return f"table {table.label or entry.name}. {table.description}".strip()
    if entry.kind == "column":
        name, _, column = entry.name.rpartition(".")
        table, one = catalogue.tables[name], catalogue.tables[name].columns[column]
        return f"column {one.label or column} of {table.label or name}. {', '.join(one.choices.values())}".strip()
    choices = ", ".join(choice for one in steps[entry.name].inputs.values() for choice in one.choices)
    words = entry.name.replace("_", " ").replace(".", " ")
    return f"{entry.kind} {words}. {steps[entry.name].description} {choices}".strip()
