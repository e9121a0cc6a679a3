"""The trained retriever: a bi-encoder over static word embeddings, fitted in the run on the training split.

Requirement and catalogue entry are each a weighted sum of word vectors; their dot product ranks the entries, together
with the BM25 score and with how often an entry was needed in training (most flows look something up, whatever their
words). Both start as random vectors, for which the dot product already counts shared words; training (softmax over all
entries of a shelf, Adam) teaches that "comes in" speaks of `record_create`. Plain NumPy and SciPy: a few thousand
examples take seconds on one core.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.retrieval import SHELVES, Entry, LexicalRanker, entries
from flowstudy.systems.words import words

#: Words seen once in training still get a vector; unseen ones share these buckets by hash.
BUCKETS: Final = 512
#: What the best BM25 score of a shelf counts, whatever the length of the requirement.
LEXICAL_SCALE: Final = 3.0

_ARRAYS: Final = ("weights", "queries", "shared", "dense", "lexical", "use", "usual")


class RankerModel:
    """Word vectors of requirements and entries. `ranker(catalogue)` ranks the entries of one environment."""

    def __init__(self, vocabulary: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        self.vocabulary, self.weights = list(vocabulary), arrays["weights"]
        self.queries, self.shared = arrays["queries"], arrays["shared"]
        self.dense, self.lexical, self.use = arrays["dense"], arrays["lexical"], arrays["use"]
        self.usual = arrays["usual"]
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

    def ranker(self, catalogue: Catalogue) -> TrainedRanker:
        """The ranker of one environment, which may be one that training never saw."""
        return TrainedRanker(self, catalogue)

    def fingerprint(self) -> str:
        """SHA-256 of the numbers, for keys and manifests."""
        numbers = b"".join(array.tobytes() for array in self._arrays().values())
        return hashlib.sha256(numbers + json.dumps(self.used, sort_keys=True).encode()).hexdigest()

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in _ARRAYS}

    def save(self, path: str | Path) -> None:
        """Write one `.npz` file, without pickles; a reader never sees half of one."""
        path, arrays = Path(path), dict[str, Any](self._arrays())
        texts: dict[str, Any] = {"vocabulary": json.dumps(self.vocabulary), "used": json.dumps(self.used)}
        texts["made_from"] = self.made_from
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.stem}.part.npz")
        np.savez_compressed(draft, **texts, **arrays)
        draft.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> RankerModel:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            model = cls(json.loads(str(file["vocabulary"])), file)
            model.used, model.made_from = json.loads(str(file["used"])), str(file["made_from"])
        return model


class TrainedRanker:
    """Scores of the entries of one catalogue, in the order of `retrieval.entries`."""

    def __init__(self, model: RankerModel, catalogue: Catalogue) -> None:
        found = entries(catalogue)
        self._model, self._lexical = model, LexicalRanker(catalogue)
        self._documents = model.bag([entry.text for entry in found]) @ model.shared
        self._shelves, self._fingerprint, self._use = shelf_places(found), model.fingerprint(), model.log_use(found)

    def fingerprint(self) -> str:
        return self._fingerprint

    def scores(self, requirement: str) -> list[float]:
        query = self._model.bag([requirement]) @ (self._model.queries + self._model.shared)
        scores = (query @ self._documents.T)[0]
        lexical = LEXICAL_SCALE * np.asarray(self._lexical.scores(requirement))
        for number, places in enumerate(self._shelves):
            scores[places] *= self._model.dense[number]
            scores[places] += (
                self._model.lexical[number] * lexical[places] + self._model.use[number] * self._use[places]
            )
        return [float(score) for score in scores]


def shelf_places(found: Sequence[Entry]) -> list[np.ndarray]:
    """Per shelf, the places of its entries in `found`."""
    return [np.array([n for n, entry in enumerate(found) if entry.kind in shelf], dtype=int) for shelf in SHELVES]


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode("utf-8", "replace")).digest()
