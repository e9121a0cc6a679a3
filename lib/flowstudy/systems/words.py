"""Words of names and sentences, and one BM25 index over them (bm25s), for retrieval and nearest examples."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDINGS: Final = (
    "ations", "ation", "ings", "ing", "ions", "ion", "ies", "als", "al", "ers", "er", "ed", "es", "s", "e", "y",
)  # fmt: skip
_STOP: Final = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "if", "in", "into", "is"),
        *("it", "its", "of", "on", "or", "that", "the", "them", "then", "they", "this", "to", "was", "when", "which"),
        *("will", "with"),
    ]
)


def words(text: str) -> list[str]:
    """Lower-case stems of the words of a sentence or of a name such as `itsm.createIncident`, without stop words.

    >>> words("Approvals are created in itsm.createIncident")
    ['approv', 'creat', 'itsm', 'creat', 'incident']
    """
    found = (word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text)))
    return [stem(word) for word in found if word not in _STOP]


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The word without its commonest English ending; at least four letters stay."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


class WordIndex:
    """BM25 over documents that are lists of words. An index of no documents gives no scores."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self.size = len(documents)
        self._index: Any = None
        if any(documents):
            import bm25s

            logging.getLogger("bm25s").setLevel(logging.WARNING)
            self._index = bm25s.BM25()
            self._index.index([list(document) for document in documents], show_progress=False)

    def scores(self, query: Sequence[str]) -> np.ndarray:
        """One score per document, 0 and up, in the order of the documents; all 0 when no word is known."""
        if self._index is None or not query:
            return np.zeros(self.size)
        known = [word for word in query if word in self._index.vocab_dict]
        return np.asarray(self._index.get_scores(known), dtype=float) if known else np.zeros(self.size)

    def ranked(self, query: Sequence[str]) -> list[tuple[int, float]]:
        """(document, score) from the closest to the least close; equal scores in the order of the documents."""
        scores = self.scores(query)
        return [(int(place), float(scores[place])) for place in np.argsort(-scores, kind="stable")]
