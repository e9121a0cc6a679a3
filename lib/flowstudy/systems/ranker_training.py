"""How the trained retriever learns: from training examples only, its shares on validation examples.

Every batch is of one environment; the loss is contrastive, the cross-entropy between the softmax over all entries of a
shelf and what the references need of it, so that every entry that is not needed counts as a negative.

Measured against sentence-transformers 6.2 (StaticEmbedding, MultipleNegativesRankingLoss, three epochs on pairs
of the same 1,200 examples, mixed with BM25 and use in the same way): recall@8 of steps .831 on test and .861 on unseen
domains here, .826 and .857 there; of triggers .913 and .863 here, .860 and .869 there;
3 s on one core here, 68 s there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.retrieval import SHELVES, LexicalRanker, RetrieverError, entries, limits, needed
from flowstudy.systems.trained import BUCKETS, LEXICAL_SCALE, RankerModel, shelf_places
from flowstudy.systems.uses import Use
from flowstudy.systems.words import words

#: Share of BM25 to begin with, against a dot product of unit scale.
LEXICAL_START: Final = 1.0
#: How much vectors and use may count beside BM25: what does best on the validation split is taken, the first of equals.
SHARES: Final = tuple((dense, use) for use in (0.0, 0.25, 0.5, 1.0) for dense in (0.0, 0.25, 0.5, 1.0))
#: What they count where fewer than LEAST validation examples need something of a shelf.
USUAL, LEAST = (0.5, 0.5), 20
#: Examples that the usual use of an entry weighs against what was counted.
CAUTION: Final = 20.0


class _World(NamedTuple):
    """One environment, ready for training: bags of entries, bags of requirements, targets, scaled BM25, log use."""

    documents: Any
    requirements: Any
    targets: np.ndarray
    lexical: np.ndarray
    use: np.ndarray
    shelves: list[np.ndarray]


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

    With `validation` examples, how much vectors and use count on each shelf (triggers, steps, tables, columns) is what
    finds most of what they need among `k` suggestions; 0, and so BM25 alone, where they do not help. Where there are
    too few, a fifth of the training examples stands for them, in a fit of the others that is made for this only.
    Raises RetrieverError without training examples. Never give it a test split.
    """
    kept = [example for example in train if example.domain in catalogues]
    if not kept:
        raise RetrieverError("retriever trained: expected training examples with a catalogue, got none; use `lexical`")
    plan = _Plan(dims, epochs, batch, rate, seed)
    model = _fit(kept, catalogues, plan)
    judged = [example for example in validation if example.domain in catalogues]
    if len(judged) >= LEAST or len(kept) < 5 * LEAST:
        _balance(model, judged, catalogues, k)
        return model
    trial = _fit([example for n, example in enumerate(kept) if n % 5], catalogues, plan)
    _balance(trial, kept[::5], catalogues, k)
    model.dense, model.use = trial.dense, trial.use
    return model


class _Plan(NamedTuple):
    dims: int
    epochs: int
    batch: int
    rate: float
    seed: int


