"""Many pairs at once: lists or a table in, a table out, one row per pair and a status instead of an exception."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from flowstudy.metrics.kernel import Job, warm_up
from flowstudy.metrics.limits import FlowTooLarge
from flowstudy.metrics.matches import printed_component_match, printed_trigger_match
from flowstudy.metrics.published import SCORES, normalised
from flowstudy.metrics.similarity import Strings, check_options, is_flow_like, strict_similarity
from flowstudy.metrics.strings import Encoder, TextCosts
from flowstudy.metrics.treebleu import edge_recall
from flowstudy.metrics.workshop import MODES, Side, Workshop
from flowstudy.progress import progress

if TYPE_CHECKING:
    import pandas as pd

STRICT_COLUMNS: Final = tuple(f"strict_{mode}{suffix}" for mode in MODES for suffix in ("", "_mean"))
COLUMNS: Final = (
    "id", "status", "error", "references", "reference_best", *STRICT_COLUMNS, *SCORES, "published_error",
)  # fmt: skip
#: Most pairs that are scored between two reports of progress, and most characters of text (under a second of work).
_CHUNK: Final = 500
_CHUNK_CHARS: Final = 1_000_000
#: What a flow that is no text counts for.
_OBJECT_CHARS: Final = 1_000
#: From so many pairs on, several processes are worth their start.
_MANY: Final = 2_000
_NO_SCORES: Final = (math.nan,) * len(SCORES)
_Row: TypeAlias = tuple[Any, ...]
_inherited: tuple[Sequence[Any], TextCosts | None, Workshop] = ((), None, Workshop())


class _Pair(NamedTuple):
    id: Any
    candidate: Side
    references: list[Side]

    def strict_jobs(self) -> list[Job]:
        """The strict distances that the pair needs, mode by mode; none unless every side is a flow."""
        sides = [side.strict_places for side in (self.candidate, *self.references)]
        first, *others = sides
        if first is None or None in others:
            return []
        return [(first[m], second[m], m) for m in range(len(MODES)) for second in others if second is not None]

    def published_jobs(self) -> list[Job]:
        """The published distances, of the modes in which the published code does not raise; first reference only."""
        if not self.references:
            return []
        both = zip(self.candidate.published_places, self.references[0].published_places, strict=False)
        return [(a, b, m) for m, (a, b) in enumerate(both) if a is not None and b is not None]


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
        rows: list[_Row] = []
        with _without_collector():
            for part in _in_processes(triples, texts) if several else _in_threads(triples, texts):
                rows += part
                tick(len(part))
        return pd.DataFrame(rows, columns=list(COLUMNS))


def _in_threads(triples: Sequence[Any], texts: TextCosts | None) -> Iterator[list[_Row]]:
    """The rows, in parts: pairs are read in this thread, and their distances computed by one for each core."""
    workshop = Workshop(trees=texts is not None)
    for part in _parts(triples):
        yield _score(triples[part], texts, workshop, os.cpu_count() or 1)


def _parts(triples: Sequence[Any]) -> Iterator[slice]:
    """Parts of at most `_CHUNK` pairs and about `_CHUNK_CHARS` characters of candidates."""
    start = chars = 0
    for end, (_, candidate, _) in enumerate(triples, start=1):
        chars += len(candidate) if isinstance(candidate, str) else _OBJECT_CHARS
        if end - start == _CHUNK or chars > _CHUNK_CHARS or end == len(triples):
            yield slice(start, end)
            start, chars = end, 0


def _score(triples: Sequence[Any], texts: TextCosts | None, workshop: Workshop, threads: int) -> list[_Row]:
    pairs = [_prepare(each, workshop) for each in triples]
    rows = _rows(pairs, texts, workshop, threads)
    workshop.tidy()
    return rows


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the search for reference cycles, which would scan the many small objects of a batch again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _can_fork() -> bool:
    """Forking is safe while there is one thread, so not in a notebook."""
    only_one_thread = threading.active_count() == 1
    return only_one_thread and "fork" in multiprocessing.get_all_start_methods() and (os.cpu_count() or 1) > 1


def _in_processes(triples: Sequence[Any], texts: TextCosts | None) -> Iterator[list[_Row]]:
    """The rows, in parts, by a process for each core: each inherits the pairs and sends its rows back."""
    global _inherited
    warm_up()
    _inherited = (triples, texts, Workshop(trees=texts is not None))
    try:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            yield from pool.map(_work, _parts(triples))
    finally:
        _inherited = ((), None, Workshop())


def _work(part: slice) -> list[_Row]:
    triples, texts, workshop = _inherited
    return _score(triples[part], texts, workshop, 1)


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
    return _Pair(name, workshop.candidate(candidate), [workshop.reference(each) for each in several])


def _rows(pairs: Sequence[_Pair], texts: TextCosts | None, workshop: Workshop, threads: int) -> list[_Row]:
    asked = [(pair.strict_jobs() if texts is None else [], pair.published_jobs()) for pair in pairs]
    jobs = [job for strict, published in asked for job in (*strict, *published)]
    found = iter(workshop.shelf.distances(jobs, threads))
    rows = []
    for pair, (strict, published) in zip(pairs, asked, strict=True):
        head = _strict_part(pair, [next(found) for _ in strict], texts)
        rows.append((pair.id, *head, *_published_part(pair, {m: next(found) for _, _, m in published})))
    return rows


def _strict_part(pair: _Pair, distances: Sequence[int | None], texts: TextCosts | None) -> _Row:
    """Status, error, number of references, index of the best one, and the strict scores."""
    count, first = len(pair.references), pair.candidate.strict
    status, error = _unscored(pair)
    if status == "invalid_output":
        return (status, error, count, 0, 0.0, 0.0, 0.0, 0.0)
    try:
        bare, full = ([], []) if status else (_strict_scores(pair, m, distances, texts) for m in range(len(MODES)))
    except FlowTooLarge as problem:
        status, error, bare, full = "too_large", str(problem), [], []
    if status:
        return (status, error, count, -1, math.nan, math.nan, math.nan, math.nan)
    best = max(full)
    return (
        first.status, "", count, full.index(best), max(bare), math.fsum(bare) / count, best, math.fsum(full) / count,
    )  # fmt: skip


def _unscored(pair: _Pair) -> tuple[str, str]:
    """Why a pair gets no strict score from its distance: a status and the error; two empty texts if it gets one."""
    if not pair.references:
        return "invalid_reference", f"no reference for {pair.id}: expected at least one flow, got none; add one"
    first, bad = pair.candidate.strict, [side.strict for side in pair.references if side.strict.codes is None]
    if bad and bad[0].status == "invalid_output":
        reason = f"expected a flow, got {bad[0].error}; correct the reference"
        return "invalid_reference", f"unreadable reference for {pair.id}: {reason}"
    if bad or first.status == "too_large":
        return "too_large", f"pair {pair.id}: {(bad or [first])[0].error}"
    if first.codes is None:
        return "invalid_output", f"unreadable candidate for {pair.id}: expected a flow, got {first.error}"
    return "", ""


def _strict_scores(pair: _Pair, m: int, distances: Sequence[int | None], texts: TextCosts | None) -> list[float]:
    first, seconds = pair.candidate.strict, [side.strict for side in pair.references]
    if texts is not None:
        return [strict_similarity(first, each, m == 1, texts, f"pair {pair.id}") for each in seconds]
    scores = []
    for second, distance in zip(seconds, distances[m * len(seconds) :], strict=False):
        if distance is None or first.codes is None or second.codes is None:
            raise FlowTooLarge(f"pair too large for {pair.id}: expected a smaller pair; compare the flows in parts")
        scores.append(normalised(distance, first.codes[m].lengths[m], second.codes[m].lengths[m]))
    return scores


def _published_part(pair: _Pair, distances: dict[int, int | None]) -> _Row:
    """The six published scores and the error; modes without a distance are those where the published code raises."""
    if not pair.references:
        return (*_NO_SCORES, "")
    sides = pair.candidate, pair.references[0]
    first, second = sides[0].published, sides[1].published
    if first is None or second is None:
        return (*_NO_SCORES, f"pair {pair.id}: {sides[0].published_error or sides[1].published_error}")
    if None in distances.values():
        return (*_NO_SCORES, f"pair too large for {pair.id}: compare the flows in parts")
    scores = [0.0, 0.0]
    for m, distance in distances.items():
        a, b = first.codes[m], second.codes[m]
        if a is not None and b is not None and distance is not None:
            scores[m] = normalised(distance, a.lengths[m], b.lengths[m])
    matches = (rule(first.prints, second.prints) for rule in (printed_trigger_match, printed_component_match))
    known = (math.nan if match is None else match for match in matches)
    return (*scores, *map(edge_recall, first.edges, second.edges), *known, "")
