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
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.records import Call, Prediction, SystemSpec

PolicyName = Literal["always-first", "always-second", "cascade", "best-of-two", "random", "oracle"]
POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
#: The policies that a system may be: the other ones are what they are compared with.
SYSTEMS: Final[tuple[PolicyName, ...]] = ("cascade", "best-of-two")
#: (system, example, repeat) to a score from 0 to 1.
Quality = Mapping[tuple[str, str, int], float]
#: Splits on which a policy is judged; the threshold comes from `validation`.
JUDGED: Final = frozenset({"test", "ood"})
#: Fewer validation examples than this choose no threshold.
LEAST: Final = 10
_PREFIX: Final = "hybrid/"
_SPLIT: Final = "split"


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


def hybrid_predictions(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue],
    quality: Quality,
    *,
    policy: PolicyName = "cascade",
    name: str | None = None,
    seed: int = 0,
    toll: float = 0.0,
) -> tuple[list[Prediction], PolicyReport]:
    """The predictions of one hybrid and what it did; see `pair_up` and `apply_policy`. Nobody is called."""
    done = apply_policy(policy, pair_up(first, second, examples, catalogues), quality, name=name, seed=seed, toll=toll)
    return done.predictions, done.report


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
    tried = [pair for pair in pairs if pair.split == "validation" and not math.isnan(_gain(pair, quality))]
    examples = {pair.first.example for pair in tried}
    if len(examples) < LEAST:
        return Gate(True, math.nan, f"no threshold chosen: {len(examples)} validation examples, {LEAST} are the least")
    gains = np.array([_gain(pair, quality) for pair in tried]) - toll
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


def _gain(pair: Pair, quality: Quality) -> float:
    return _score(pair.second, quality) - _score(pair.first, quality)


def _score(prediction: Prediction, quality: Quality) -> float:
    return quality.get((prediction.system, prediction.example, prediction.repeat), math.nan)


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
        "oracle": lambda pairs, gate: [one(_gain(pair, quality) > 0, pair) for pair in pairs],
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


def hybrid_parts(spec: SystemSpec) -> tuple[PolicyName, str, str] | None:
    """Policy, first and second system of a specification whose model is `hybrid/<policy>/<first>+<second>`.

    None for any other system, a split among them. Raises ValueError naming the system whose model is no such thing.
    """
    parts = _parts(spec)
    return None if parts is None or parts[0] == _SPLIT else parts  # type: ignore[return-value]


def split_parts(spec: SystemSpec) -> tuple[str, str] | None:
    """Who writes the outline and who the inputs, of a model `hybrid/split/<outline>+<inputs>`; None for any other."""
    parts = _parts(spec)
    return parts[1:] if parts is not None and parts[0] == _SPLIT else None


def parts_of(spec: SystemSpec) -> tuple[str, ...]:
    """The two systems that a hybrid, routed or split, is made from; none for any other."""
    return (_parts(spec) or ("",))[1:]


def _parts(spec: SystemSpec) -> tuple[str, str, str] | None:
    if not spec.model.startswith(_PREFIX):
        return None
    head, _, both = spec.model.removeprefix(_PREFIX).partition("/")
    first, _, second = both.partition("+")
    policy = next((name for name in (*SYSTEMS, _SPLIT) if name == head), None)
    if policy is None or not first or not second or first == second:
        kinds = "|".join((*SYSTEMS, _SPLIT))
        raise ValueError(
            f"system {spec.name}: expected a model hybrid/<{kinds}>/<first>+<second> with the names of two other "
            f"systems, got {spec.model!r}"
        )
    return policy, first, second


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
