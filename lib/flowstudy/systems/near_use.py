"""Use near a requirement: how often the training examples most like it needed each catalogue entry.

Like requirements need like steps, whatever their words say (nearest neighbours, each with a vote). An entry that an
environment does not have could not be needed there: votes are counted among the examples that could have cast them, so
that the entries of an environment never seen in training are not held against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from flowstudy.systems.uses import Use
from flowstudy.systems.votes import Votes, marks

#: What the use in all training examples weighs against the votes, which are 1 together.
CAUTION: Final = 0.02
#: Added to a rate before its logarithm, so that what nobody needed is unlikely, not ruled out.
FLOOR: Final = 0.01


class NearUse:
    """What training examples needed: `requirements`, their `domains` and `needs` run in parallel, `offered` are the
    entries of each domain's catalogue."""

    def __init__(
        self,
        requirements: Sequence[str],
        domains: Sequence[str],
        needs: Sequence[Sequence[Use]],
        offered: Mapping[str, Sequence[Use]],
    ) -> None:
        self._state = [list(requirements), list(domains), [sorted(need) for need in needs], dict(offered)]
        self.votes = Votes(requirements)
        self._uses = {use: n for n, use in enumerate(sorted({use for need in needs for use in need}))}
        self._needs = marks(needs, self._uses)
        self._domains = {domain: n for n, domain in enumerate(sorted(offered))}
        self._homes = marks([[domain] for domain in domains], self._domains)
        self._offered = {domain: set(uses) for domain, uses in offered.items()}

    def log_rates(self, uses: Sequence[Use], log_use: np.ndarray) -> Callable[[str], np.ndarray]:
        """For the entries of one environment: a function that gives, for a requirement, the logarithm of the share of
        the votes that needs each of them. `log_use` is that of all examples, of each entry."""
        columns = np.array([self._uses.get(use, len(self._uses)) for use in uses], dtype=int)
        homes = [[use in self._offered[domain] for use in uses] for domain in self._domains]
        offered = np.array(homes, dtype=float).reshape(len(homes), len(uses))
        expected = CAUTION * np.exp(log_use)

        def of(requirement: str) -> np.ndarray:
            votes = self.votes.of(requirement)
            needed, could = np.append(votes @ self._needs, 0.0)[columns], votes @ self._homes @ offered
            return np.asarray(np.log((needed + expected) / (could + CAUTION) + FLOOR))

        return of

    def to_json(self) -> str:
        """All that `from_json` needs."""
        return json.dumps(self._state, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> NearUse:
        """Read what `to_json` wrote."""
        requirements, domains, needs, offered = json.loads(text)
        shelves = {domain: [(kind, name) for kind, name in uses] for domain, uses in offered.items()}
        return cls(requirements, domains, [[(kind, name) for kind, name in need] for need in needs], shelves)
