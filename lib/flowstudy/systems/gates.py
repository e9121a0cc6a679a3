"""Two systems' answers to the same request, and when the second one is worth asking.

What may decide is what is known when a request is answered: the status, the faults against the catalogue, the mean
log-probability of what was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.records import Prediction

#: (system, example, repeat) to a score from 0 to 1.
Quality = Mapping[tuple[str, str, int], float]
#: Fewer validation examples than this choose no threshold.
LEAST: Final = 10


class Pair(NamedTuple):
    """What both systems answered to the same request.

    `confidence` is the mean log-probability of the first answer (NaN when no call reports it), `faults` what the
    validator finds in either answer: faults against the catalogue, infinity without a flow.
    """

    first: Prediction
    second: Prediction
    split: str
    confidence: float
    faults: tuple[float, float]


class Pairing(NamedTuple):
    """The pairs, by example and repeat; `left_out` counts answers of the first system that have no partner."""

    pairs: list[Pair]
    left_out: int
    names: tuple[str, str]


class Gate(NamedTuple):
    """When the second system is asked. No flow always escalates; `validator` escalates any catalogue fault;
    `threshold` escalates a mean log-probability below it (-inf never, inf always, NaN not chosen)."""

    validator: bool
    threshold: float
    reason: str = ""

    def escalates(self, pair: Pair) -> bool:
        """Whether the first answer is not good enough."""
        refused = pair.first.flow is None or (self.validator and pair.faults[0] > 0)
        return refused or pair.confidence < self.threshold or self.threshold == math.inf

    def __str__(self) -> str:
        rules = ["no flow", *(["a catalogue fault"] if self.validator else [])]
        if self.threshold == math.inf:
            return "always"
        if math.isfinite(self.threshold):
            rules.append(f"mean log-probability below {self.threshold:.3f}".replace("-", "−").replace("log−", "log-"))
        return f"{', '.join(rules[:-1])} or {rules[-1]}" if len(rules) > 1 else rules[0]


def pair_up(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue],
) -> Pairing:
    """Answers of two systems to the same examples; what is no answer (provider error, budget) takes no part.

    A system with fewer repeats than the first lends them again in turn. Examples that `examples` does not hold are
    ignored; without a catalogue for its domain an answer has no faults.
    """
    corpus = {example.id: example for example in examples}
    partners: dict[str, list[Prediction]] = {}
    for other in sorted(second, key=lambda p: p.repeat):
        if other.is_answer:
            partners.setdefault(other.example, []).append(other)
    known = sorted((p for p in first if p.example in corpus and p.is_answer), key=lambda p: (p.example, p.repeat))
    pairs = []
    for one in known:
        if one.example in partners:
            other = partners[one.example][one.repeat % len(partners[one.example])]
            example = corpus[one.example]
            faults = tuple(_faults(p, catalogues.get(example.domain)) for p in (one, other))
            pairs.append(Pair(one, other, example.split, confidence(one), (faults[0], faults[1])))
    names = (first[0].system if first else "", second[0].system if second else "")
    return Pairing(pairs, len(known) - len(pairs), names)


def confidence(prediction: Prediction) -> float:
    """Mean log-probability per token over the calls that report it; NaN when none does."""
    known = [(c.mean_logprob, c.completion_tokens or 1) for c in prediction.calls if c.mean_logprob is not None]
    total = sum(tokens for _, tokens in known)
    return sum(mean * tokens for mean, tokens in known) / total if known else math.nan


def _faults(prediction: Prediction, catalogue: Catalogue | None) -> float:
    if prediction.flow is None:
        return math.inf
    return float(len(catalogue.check(prediction.flow, prediction.example))) if catalogue else 0.0


def choose_gate(pairs: Iterable[Pair], quality: Quality, toll: float = 0.0) -> Gate:
    """The gate with the best mean quality on the validation pairs, less `toll` for each escalated request.

    Every threshold between two seen log-probabilities is tried, with and without the catalogue's validator; the one
    that escalates less wins a tie. Below 10 scored validation examples nothing is tried: no flow and catalogue faults
    escalate, and the reason says so.
    """
    tried = [pair for pair in pairs if pair.split == "validation" and not math.isnan(gain(pair, quality))]
    examples = {pair.first.example for pair in tried}
    if len(examples) < LEAST:
        return Gate(True, math.nan, f"no threshold chosen: {len(examples)} validation examples, {LEAST} are the least")
    gains = np.array([gain(pair, quality) for pair in tried]) - toll
    levels = np.array([pair.confidence for pair in tried])
    seen = np.unique(levels[np.isfinite(levels)])
    thresholds = np.array([-math.inf, *(seen[1:] + seen[:-1]) / 2, math.inf])
    found: list[tuple[float, float, bool, float]] = []
    for validator in (True, False):
        refused = np.array([Gate(validator, math.nan).escalates(pair) for pair in tried])
        for threshold in map(float, thresholds):
            marks = refused | (levels < threshold) | (threshold == math.inf)
            found.append((round(float(marks @ gains) / len(tried), 9), -float(marks.mean()), validator, threshold))
    _, _, validator, threshold = max(found, key=lambda rank: (*rank[:3], -rank[3]))
    return Gate(validator, threshold, "" if seen.size else f"{tried[0].first.system} reports no log-probabilities")


def gain(pair: Pair, quality: Quality) -> float:
    """How much higher the second answer scores than the first; NaN when one has no score."""
    return _score(pair.second, quality) - _score(pair.first, quality)


def _score(prediction: Prediction, quality: Quality) -> float:
    return quality.get((prediction.system, prediction.example, prediction.repeat), math.nan)
