"""Training examples that vote on a requirement: those most like it, each with what its likeness counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowstudy.systems.words import words

#: How many training examples vote, and how much more one with more common words counts: exp(SHARPNESS x Jaccard).
NEAREST, SHARPNESS = 40, 12.0


class Votes:
    """The requirements of training examples, by their words. Those of one origin (the same in other words) do not vote
    on each other."""

    def __init__(self, requirements: Sequence[str], origins: Sequence[str]) -> None:
        bags = [set(words(requirement)) for requirement in requirements]
        self._words = {word: n for n, word in enumerate(sorted(set().union(*bags)))}
        self._bags, self._sizes = marks(bags, self._words), np.array([len(bag) for bag in bags], dtype=float)
        members: dict[str, list[int]] = {}
        for place, origin in enumerate(origins):
            members.setdefault(origin, []).append(place)
        self._related: dict[str, set[int]] = {}
        for requirement, origin in zip(requirements, origins, strict=True):
            self._related.setdefault(requirement, set()).update(members[origin])

    def shared(self, requirement: str) -> np.ndarray:
        """For each training example the share of words, 0 to 1, that both requirements have (Jaccard)."""
        bag = set(words(requirement))
        both = (marks([bag], self._words) @ self._bags.T).toarray()[0]
        return np.asarray(both / np.maximum(1, len(bag) + self._sizes - both))

    def of(self, requirement: str) -> np.ndarray:
        """What each training example counts, 1 together; 0 for all but the nearest and for those of this text's
        origin."""
        counts = np.exp(SHARPNESS * self.shared(requirement))
        counts[sorted(self._related.get(requirement, ()))] = 0.0
        counts[np.argsort(-counts, kind="stable")[NEAREST:]] = 0.0
        return np.asarray(counts / (counts.sum() or 1.0))


def marks(rows: Sequence[Any], columns: Mapping[Any, int]) -> Any:
    """A sparse matrix with a 1 for everything that a row has; what has no column is left out."""
    from scipy import sparse

    places = [(n, columns[item]) for n, row in enumerate(rows) for item in row if item in columns]
    at = np.array(places, dtype=int).reshape(-1, 2)
    return sparse.csr_array((np.ones(len(at)), (at[:, 0], at[:, 1])), shape=(len(rows), len(columns)))
