"""Suggestions: which catalogue entries a system is offered for a requirement.

`none` offers nothing, `lexical` ranks by BM25 over names, labels, descriptions and choices, `trained` ranks by
embeddings trained in the run and by what like training examples needed, `oracle` adds to what they offer all else that
the references use (perfect recall).

With `k` suggestions, k steps (actions and subflows together), k columns, k/2 triggers and k/3 tables (rounded up) are
offered, in the order triggers, steps, tables, columns; within a kind the closest comes first.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, StepDef, TableDef
from flowstudy.systems.records import Suggestion
from flowstudy.systems.uses import catalogue_uses
from flowstudy.systems.words import WordIndex, words

KINDS: Final = ("trigger", "action", "subflow", "table", "column")
#: How often the label of a table counts in its text.
LABEL_WEIGHT: Final = 8
SHELVES: Final = (("trigger",), ("action", "subflow"), ("table",), ("column",))
#: The number of the shelf of each kind.
SHELF: Final = {kind: number for number, shelf in enumerate(SHELVES) for kind in shelf}


class RetrieverError(ValueError):
    """A retriever that cannot work here; the message says why and what to do."""


class Entry(NamedTuple):
    """One catalogue entry as a retriever sees it; a column is named `table.column`."""

    kind: str
    name: str
    text: str


class Ranker(Protocol):
    """Gives every entry a score for a requirement, higher is closer; `unseen` ranks as in an environment that has no
    training example. `fingerprint` is another for another ranker."""

    def scores(self, requirement: str, *, unseen: bool = False) -> Sequence[float]: ...

    def fingerprint(self) -> str: ...


def entries(catalogue: Catalogue) -> list[Entry]:
    """Everything that can be suggested, shelf by shelf."""
    found = [Entry("trigger", name, _step_text(name, step)) for name, step in catalogue.triggers.items()]
    found += [Entry("action", name, _step_text(name, step)) for name, step in catalogue.actions.items()]
    found += [Entry("subflow", name, _step_text(name, step)) for name, step in catalogue.subflows.items()]
    found += [Entry("table", name, _table_text(name, table)) for name, table in catalogue.tables.items()]
    for name, table in catalogue.tables.items():
        for column, c in table.columns.items():
            text = f"{column} {c.label} {c.label} {' '.join(c.choices.values())}"
            found.append(Entry("column", f"{name}.{column}", text))
    return found


def _step_text(name: str, step: StepDef) -> str:
    choices = " ".join(choice for one in step.inputs.values() for choice in one.choices)
    return f"{name} {step.description} {choices}"


def _table_text(name: str, table: TableDef) -> str:
    """The label counts as often as the words of many columns, so that these only decide between alike labels."""
    columns = " ".join(f"{c} {one.label} {' '.join(one.choices.values())}" for c, one in table.columns.items())
    return f"{name} {LABEL_WEIGHT * f'{table.label or name} '} {table.description} {columns}"


class LexicalRanker:
    """BM25, each shelf its own index so that long column lists do not drown the steps. Scores are shares of the best
    of the shelf, 0..1; a column's is the mean of its own and its table's."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._shelves = []
        found = entries(catalogue)
        for shelf in SHELVES:
            places = [place for place, entry in enumerate(found) if entry.kind in shelf]
            self._shelves.append((places, WordIndex([words(found[place].text) for place in places])))
        names = {entry.name: place for place, entry in enumerate(found) if entry.kind == "table"}
        self._tables = [names.get(entry.name.rpartition(".")[0], -1) for entry in found]
        self._size = len(found)

    def scores(self, requirement: str, *, unseen: bool = False) -> list[float]:
        """The same in an unseen environment: nothing is learned."""
        query, result = words(requirement), [0.0] * self._size
        for places, index in self._shelves:
            found = index.scores(query)
            best = max(found, default=0.0) or 1.0
            for place, score in zip(places, found, strict=True):
                result[place] = float(score / best)
        (columns, _) = self._shelves[-1]
        for place in columns:
            result[place] = (result[place] + result[self._tables[place]]) / 2
        return result


#: Trained rankers by id of catalogue are passed in; lexical ones are built once per catalogue and kept.
_KEPT: Final[dict[int, tuple[Catalogue, list[Entry], LexicalRanker]]] = {}


def _lexical(catalogue: Catalogue) -> tuple[list[Entry], LexicalRanker]:
    kept = _KEPT.get(id(catalogue))
    if kept is None or kept[0] is not catalogue:
        if len(_KEPT) >= 16:
            _KEPT.pop(next(iter(_KEPT)))
        kept = _KEPT[id(catalogue)] = (catalogue, entries(catalogue), LexicalRanker(catalogue))
    return kept[1], kept[2]


def limits(k: int) -> dict[str, int]:
    """How many suggestions `k` means for triggers, steps, tables and columns."""
    return {"trigger": math.ceil(k / 2), "step": k, "table": math.ceil(k / 3), "column": k}


