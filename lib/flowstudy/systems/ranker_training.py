"""How the trained retriever learns: from training examples only, its shares on validation examples.

Every batch is of one environment; the loss is contrastive, the cross-entropy between the softmax over all entries of a
shelf and what the references need of it, so that every entry that is not needed counts as a negative.

Measured on the shipped corpus (1,200 training examples, k = 8): recall of steps .874 on test and .945 on unseen
domains, of triggers .950 and .958; with one rate of use for all requirements .837 and .860, .950 and .875. What comes
first is needed in 87 % (test), 75 % (unseen domains) and, of training examples, 83 %; when these were ranked by vectors
that had learned from them 92 %, and their triggers 97 % instead of 66 %. Eight seconds on one core, most of it for the
parts left out. Vectors with one rate of use ranked as sentence-transformers 6.2 did on the same examples
(StaticEmbedding, MultipleNegativesRankingLoss; steps .826 and .857, triggers .860 and .869).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.near_use import NearUse
from flowstudy.systems.retrieval import SHELVES, LexicalRanker, RetrieverError, entries, limits, needed
from flowstudy.systems.trained import BUCKETS, FOLDS, LEXICAL_SCALE, RankerModel, Vectors, fold_of, shelf_places
from flowstudy.systems.uses import Use
from flowstudy.systems.words import words

#: Share of BM25 to begin with, against a dot product of unit scale.
LEXICAL_START: Final = 1.0
#: How much vectors and use near the requirement may count beside BM25: what ranks the validation split best is taken,
#: the first of equals.
SHARES: Final = tuple((dense, near) for near in (0.0, 0.5, 1.0, 2.0, 3.0) for dense in (0.0, 0.25, 0.5, 1.0))
#: What they count where fewer than LEAST examples need something of a shelf, and while vectors are fitted.
USUAL, LEAST = (0.5, 1.0), 20
#: How many training examples stand for a validation split that is too small.
STAND_IN: Final = 200
#: Examples that the usual use of an entry weighs against what was counted.
CAUTION: Final = 20.0


class _World(NamedTuple):
    """One environment, ready for training: bags of entries, and per requirement its bag, what it needs, scaled BM25,
    use near it, and the part of the training examples that it belongs to."""

    documents: Any
    requirements: Any
    targets: np.ndarray
    lexical: np.ndarray
    near: np.ndarray
    folds: np.ndarray
    shelves: list[np.ndarray]


class _Plan(NamedTuple):
    dims: int
    epochs: int
    batch: int
    rate: float
    seed: int


def train_ranker(
    train: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    *,
    validation: Sequence[Example] = (),
    k: int = 12,
    dims: int = 96,
    epochs: int = 3,
    batch: int = 32,
    rate: float = 0.01,
    seed: int = 0,
) -> RankerModel:
    """Fit on training examples whose domains have a catalogue. Deterministic.

    How much vectors and use count on each shelf (triggers, steps, tables, columns) is what puts what `validation`
    examples need first among `k` suggestions; 0, and so BM25 alone, where they do not help. Where there are too few,
    training examples stand for them, each ranked by vectors that have not learned from it.
    Raises RetrieverError without training examples. Never give it a test split.
    """
    kept = [example for example in train if example.domain in catalogues]
    if not kept:
        raise RetrieverError("retriever trained: expected training examples with a catalogue, got none; use `lexical`")
    plan = _Plan(dims, epochs, batch, rate, seed)
    model = _start(kept, catalogues)
    worlds = [_world(model, domain, kept, catalogues) for domain in sorted({example.domain for example in kept})]
    rounds = epochs * sum(-(-world.requirements.shape[0] // batch) for world in worlds)
    with progress("training the retriever", rounds * FOLDS) as tick:
        model.vectors = [_fit(model, worlds, plan, fold, tick) for fold in range(FOLDS + 1)]
    judged = [example for example in validation if example.domain in catalogues]
    _balance(model, judged if len(judged) >= LEAST else kept[:: 1 + len(kept) // STAND_IN], catalogues, k)
    return model


def _fit(model: RankerModel, worlds: Sequence[_World], plan: _Plan, fold: int, tick: Callable[[], None]) -> Vectors:
    """Vectors that learned from all training examples but those of one part; no part has the number 0."""
    start = np.random.default_rng(plan.seed).normal(0, 1 / np.sqrt(plan.dims), (len(model.weights), plan.dims))
    shared = (3.0 * start).astype(np.float32)
    vectors = Vectors(np.zeros_like(shared), shared, np.full(len(SHELVES), LEXICAL_START, dtype=np.float32))
    chosen = [np.flatnonzero(world.folds != fold) for world in worlds]
    total = plan.epochs * sum(-(-len(rows) // plan.batch) for rows in chosen)
    dice, adam = np.random.default_rng(plan.seed), _Adam(plan.rate)
    for _ in range(plan.epochs):
        for number, rows in _batches(chosen, plan.batch, dice):
            adam.step(vectors, _gradients(vectors, worlds[number], rows), total)
            tick()
    return vectors


def _balance(model: RankerModel, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], k: int) -> None:
    """Give vectors and use near the requirement the shares that rank what the examples need best, shelf by shelf."""
    rankers = {domain: model.ranker(catalogues[domain]) for domain in {example.domain for example in examples}}
    listed = {domain: entries(catalogues[domain]) for domain in rankers}
    offered = {domain: ([(e.kind, e.name) for e in all_], shelf_places(all_)) for domain, all_ in listed.items()}
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in SHELVES]
    for example in examples:
        catalogue, (uses, shelves) = catalogues[example.domain], offered[example.domain]
        wanted, parts = _targets(example, catalogue, uses), rankers[example.domain].parts(example.requirement)
        for number, places in enumerate(shelves):
            if wanted[places].any():
                found[number].append((parts[places], wanted[places]))
    for number, most in enumerate(limits(k).values()):
        model.dense[number], model.near[number] = USUAL
        if len(found[number]) >= LEAST:
            worth = [np.mean([average_precision(p @ [*s, 1.0], w, most) for p, w in found[number]]) for s in SHARES]
            model.dense[number], model.near[number] = SHARES[int(np.argmax(np.round(worth, 6)))]


def average_precision(scores: np.ndarray, wanted: np.ndarray, most: int) -> float:
    """Mean, over what is wanted, of the share of wanted entries down to it; what is not among the best `most` gives 0.
    At least one entry is wanted; 1 when all that is wanted, as far as `most` reaches, comes first."""
    hits = wanted[np.argsort(-scores, kind="stable")[:most]]
    return float((hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / min(most, wanted.sum()))


def _start(train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> RankerModel:
    texts = [example.requirement for example in train]
    texts += [entry.text for domain in sorted({e.domain for e in train}) for entry in entries(catalogues[domain])]
    seen = Counter(word for text in texts for word in set(words(text, stops=True)))
    vocabulary = sorted(seen)
    rare = np.log(len(texts) + 1.0)
    weights = np.array([rare - np.log(seen[word]) for word in vocabulary] + [rare] * BUCKETS, dtype=np.float32)
    needs = [sorted(needed(example, catalogues[example.domain])) for example in train]
    domains = [example.domain for example in train]
    shelves = {domain: [(e.kind, e.name) for e in entries(catalogues[domain])] for domain in sorted(set(domains))}
    model = RankerModel(vocabulary, weights, NearUse([e.requirement for e in train], domains, needs, shelves))
    _count_use(model, domains, needs, shelves)
    return model


def _count_use(
    model: RankerModel, domains: Sequence[str], needs: Sequence[Sequence[Use]], shelves: Mapping[str, Sequence[Use]]
) -> None:
    """How often each entry was needed where it exists; what only one environment has stands for what is not seen."""
    counted, chances = Counter(use for need in needs for use in need), Counter[Use]()
    for domain, size in Counter(domains).items():
        chances.update(dict.fromkeys(shelves[domain], size))
    homes = Counter(use for uses in shelves.values() for use in uses)
    for number, shelf in enumerate(SHELVES):
        members = [use for use in chances if use[0] in shelf]
        own = [use for use in members if homes[use] == 1] or members
        rate = (sum(counted[use] for use in own) + 1) / (sum(chances[use] for use in own) + CAUTION)
        model.usual[number] = np.log(rate)
        for kind, name in members:
            share = (counted[kind, name] + CAUTION * rate) / (chances[kind, name] + CAUTION)
            model.used[f"{kind} {name}"] = round(float(np.log(share)), 4)


def _world(model: RankerModel, domain: str, train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> _World:
    catalogue, examples = catalogues[domain], [example for example in train if example.domain == domain]
    found, ranker = entries(catalogue), LexicalRanker(catalogue)
    texts = [example.requirement for example in examples]
    near, uses = model.near_rates(found), [(entry.kind, entry.name) for entry in found]
    return _World(
        documents=model.bag([entry.text for entry in found]),
        requirements=model.bag(texts),
        targets=np.array([_targets(example, catalogue, uses) for example in examples]),
        lexical=LEXICAL_SCALE * np.array([ranker.scores(text) for text in texts], dtype=np.float32),
        near=np.array([near(text) for text in texts], dtype=np.float32),
        folds=np.array([fold_of(text) for text in texts]),
        shelves=shelf_places(found),
    )


def _targets(example: Example, catalogue: Catalogue, uses: Sequence[Use]) -> np.ndarray:
    """For each of the catalogue's entries, `uses`, 1 if the example needs it."""
    wanted = needed(example, catalogue)
    return np.array([use in wanted for use in uses], dtype=np.float32)


