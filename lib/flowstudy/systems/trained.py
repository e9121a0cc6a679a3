"""The trained retriever: a bi-encoder over static word embeddings, fitted in the run on the training split.

Requirement and catalogue entry are each a weighted sum of word vectors; their dot product ranks the entries, together
with the BM25 score and with how often like requirements needed an entry (`near_use`). Vectors start random, when the
dot product already counts shared words; training (softmax over all entries of a shelf, Adam) teaches that "comes in"
speaks of `record_create`. Plain NumPy and SciPy: a few thousand examples take seconds on one core.

A training requirement is ranked by vectors that have not learned from it (cross-fitting: one set of vectors for all
others, FOLDS sets that each left a part of the training examples out). What is offered for it, in a shot or to a small
model that is fine-tuned, is then as good as what will be offered for a new requirement, and not better.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.near_use import NearUse
from flowstudy.systems.retrieval import SHELVES, Entry, LexicalRanker, entries
from flowstudy.systems.words import words

#: Words seen once in training still get a vector; unseen ones share these buckets by hash.
BUCKETS: Final = 512
#: What the best BM25 score of a shelf counts, whatever the length of the requirement.
LEXICAL_SCALE: Final = 3.0
#: Into how many parts the training examples are dealt; each is left out of one set of vectors.
FOLDS: Final = 4


class Vectors(NamedTuple):
    """One fit: word vectors of requirements beside those that entries share, and what BM25 counts on each shelf."""

    queries: np.ndarray
    shared: np.ndarray
    lexical: np.ndarray


class RankerModel:
    """Word vectors of requirements and entries. `ranker(catalogue)` ranks the entries of one environment.

    `vectors` are FOLDS + 1 fits, the first from all training examples; `dense` and `near` say per shelf how much
    vectors and use near the requirement count, `used` how often an entry was needed at all (as a logarithm), `usual`
    how often one of its shelf that was not seen. `memory` holds the training examples.
    """

    def __init__(self, vocabulary: Sequence[str], weights: np.ndarray, memory: NearUse) -> None:
        self.vocabulary, self.weights, self.memory = list(vocabulary), weights, memory
        self.vectors: list[Vectors] = []
        self.dense, self.near, self.usual = (np.ones(len(SHELVES), dtype=np.float32) for _ in range(3))
        self.used: dict[str, float] = {}
        self.made_from = ""
        self._places = {word: place for place, word in enumerate(self.vocabulary)}

    def bag(self, texts: Sequence[str]) -> Any:
        """One sparse row of word weights per text, of unit length; no word gives an empty row."""
        from scipy import sparse

        rows, columns, values = [], [], []
        for row, text in enumerate(texts):
            counts = Counter(self._place(word) for word in words(text, stops=True))
            weights = {place: self.weights[place] * (1 + np.log(count)) for place, count in counts.items()}
            length = np.sqrt(sum(value**2 for value in weights.values())) or 1.0
            rows += [row] * len(weights)
            columns += list(weights)
            values += [value / length for value in weights.values()]
        return sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(self.weights)), dtype=np.float32)

    def _place(self, word: str) -> int:
        found = self._places.get(word)
        return found if found is not None else len(self.vocabulary) + int.from_bytes(_digest(word)[:4], "big") % BUCKETS

    def log_use(self, found: Sequence[Entry]) -> np.ndarray:
        """Logarithm of the share of training examples that needed each entry; of the shelf where it was not seen."""
        usual = {kind: float(self.usual[n]) for n, shelf in enumerate(SHELVES) for kind in shelf}
        return np.array([self.used.get(f"{e.kind} {e.name}", usual[e.kind]) for e in found], dtype=np.float32)

    def near_rates(self, found: Sequence[Entry]) -> Callable[[str], np.ndarray]:
        """Use near a requirement, for the entries of one environment (see `NearUse.log_rates`)."""
        return self.memory.log_rates([(entry.kind, entry.name) for entry in found], self.log_use(found))

    def fold(self, requirement: str) -> int:
        """Which of `vectors` ranks a requirement: the one that has not learned from it, the first for a new one."""
        return fold_of(requirement) if requirement in self.memory.votes else 0

    def ranker(self, catalogue: Catalogue) -> TrainedRanker:
        """The ranker of one environment, which may be one that training never saw."""
        return TrainedRanker(self, catalogue)

    def fingerprint(self) -> str:
        """SHA-256 of the numbers and of the training examples, for keys and manifests."""
        numbers = b"".join(array.tobytes() for array in self._arrays().values())
        told = json.dumps([self.used, self.memory.to_json()], sort_keys=True)
        return hashlib.sha256(numbers + told.encode()).hexdigest()

    def _arrays(self) -> dict[str, np.ndarray]:
        fits = {name: np.stack([getattr(fit, name) for fit in self.vectors]) for name in Vectors._fields}
        return {**fits, "weights": self.weights, "dense": self.dense, "near": self.near, "usual": self.usual}

    def save(self, path: str | Path) -> None:
        """Write one `.npz` file, without pickles; a reader never sees half of one."""
        path, arrays = Path(path), dict[str, Any](self._arrays())
        texts: dict[str, Any] = {"vocabulary": json.dumps(self.vocabulary), "used": json.dumps(self.used)}
        texts |= {"made_from": self.made_from, "memory": self.memory.to_json()}
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.stem}.part.npz")
        np.savez_compressed(draft, **texts, **arrays)
        draft.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> RankerModel:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            memory = NearUse.from_json(str(file["memory"]))
            model = cls(json.loads(str(file["vocabulary"])), file["weights"], memory)
            model.vectors = [Vectors(*fit) for fit in zip(*(file[name] for name in Vectors._fields), strict=True)]
            model.dense, model.near, model.usual = file["dense"], file["near"], file["usual"]
            model.used, model.made_from = json.loads(str(file["used"])), str(file["made_from"])
        return model


class TrainedRanker:
    """Scores of the entries of one catalogue, in the order of `retrieval.entries`."""

    def __init__(self, model: RankerModel, catalogue: Catalogue) -> None:
        found = entries(catalogue)
        bags = model.bag([entry.text for entry in found])
        self._model, self._lexical = model, LexicalRanker(catalogue)
        self._documents = [bags @ fit.shared for fit in model.vectors]
        self._near, self._size = model.near_rates(found), len(found)
        self._shelves, self._fingerprint = shelf_places(found), model.fingerprint()

    def fingerprint(self) -> str:
        return self._fingerprint

    def parts(self, requirement: str) -> np.ndarray:
        """What a score is made of, entries x (vectors, use near the requirement, BM25)."""
        fold = self._model.fold(requirement)
        fit, bag = self._model.vectors[fold], self._model.bag([requirement])
        dense = ((bag @ fit.queries + bag @ fit.shared) @ self._documents[fold].T)[0]
        lexical = LEXICAL_SCALE * np.asarray(self._lexical.scores(requirement))
        for number, places in enumerate(self._shelves):
            lexical[places] *= fit.lexical[number]
        return np.stack([dense, self._near(requirement), lexical], axis=1)

    def scores(self, requirement: str) -> list[float]:
        parts, scores = self.parts(requirement), np.zeros(self._size)
        for number, places in enumerate(self._shelves):
            scores[places] = parts[places] @ [self._model.dense[number], self._model.near[number], 1.0]
        return [float(score) for score in scores]


def fold_of(requirement: str) -> int:
    """The part, 1 to FOLDS, that a training requirement is dealt to; the same for the same text."""
    return 1 + int.from_bytes(_digest(requirement)[:4], "big") % FOLDS


def shelf_places(found: Sequence[Entry]) -> list[np.ndarray]:
    """Per shelf, the places of its entries in `found`."""
    return [np.array([n for n, entry in enumerate(found) if entry.kind in shelf], dtype=int) for shelf in SHELVES]


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "replace")).digest()
