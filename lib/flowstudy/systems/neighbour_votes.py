"""k nearest neighbours: how often the training examples most like a requirement needed each catalogue entry.

An entry that an environment does not have could not be needed there: votes are counted among the examples that could
have cast them. An entry of an environment never seen in training, which no example could have needed, has a rate of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.retrieval import entries, needed
from flowstudy.systems.uses import Use
from flowstudy.systems.votes import Votes, marks

#: How often an entry is needed about which nobody votes, and what that weighs against the votes, which are 1 together.
PRIOR, CAUTION = 0.02, 0.02
#: How often an entry is needed that no training example could have needed; chosen on the validation split, ranked as if
#: its environments were unseen (`tests/benchmarks/retrieval.md`).
UNSEEN: Final = 0.1
#: Added to a rate before its logarithm, so that what nobody needed is unlikely, not ruled out.
FLOOR: Final = 0.01


class NeighbourVotes:
    """The needs of training examples, whose domains all have a catalogue. An example has no vote on its own text in
    other words."""

    def __init__(self, train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> None:
        domains = {example.domain for example in train}
        offered = {domain: {(e.kind, e.name) for e in entries(catalogues[domain])} for domain in domains}
        self.votes = Votes([example.requirement for example in train], [example.origin for example in train])
        self._places = {use: n for n, use in enumerate(sorted(set().union(*offered.values())))}
        self._needs = marks([needed(example, catalogues[example.domain]) for example in train], self._places)
        self._could = marks([offered[example.domain] for example in train], self._places)

    def log_rates(self, uses: Sequence[Use]) -> Callable[[str], np.ndarray]:
        """For the entries of one catalogue: a function from a requirement to the logarithm of the share of the votes
        that needed each of them, log(FLOOR) to log(1 + FLOOR)."""
        columns = np.array([self._places.get(use, len(self._places)) for use in uses], dtype=int)

        def of(requirement: str) -> np.ndarray:
            votes = self.votes.of(requirement)
            voters = np.flatnonzero(votes)
            need, could = (
                np.append(votes[voters] @ table[voters], 0.0)[columns] for table in (self._needs, self._could)
            )
            rates = (need + CAUTION * PRIOR) / (could + CAUTION)
            return np.asarray(np.log(np.where(columns == len(self._places), UNSEEN, rates) + FLOOR))

        return of