def _batches(
    chosen: Sequence[np.ndarray], batch: int, dice: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:  # fmt: skip
    """Number of a world and some of its chosen rows, in random order, every row once."""
    plan = []
    for number, rows in enumerate(chosen):
        order = dice.permutation(rows)
        plan += [(number, order[n : n + batch]) for n in range(0, len(order), batch)]
    for place in dice.permutation(len(plan)):
        yield plan[place]


def _gradients(vectors: Vectors, world: _World, rows: np.ndarray) -> list[np.ndarray]:
    """Of the mean cross-entropy between the softmax of each shelf and what is needed of it."""
    bags, targets, lexical = world.requirements[rows], world.targets[rows], world.lexical[rows]
    queries, documents = bags @ (vectors.queries + vectors.shared), world.documents @ vectors.shared
    scores = queries @ documents.T
    errors, by_lexical = np.zeros_like(scores), np.zeros_like(vectors.lexical)
    for number, places in enumerate(world.shelves):
        wanted = targets[:, places]
        counts = wanted.sum(axis=1, keepdims=True)
        shifted = scores[:, places] + vectors.lexical[number] * lexical[:, places]
        shifted += USUAL[1] * world.near[rows][:, places]
        chances = np.exp(shifted - shifted.max(axis=1, keepdims=True)) if len(places) else shifted
        chances /= np.maximum(chances.sum(axis=1, keepdims=True), 1e-9)
        errors[:, places] = (chances * (counts > 0) - wanted / np.maximum(counts, 1)) / len(rows)
        by_lexical[number] = (errors[:, places] * lexical[:, places]).sum()
    to_queries = bags.T @ (errors @ documents)
    return [to_queries, to_queries + world.documents.T @ (errors.T @ queries), by_lexical]


class _Adam:
    """Adam with a rate that falls linearly to a tenth."""

    def __init__(self, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self._first: list[Any] = [0.0, 0.0, 0.0]
        self._second: list[Any] = [0.0, 0.0, 0.0]

    def step(self, vectors: Vectors, gradients: Sequence[np.ndarray], total: int) -> None:
        self.steps += 1
        rate = self.rate * (1 - 0.9 * self.steps / total)
        for n, (values, slope) in enumerate(zip(vectors, gradients, strict=True)):
            self._first[n] = 0.9 * self._first[n] + 0.1 * slope
            self._second[n] = 0.99 * self._second[n] + 0.01 * slope**2
            first, second = self._first[n] / (1 - 0.9**self.steps), self._second[n] / (1 - 0.99**self.steps)
            values -= rate * first / (np.sqrt(second) + 1e-6)
