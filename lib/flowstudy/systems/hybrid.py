"""Two systems as one: policies that say whom to ask and whose answer to take, computed from stored predictions.

No policy makes a call. A hybrid's prediction is the chosen answer with the calls of everyone who was asked for it, so
that cost, tokens and latency add up (one after the other). What may decide is what is known when a request is
answered: the status, the faults against the catalogue, the mean log-probability of what was written. Only `oracle`
looks at the reference: it is a bound, not a system. A split (one system writes the outline, the other the inputs) is
no policy: see `systems.split`.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowstudy.corpus.example import JUDGED, Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.gates import Gate, Pair, Pairing, Quality, choose_gate, gain, pair_up
from flowstudy.systems.mixed import POLICIES, PolicyName, hybrid_parts
from flowstudy.systems.records import Call, Prediction, SystemSpec


class Route(NamedTuple):
    """Whose answer is taken (0 the first system's, 1 the second's), and who was asked."""

    pair: Pair
    chosen: int
    asked: tuple[int, ...]

    @property
    def answer(self) -> Prediction:
        """The answer that is taken, as its own system gave it."""
        return self.pair.second if self.chosen else self.pair.first

    def prediction(self, system: str) -> Prediction:
        """The answer under the name of the hybrid, with the calls of all who were asked, in the order of asking."""
        parts = [(self.pair.first, self.pair.second)[place] for place in self.asked]
        calls: list[Call] = [call for part in parts for call in part.calls]
        key = hashlib.sha256("|".join([str(self.chosen), *(part.key for part in parts)]).encode()).hexdigest()
        own = {"system": system, "repeat": self.pair.first.repeat, "calls": calls, "key": key}
        return self.answer.model_copy(update=own)


class PolicyReport(NamedTuple):
    """What a policy did on the judged splits. `escalated`: share of requests for which the second system was asked;
    `from_second`: share answered by it; both NaN without any. `rule` is the condition in words, `threshold` the mean
    log-probability below which a cascade escalates. `left_out`: answers without a partner."""

    system: str
    policy: PolicyName
    first: str
    second: str
    rule: str
    threshold: float
    n: int
    left_out: int
    escalated: float
    from_second: float
    reason: str = ""


class Hybrid(NamedTuple):
    """A policy applied: where each request went, and the report."""

    routes: list[Route]
    report: PolicyReport

    @property
    def predictions(self) -> list[Prediction]:
        """One per pair, in order of example and repeat."""
        return [route.prediction(self.report.system) for route in self.routes]


def apply_policy(
    policy: PolicyName, pairing: Pairing, quality: Quality, *, name: str | None = None, seed: int = 0, toll: float = 0.0
) -> Hybrid:
    """Send every pair's request where the policy says.

    `always-first` and `always-second` ask one. `cascade` asks the first, and the second when the gate says so (chosen
    on validation with `quality` and `toll`; see `choose_gate`). `best-of-two` asks both and takes the answer with
    fewer faults, the first on a tie. `random` asks one: the second as often as the cascade escalates in that split,
    drawn with `seed`. `oracle` asks one: the one that is known to score higher.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy {policy!r}: expected one of {', '.join(POLICIES)}")
    pairs = pairing.pairs
    gated = policy in ("cascade", "random")
    gate = choose_gate(pairs, quality, toll) if gated else Gate(validator=False, threshold=-math.inf)
    rules = {"cascade": str(gate), "random": "a coin", "oracle": "the reference", "best-of-two": "fewer faults"}
    routes = _routers(seed, quality)[policy](pairs, gate)
    judged = [route for route in routes if route.pair.split in JUDGED]
    reason = gate.reason if gated and pairs else ""
    if not judged:
        reason = f"{' and '.join(pairing.names)}: no judged example was answered by both"
    report = PolicyReport(
        name or f"hybrid-{policy}", policy, *pairing.names, rules.get(policy, ""),
        gate.threshold if policy == "cascade" else math.nan, len(judged), pairing.left_out,
        _share([1 in route.asked for route in judged]), _share([route.chosen == 1 for route in judged]), reason,
    )  # fmt: skip
    return Hybrid(routes, report)


def _share(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else math.nan


def _routers(seed: int, quality: Quality) -> dict[str, Callable[[list[Pair], Gate], list[Route]]]:
    def cascade(pair: Pair, gate: Gate) -> Route:
        return Route(pair, 1, (0, 1)) if gate.escalates(pair) else Route(pair, 0, (0,))

    def one(place: bool | np.bool_, pair: Pair) -> Route:
        return Route(pair, int(place), (int(place),))

    return {
        "always-first": lambda pairs, gate: [one(False, pair) for pair in pairs],
        "always-second": lambda pairs, gate: [one(True, pair) for pair in pairs],
        "cascade": lambda pairs, gate: [cascade(pair, gate) for pair in pairs],
        "best-of-two": lambda pairs, gate: [Route(p, int(p.faults[1] < p.faults[0]), (0, 1)) for p in pairs],
        "random": lambda pairs, gate: [one(m, p) for m, p in zip(_drawn(pairs, gate, seed), pairs, strict=True)],
        "oracle": lambda pairs, gate: [one(gain(pair, quality) > 0, pair) for pair in pairs],
    }


def _drawn(pairs: Sequence[Pair], gate: Gate, seed: int) -> npt.NDArray[np.bool_]:
    """As many at random in every split as the gate escalates there."""
    marks = np.zeros(len(pairs), dtype=bool)
    splits = np.array([pair.split for pair in pairs])
    escalated = np.array([gate.escalates(pair) for pair in pairs], dtype=bool)
    for split in sorted(set(splits.tolist())):
        places = np.flatnonzero(splits == split)
        rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
        marks[rng.permutation(places)[: int(escalated[places].sum())]] = True
    return marks


def apply_hybrids(
    specs: Iterable[SystemSpec],
    predictions: Iterable[Prediction],
    examples: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    quality: Quality,
    *,
    toll: float = 0.0,
) -> dict[str, Hybrid]:
    """The hybrids among `specs`, by name, from the stored predictions of their parts; other systems are passed over."""
    by_system: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_system.setdefault(prediction.system, []).append(prediction)
    found = {}
    for spec in specs:
        parts = hybrid_parts(spec)
        if parts is not None:
            policy, *names = parts
            first, second = (by_system.get(name, []) for name in names)
            pairing = pair_up(first, second, examples, catalogues)._replace(names=(names[0], names[1]))
            found[spec.name] = apply_policy(policy, pairing, quality, name=spec.name, seed=spec.seed, toll=toll)
    return found