def retrieve(
    name: str,
    requirement: Example | str,
    catalogue: Catalogue,
    k: int = 20,
    seed: int = 0,
    *,
    ranker: Ranker | None = None,
) -> list[Suggestion]:
    """What the retriever called `name` offers for one requirement; see the module for how many of each kind.

    `requirement` may be an Example; `oracle` needs one, for its references. `ranker` is the trained ranker that
    `trained` needs, and that `oracle` completes; without one it completes `lexical`. Deterministic for the same
    arguments. Raises RetrieverError for an unknown or unavailable one.
    """
    if name == "none" or k <= 0:
        return []
    text = requirement.requirement if isinstance(requirement, Example) else requirement
    if name == "lexical":
        found, lexical = _lexical(catalogue)
        return top(found, lexical.scores(text), k)
    if name == "oracle":
        if not isinstance(requirement, Example):
            raise RetrieverError("retriever oracle: expected an Example with references, got a text; use `lexical`")
        usual = retrieve("lexical" if ranker is None else "trained", text, catalogue, k, ranker=ranker)
        return _oracle(usual, requirement, catalogue, seed)
    if name == "trained":
        if ranker is None:
            raise RetrieverError(
                "retriever trained: not available, no trained ranker was given; get the run's with "
                "`systems.run_rankers` and pass it on, or use `lexical`"
            )
        return top(_lexical(catalogue)[0], ranker.scores(text), k)
    raise RetrieverError(f"retriever {name!r}: expected one of none, lexical, trained, oracle")


def top(found: Sequence[Entry], scores: Sequence[float], k: int) -> list[Suggestion]:
    """The best of each shelf; columns only of the tables that were chosen."""
    most, chosen = limits(k), []
    order = sorted(range(len(found)), key=lambda place: -scores[place])
    tables: set[str] = set()
    for shelf, limit in zip(SHELVES, most.values(), strict=True):
        places = [place for place in order if found[place].kind in shelf]
        if shelf == ("column",):
            places = [place for place in places if found[place].name.rpartition(".")[0] in tables]
        best = places[:limit]
        tables |= {found[place].name for place in best if shelf == ("table",)}
        chosen += [_suggest(found[place], scores[place]) for place in best]
    return chosen


def _suggest(entry: Entry, score: float) -> Suggestion:
    return Suggestion(kind=entry.kind, name=entry.name, score=round(float(score), 4))  # type: ignore[arg-type]


def _oracle(usual: Sequence[Suggestion], example: Example, catalogue: Catalogue, seed: int) -> list[Suggestion]:
    """The usual suggestions and what the references need beside them: what was missing is all that differs, and neither
    place nor score tells it from the others."""
    lacking = sorted(needed(example, catalogue) - {(s.kind, s.name) for s in usual})
    rng = random.Random(hashlib.sha256(f"{seed}|{example.id}".encode()).digest())
    return with_missing(usual, lacking, rng)


def with_missing(
    suggestions: Sequence[Suggestion], missing: Iterable[tuple[str, str]], rng: random.Random
) -> list[Suggestion]:  # fmt: skip
    """The suggestions in their order with the `missing` entries (kind, name), each in a random place of its shelf and
    with the score of what stood there."""
    shelves: list[list[Suggestion]] = [[] for _ in SHELVES]
    for item in suggestions:
        shelves[SHELF[item.kind]].append(item)
    for kind, name in missing:
        shelf = shelves[SHELF[kind]]
        place = rng.randint(0, len(shelf))
        score = shelf[min(place, len(shelf) - 1)].score if shelf else 0.0
        shelf.insert(place, Suggestion(kind=kind, name=name, score=score))  # type: ignore[arg-type]
    return [item for shelf in shelves for item in shelf]


def needed(example: Example, catalogue: Catalogue) -> set[tuple[str, str]]:
    """(kind, name) of the catalogue entries that the references use; what the catalogue lacks is left out."""
    known = {(entry.kind, entry.name) for entry in _lexical(catalogue)[0]}
    return {use for flow in example.references for use in catalogue_uses(flow)} & known


def recall_at_k(
    suggestions: Mapping[str, Sequence[Suggestion]], examples: Iterable[Example], catalogues: Mapping[str, Catalogue]
) -> dict[str, float | None]:
    """Share of what the references use that was suggested, 0..1, by kind of suggestion and for `step` (action or
    subflow); averaged over examples that need the kind, None when none does. `suggestions` are by example id."""
    shares: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "step")}
    for example in examples:
        offered = {(s.kind, s.name) for s in suggestions[example.id]}
        used = needed(example, catalogues[example.domain])
        for kind in shares:
            kinds = ("action", "subflow") if kind == "step" else (kind,)
            wanted = {use for use in used if use[0] in kinds}
            if wanted:
                shares[kind].append(len(wanted & offered) / len(wanted))
    return {kind: sum(values) / len(values) if values else None for kind, values in shares.items()}