def _fit(train: Sequence[Example], catalogues: Mapping[str, Catalogue], plan: _Plan) -> RankerModel:
    model = _start(train, catalogues, plan.dims, plan.seed)
    _count_use(model, train, catalogues)
    worlds = [_world(model, domain, train, catalogues) for domain in sorted({example.domain for example in train})]
    dice, adam = np.random.default_rng(plan.seed), _Adam(plan.rate)
    total = plan.epochs * sum(-(-world.requirements.shape[0] // plan.batch) for world in worlds)
    with progress("training the retriever", total) as tick:
        for _ in range(plan.epochs):
            for world, rows in _batches(worlds, plan.batch, dice):
                adam.step(model, _gradients(model, world, rows), total)
                tick()
    return model


def _balance(model: RankerModel, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], k: int) -> None:
    worlds = [_world(model, domain, examples, catalogues) for domain in sorted({e.domain for e in examples})]
    most = list(limits(k).values())
    for number in range(len(SHELVES) if worlds else 0):
        found = [np.concatenate([_found(model, w, number, s, most[number]) for w in worlds]) for s in SHARES]
        if len(found[0]) >= LEAST:
            best = SHARES[int(np.argmax([recalls.mean().round(6) for recalls in found]))]
            model.dense[number], model.use[number] = best


def _found(model: RankerModel, world: _World, number: int, share: tuple[float, float], most: int) -> np.ndarray:
    """Recall among the best `most` of one shelf, per requirement that needs something of it."""
    places = world.shelves[number]
    dense = (world.requirements @ (model.queries + model.shared)) @ (world.documents[places] @ model.shared).T
    scores = share[0] * dense + share[1] * world.use[places] + model.lexical[number] * world.lexical[:, places]
    wanted = world.targets[:, places]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    hits = np.take_along_axis(wanted, best, axis=1).sum(axis=1)
    return hits[wanted.any(axis=1)] / wanted.sum(axis=1)[wanted.any(axis=1)]


def _start(train: Sequence[Example], catalogues: Mapping[str, Catalogue], dims: int, seed: int) -> RankerModel:
    texts = [example.requirement for example in train]
    texts += [entry.text for domain in sorted({e.domain for e in train}) for entry in entries(catalogues[domain])]
    seen = Counter(word for text in texts for word in set(words(text, stops=True)))
    vocabulary = sorted(seen)
    rare = np.log(len(texts) + 1.0)
    weights = np.array([rare - np.log(seen[word]) for word in vocabulary] + [rare] * BUCKETS, dtype=np.float32)
    vectors = np.random.default_rng(seed).normal(0, 1 / np.sqrt(dims), (len(weights), dims)).astype(np.float32)
    start = np.full(len(SHELVES), LEXICAL_START, dtype=np.float32)
    arrays = {"weights": weights, "queries": np.zeros_like(vectors), "shared": vectors * 3.0, "lexical": start}
    shares = {"dense": start * np.float32(USUAL[0]), "use": start * np.float32(USUAL[1])}
    return RankerModel(vocabulary, {**arrays, **shares, "usual": np.zeros_like(start)})


def _count_use(model: RankerModel, train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> None:
    """How often each entry was needed where it exists; what only one environment has stands for what is not seen."""
    needs, chances, homes = Counter[Use](), Counter[Use](), Counter[Use]()
    for domain in sorted({example.domain for example in train}):
        examples = [example for example in train if example.domain == domain]
        here = [(entry.kind, entry.name) for entry in entries(catalogues[domain])]
        homes.update(here)
        chances.update(dict.fromkeys(here, len(examples)))
        needs.update(use for example in examples for use in needed(example, catalogues[domain]))
    for number, shelf in enumerate(SHELVES):
        members = [use for use in chances if use[0] in shelf]
        own = [use for use in members if homes[use] == 1] or members
        rate = (sum(needs[use] for use in own) + 1) / (sum(chances[use] for use in own) + CAUTION)
        model.usual[number] = np.log(rate)
        for kind, name in members:
            counted, of = needs[kind, name] + CAUTION * rate, chances[kind, name] + CAUTION
            model.used[f"{kind} {name}"] = round(float(np.log(counted / of)), 4)


def _world(model: RankerModel, domain: str, train: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> _World:
    catalogue = catalogues[domain]
    found, examples = entries(catalogue), [example for example in train if example.domain == domain]
    places = {(entry.kind, entry.name): place for place, entry in enumerate(found)}
    targets = np.zeros((len(examples), len(found)), dtype=np.float32)
    for row, example in enumerate(examples):
        targets[row, [places[use] for use in needed(example, catalogue)]] = 1.0
    ranker, shelves = LexicalRanker(catalogue), shelf_places(found)
    lexical = LEXICAL_SCALE * np.array([ranker.scores(e.requirement) for e in examples], dtype=np.float32)
    requirements = model.bag([example.requirement for example in examples])
    documents = model.bag([entry.text for entry in found])
    return _World(documents, requirements, targets, lexical, model.log_use(found), shelves)


def _batches(worlds: Sequence[_World], batch: int, dice: np.random.Generator) -> Iterator[tuple[_World, np.ndarray]]:
    plan = []
    for number, world in enumerate(worlds):
        order = dice.permutation(world.requirements.shape[0])
        plan += [(number, order[n : n + batch]) for n in range(0, len(order), batch)]
    for place in dice.permutation(len(plan)):
        yield worlds[plan[place][0]], plan[place][1]


def _gradients(model: RankerModel, world: _World, rows: np.ndarray) -> list[np.ndarray]:
    """Of the mean cross-entropy between the softmax of each shelf and what is needed of it."""
    bags, targets, lexical = world.requirements[rows], world.targets[rows], world.lexical[rows]
    queries, documents = bags @ (model.queries + model.shared), world.documents @ model.shared
    scores = queries @ documents.T
    errors, by_lexical = np.zeros_like(scores), np.zeros_like(model.lexical)
    for number, places in enumerate(world.shelves):
        wanted = targets[:, places]
        counts = wanted.sum(axis=1, keepdims=True)
        shifted = scores[:, places] + model.lexical[number] * lexical[:, places]
        shifted += model.use[number] * world.use[places]
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

    def step(self, model: RankerModel, gradients: Sequence[np.ndarray], total: int) -> None:
        self.steps += 1
        rate = self.rate * (1 - 0.9 * self.steps / total)
        for n, (values, slope) in enumerate(zip((model.queries, model.shared, model.lexical), gradients, strict=True)):
            self._first[n] = 0.9 * self._first[n] + 0.1 * slope
            self._second[n] = 0.99 * self._second[n] + 0.01 * slope**2
            first, second = self._first[n] / (1 - 0.9**self.steps), self._second[n] / (1 - 0.99**self.steps)
            values -= rate * first / (np.sqrt(second) + 1e-6)
