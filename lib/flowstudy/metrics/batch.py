"""Many pairs at once: lists or a table in, a table out, one row per pair and a status instead of an exception."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstudy.metrics.desks import StrictFlow, published_desk, strict_desk
from flowstudy.metrics.kernel import fast_kernels
from flowstudy.metrics.limits import FlowTooLarge, UnreadableFlow
from flowstudy.metrics.published import SCORES, six_scores
from flowstudy.metrics.similarity import Strings, check_options, checked, is_flow_like, strict_similarity
from flowstudy.metrics.strings import TextCost, text_cost
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
_NO_SCORES: Final = (math.nan,) * len(SCORES)
_Row: TypeAlias = tuple[Any, ...]
_inherited: tuple[Sequence[Any], TextCost | None] = ((), None)


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
    texts = text_cost if strings == "similar" else None
    several = len(triples) >= _MANY and _can_fork()
    rows: list[_Row] = []
    with progress(title, len(triples)) as tick:
        for row in _in_processes(triples, texts) if several else (_row(triple, texts) for triple in triples):
            rows.append(row)
            tick()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _can_fork() -> bool:
    """Forking is safe while there is one thread, so not in a notebook."""
    only_one_thread = threading.active_count() == 1
    return only_one_thread and "fork" in multiprocessing.get_all_start_methods() and (os.cpu_count() or 1) > 1


def _in_processes(triples: Sequence[Any], texts: TextCost | None) -> Iterator[_Row]:
    """The rows, by a process for each core: each inherits the pairs and sends its rows back."""
    global _inherited
    fast_kernels()
    _inherited = triples, texts
    try:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            yield from pool.map(_work, range(len(triples)), chunksize=_CHUNK)
    finally:
        _inherited = (), None


def _work(place: int) -> _Row:
    triples, texts = _inherited
    return _row(triples[place], texts)


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


def _row(triple: tuple[Any, Any, Any], texts: TextCost | None) -> _Row:
    name, candidate, references = triple
    several = [references] if is_flow_like(references) or not isinstance(references, Sequence) else references
    return (name, *_strict_part(name, candidate, several, texts), *_published_part(name, candidate, several))


def _strict_part(name: Any, candidate: Any, references: Sequence[Any], texts: TextCost | None) -> _Row:
    """Status, error, number of references, index of the best one, and the strict scores."""
    desk, count = strict_desk(), len(references)
    first = desk.read(candidate, "the candidate", trees=texts is not None)
    others = [desk.read(each, "the reference", trees=texts is not None) for each in references]
    status, error = _unscored(name, first, others)
    if status == "invalid_output":
        return (status, error, count, 0, 0.0, 0.0, 0.0, 0.0)
    scores: list[list[float]] = []
    try:
        for inputs in (False, True) if not status else ():
            scores.append([strict_similarity(first, each, inputs, texts, f"pair {name}") for each in others])
    except FlowTooLarge as problem:
        status, error = "too_large", str(problem)
    if status:
        return (status, error, count, -1, math.nan, math.nan, math.nan, math.nan)
    bare, full = scores
    best = max(full)
    return (
        first.status, "", count, full.index(best), max(bare), math.fsum(bare) / count, best, math.fsum(full) / count,
    )  # fmt: skip


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
    if not references:
        return (*_NO_SCORES, "")
    desk, sides = published_desk(), {"candidate": candidate, "reference": references[0]}
    try:
        first, second = (desk.read(checked(flow, f"the {side} of {name}"), f"the {side} of {name}")
                         for side, flow in sides.items())  # fmt: skip
        scores = six_scores(first, second, f"pair {name}")
    except (FlowTooLarge, UnreadableFlow) as error:
        return (*_NO_SCORES, str(error))
    return (*(math.nan if score is None else score for score in scores), "")
