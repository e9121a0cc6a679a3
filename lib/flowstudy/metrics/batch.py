"""Many pairs at once: lists or a table in, a table out, one row per pair and a status instead of an exception."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstudy.metrics.kernel import tree_distances, warm_up
from flowstudy.metrics.limits import FlowTooLarge
from flowstudy.metrics.matches import component_match, trigger_match
from flowstudy.metrics.prepared import MODES, PublishedSide, StrictSide, Workshop, is_flow_like
from flowstudy.metrics.published import SCORES, normalised
from flowstudy.metrics.similarity import Strings, check_options, strict_similarity
from flowstudy.metrics.strings import Encoder, TextCosts
from flowstudy.progress import Tick, progress

if TYPE_CHECKING:
    import pandas as pd

STRICT_COLUMNS: Final = tuple(f"strict_{mode}{suffix}" for mode, _ in MODES for suffix in ("", "_mean"))
COLUMNS: Final = (
    "id", "status", "error", "references", "reference_best", *STRICT_COLUMNS, *SCORES, "published_error",
)  # fmt: skip
_CHUNK: Final = 1_000
#: From so many pairs on, several processes are worth their start.
_MANY: Final = 4_000
_Row = tuple[Any, ...]
_inherited: tuple[Sequence[Any], TextCosts | None, Workshop | None] = ((), None, None)


class _Pair(NamedTuple):
    id: Any
    candidate: tuple[StrictSide, PublishedSide]
    references: list[tuple[StrictSide, PublishedSide]]


class _Distances:
    """Distance jobs of a chunk, gathered first and computed together."""

    def __init__(self) -> None:
        self._trees: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._pairs: dict[tuple[int, int], int] = {}
        self.found: list[int | None] = []

    def _number(self, tree: Any) -> int:
        number = self._numbers.setdefault(id(tree), len(self._trees))
        if number == len(self._trees):
            self._trees.append(tree)
        return number

    def ask(self, first: Any, second: Any) -> int:
        """Queue a pair of encoded trees; the index of its distance in `found`."""
        return self._pairs.setdefault((self._number(first), self._number(second)), len(self._pairs))

    def compute(self) -> None:
        self.found = tree_distances(self._trees, list(self._pairs))


def score_pairs(
    candidates: Any,
    references: Sequence[Any] | None = None,
    *,
    ids: Sequence[Any] | None = None,
    strings: Strings = "exact",
    encoder: Encoder | None = None,
    title: str = "scoring",
) -> pd.DataFrame:
    """Score many pairs; one row per pair in the order given, in the columns `COLUMNS`.

    `candidates` and `references` have the same length; a reference may be a list of several. Instead of two lists,
    `candidates` may be a DataFrame with the columns `candidate`, `reference` or `references`, and optionally `id`.
    Missing candidates (None) are `invalid_output`.

    - `status`: `ok`, `repaired`, `invalid_output` (scores 0), `too_large` or `invalid_reference` (both NaN); `error`
      says why.
    - `strict_<mode>`: the best strict similarity over the references, `_mean` their mean; `reference_best` is the
      index of the best one with inputs, `references` their number. `strings="similar"` grades free text.
    - the six published scores, against the first reference as in the published code; NaN where it skips the pair
      or, then with a `published_error`, where it would stop.

    References are read once, distances use all cores, and work longer than two seconds shows a progress line. Raises
    ValueError for lists of different length.
    """
    import pandas as pd

    check_options("strict", strings)
    triples = _triples(candidates, references, ids)
    texts = TextCosts(encoder) if strings == "similar" else None
    with progress(title, len(triples)) as tick:
        several = len(triples) >= _MANY and _can_fork() and encoder is None
        rows = _in_processes(triples, texts, tick) if several else _score(triples, texts, Workshop(), tick)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _score(triples: Sequence[Any], texts: TextCosts | None, workshop: Workshop, tick: Tick | None = None) -> list[_Row]:
    rows: list[_Row] = []
    for start in range(0, len(triples), _CHUNK):
        pairs = []
        for each in triples[start : start + _CHUNK]:
            pairs.append(_prepare(each, workshop))
            if tick is not None:
                tick()
        rows += _rows(pairs, texts)
        workshop.tidy()
    return rows


def _can_fork() -> bool:
    """Forking is safe while there is one thread, so not in a notebook."""
    only_one_thread = threading.active_count() == 1
    return only_one_thread and "fork" in multiprocessing.get_all_start_methods() and (os.cpu_count() or 1) > 1


def _in_processes(triples: Sequence[Any], texts: TextCosts | None, tick: Tick) -> list[_Row]:
    """All cores: each process inherits the pairs and sends its rows back."""
    global _inherited
    warm_up()
    _inherited = (triples, texts, Workshop())
    parts = [(start, start + _CHUNK) for start in range(0, len(triples), _CHUNK)]
    rows: list[_Row] = []
    try:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            for part in pool.map(_work, parts):
                rows += part
                tick(len(part))
    finally:
        _inherited = ((), None, None)
    return rows


def _work(part: tuple[int, int]) -> list[_Row]:
    triples, texts, workshop = _inherited
    return _score(triples[slice(*part)], texts, workshop or Workshop())


def _triples(candidates: Any, references: Any, ids: Any) -> list[tuple[Any, Any, Any]]:
    if hasattr(candidates, "columns"):
        table = candidates
        column = "references" if "references" in table.columns else "reference"
        missing = {"candidate", column} - set(table.columns)
        if missing:
            raise ValueError(f"columns for score_pairs: expected candidate and reference(s), got {list(table.columns)}")
        candidates, references = table["candidate"].tolist(), table[column].tolist()
        ids = table["id"].tolist() if "id" in table.columns else ids
    ids = list(range(len(candidates))) if ids is None else ids
    if references is None or not len(candidates) == len(references) == len(ids):
        lengths = (len(candidates), None if references is None else len(references), len(ids))
        raise ValueError(
            f"pairs for score_pairs: expected candidates, references and ids of one length, got {lengths}; align them"
        )
    return list(zip(ids, candidates, references, strict=True))


def _prepare(triple: tuple[Any, Any, Any], workshop: Workshop) -> _Pair:
    name, candidate, references = triple
    several = [references] if is_flow_like(references) or not isinstance(references, Sequence) else references
    return _Pair(name, workshop.prepare(candidate), [workshop.reference(each) for each in several])


def _rows(pairs: Sequence[_Pair], texts: TextCosts | None) -> Iterator[_Row]:
    jobs = _Distances()
    asked = [(_ask_strict(pair, jobs) if texts is None else None, _ask_published(pair, jobs)) for pair in pairs]
    jobs.compute()
    for pair, (strict, published) in zip(pairs, asked, strict=True):
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
        row |= {"id": pair.id, "references": len(pair.references), "reference_best": -1, "published_error": ""}
        row |= _strict_row(pair, strict, texts, jobs.found)
        row |= _published_row(pair, published, jobs.found)
        yield tuple(row.values())


def _ask_strict(pair: _Pair, jobs: _Distances) -> list[list[int]]:
    """For each mode the distance jobs against every reference; empty when either side is no flow."""
    first = pair.candidate[0]
    if not first.codes or not all(second.codes for second, _ in pair.references):
        return []
    return [[jobs.ask(first.codes[m], second.codes[m]) for second, _ in pair.references] for m in range(len(MODES))]


def _ask_published(pair: _Pair, jobs: _Distances) -> list[int | None]:
    first, second = pair.candidate[1], pair.references[0][1] if pair.references else None
    if second is None or first.error or second.error:
        return []
    both = zip(first.measures, second.measures, strict=True)
    return [jobs.ask(a.codes, b.codes) if a and b else None for a, b in both]


def _strict_row(
    pair: _Pair, asked: list[list[int]] | None, texts: TextCosts | None, found: Sequence[int | None]
) -> dict[str, Any]:
    first = pair.candidate[0]
    bad = [second for second, _ in pair.references if second.trees is None]
    if not pair.references:
        error = f"no reference for {pair.id}: expected at least one flow, got none; add one"
        return _unscored("invalid_reference", error)
    if bad and bad[0].status == "invalid_output":
        reason = f"expected a flow, got {bad[0].error}; correct the reference"
        return _unscored("invalid_reference", f"unreadable reference for {pair.id}: {reason}")
    if bad or first.status == "too_large":
        return _unscored("too_large", f"pair {pair.id}: {(bad or [first])[0].error}")
    if first.trees is None:
        error = f"unreadable candidate for {pair.id}: expected a flow, got {first.error}"
        return {"status": first.status, "error": error, "reference_best": 0} | dict.fromkeys(STRICT_COLUMNS, 0.0)
    row: dict[str, Any] = {"status": first.status, "error": first.error}
    for m, (mode, _) in enumerate(MODES):
        try:
            scores = _strict_scores(pair, m, asked[m] if asked else None, texts, found)
        except FlowTooLarge as error:
            return _unscored("too_large", str(error)) | {"reference_best": -1} | dict.fromkeys(STRICT_COLUMNS, math.nan)
        row[f"strict_{mode}"], row[f"strict_{mode}_mean"] = max(scores), math.fsum(scores) / len(scores)
        row["reference_best"] = scores.index(max(scores))
    return row


def _unscored(status: str, error: str) -> dict[str, Any]:
    return {"status": status, "error": error}


def _strict_scores(
    pair: _Pair, m: int, asked: list[int] | None, texts: TextCosts | None, found: Sequence[int | None]
) -> list[float]:
    first, scores = pair.candidate[0], []
    for k, (second, _) in enumerate(pair.references):
        if asked is None and first.trees and second.trees:
            scores.append(strict_similarity(first.trees[m], second.trees[m], texts, f"pair {pair.id}"))
            continue
        distance = found[asked[k]] if asked else None
        if distance is None:
            raise FlowTooLarge(f"pair too large for {pair.id}: expected a smaller pair; compare the flows in parts")
        scores.append(normalised(distance, first.lengths[m], second.lengths[m]))
    return scores


def _published_row(pair: _Pair, asked: list[int | None], found: Sequence[int | None]) -> dict[str, Any]:
    if not pair.references:
        return {}
    first, second = pair.candidate[1], pair.references[0][1]
    if not asked:
        return {"published_error": f"pair {pair.id}: {first.error or second.error}"}
    row: dict[str, Any] = {}
    for m, (mode, _) in enumerate(MODES):
        a, b, job = first.measures[m], second.measures[m], asked[m]
        row[f"flow_sim_{mode}"] = 0.0
        if a and b and job is not None:
            distance = found[job]
            if distance is None:
                return {"published_error": f"pair too large for {pair.id}: compare the flows in parts"}
            row[f"flow_sim_{mode}"] = normalised(distance, a.length, b.length)
        row[f"flow_bleu_{mode}"] = _recall(first.edges[m], second.edges[m])
    matches = (trigger_match(first.value, second.value), component_match(first.value, second.value))
    row["trigger_match"], row["component_match"] = (math.nan if match is None else match for match in matches)
    return row


def _recall(candidate: set[Any] | None, reference: set[Any] | None) -> float:
    return len(candidate & reference) / len(reference) if candidate is not None and reference else 0.0
