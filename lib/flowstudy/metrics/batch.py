"""Many pairs at once: lists or a table in, a table out, one row per pair and a status instead of an exception."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstudy.metrics.published import SCORES, six_scores
from flowstudy.metrics.similarity import Strings, check_options, checked, is_flow_like, strict_similarity
from flowstudy.metrics.strict import StrictFlow, read_strict, strict_book
from flowstudy.metrics.trees import FlowTooLarge, UnreadableFlow
from flowstudy.progress import progress

if TYPE_CHECKING:
    import pandas as pd

MODES: Final = ("no_inputs", "with_inputs")
STRICT_COLUMNS: Final = tuple(f"strict_{mode}{suffix}" for mode in MODES for suffix in ("", "_mean"))
COLUMNS: Final = (
    "id", "status", "error", "references", "reference_best", *STRICT_COLUMNS, *SCORES, "published_error",
)  # fmt: skip
#: From so many pairs on, several processes are worth their start; each takes so many at a time.
_MANY: Final = 2_000
_CHUNK: Final = 100
_Row: TypeAlias = tuple[Any, ...]
_inherited: list[tuple[Sequence[Any], Strings]] = []


def score_pairs(
    candidates: Any,
    references: Sequence[Any] | None = None,
    *,
    ids: Sequence[Any] | None = None,
    strings: Strings = "exact",
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

    Many pairs use all cores, and work longer than two seconds shows a progress line. Raises ValueError for lists of
    different length.
    """
    import pandas as pd

    check_options("strict", strings)
    triples = _triples(candidates, references, ids)
    several = len(triples) >= _MANY and _can_fork()
    rows: list[_Row] = []
    with progress(title, len(triples)) as tick:
        for row in _in_processes(triples, strings) if several else (_row(triple, strings) for triple in triples):
            rows.append(row)
            tick()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _can_fork() -> bool:
    """Forking is safe while there is one thread, so not in a notebook."""
    only_one_thread = threading.active_count() == 1
    return only_one_thread and "fork" in multiprocessing.get_all_start_methods() and (os.cpu_count() or 1) > 1


def _in_processes(triples: Sequence[Any], strings: Strings) -> Iterator[_Row]:
    """The rows, by a process for each core: each inherits the pairs and sends its rows back."""
    _inherited.append((triples, strings))
    try:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            yield from pool.map(_work, range(len(triples)), chunksize=_CHUNK)
    finally:
        _inherited.pop()


def _work(place: int) -> _Row:
    triples, strings = _inherited[-1]
    return _row(triples[place], strings)


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


def _row(triple: tuple[Any, Any, Any], strings: Strings) -> _Row:
    name, candidate, references = triple
    several = [references] if is_flow_like(references) or not isinstance(references, Sequence) else references
    return (name, *_strict_part(name, candidate, several, strings), *_published_part(name, candidate, several))


def _strict_part(name: Any, candidate: Any, references: Sequence[Any], strings: Strings) -> _Row:
    """Status, error, number of references, index of the best one, and the strict scores."""
    book, record, count = strict_book(), f"pair {name}", len(references)
    first = read_strict(candidate, book, "the candidate")
    others = [read_strict(each, book, "the reference") for each in references]
    status, error = _unscored(name, first, others)
    if status == "invalid_output":
        return (status, error, count, 0, 0.0, 0.0, 0.0, 0.0)
    bare, full = [math.nan], [math.nan]
    try:
        if not status:
            bare, full = (
                [strict_similarity(first, each, book, inputs, strings, record) for each in others]
                for inputs in (False, True)
            )
    except FlowTooLarge as problem:
        status, error = "too_large", str(problem)
    best = -1 if status else full.index(max(full))
    means = (math.fsum(scores) / len(scores) for scores in (bare, full))
    return (status or first.status, error, count, best, max(bare), next(means), max(full), next(means))


def _unscored(name: Any, first: StrictFlow, others: Sequence[StrictFlow]) -> tuple[str, str]:
    """Why a pair gets no strict score from its distance: a status and the error; two empty texts if it gets one."""
    if not others:
        return "invalid_reference", f"no reference for {name}: expected at least one flow, got none; add one"
    bad = [each for each in others if each.codes is None]
    if bad and bad[0].status == "invalid_output":
        reason = f"expected a flow, got {bad[0].error}; correct the reference"
        return "invalid_reference", f"unreadable reference for {name}: {reason}"
    if bad or first.status == "too_large":
        return "too_large", f"pair {name}: {(bad or [first])[0].error}"
    if first.codes is None:
        return "invalid_output", f"unreadable candidate for {name}: expected a flow, got {first.error}"
    return "", ""


def _published_part(name: Any, candidate: Any, references: Sequence[Any]) -> _Row:
    """The six published scores against the first reference, and the error."""
    nothing = (math.nan,) * len(SCORES)
    if not references:
        return (*nothing, "")
    first, second = candidate, references[0]
    try:
        checked(first, f"the candidate of {name}")
        scores = six_scores(first, checked(second, f"the reference of {name}"), str(name))
    except (FlowTooLarge, UnreadableFlow) as error:
        return (*nothing, str(error))
    return (*(math.nan if score is None else score for score in scores), "")
