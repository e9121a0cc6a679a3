"""FlowSim: how alike two workflows are, in the strict or the published convention; one pair or many."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from flowstudy.flows.schema import Flow
from flowstudy.metrics.published import SCORES, encoded, similarity, six_scores
from flowstudy.metrics.published_tree import published_book, published_trees, read_published
from flowstudy.metrics.strict import EDITION, StrictFlow, read_strict, strict_book
from flowstudy.metrics.trees import Codebook, FlowTooLarge, UnreadableFlow
from flowstudy.progress import progress

if TYPE_CHECKING:
    import pandas as pd

FlowLike: TypeAlias = Flow | dict[str, Any] | str
Convention = Literal["strict", "published"]
Strings = Literal["exact", "similar"]
MODES: Final = ("no_inputs", "with_inputs")
STRICT_COLUMNS: Final = tuple(f"strict_{mode}{suffix}" for mode in MODES for suffix in ("", "_mean"))
COLUMNS: Final = (
    "id", "status", "error", "references", "reference_best", *STRICT_COLUMNS, *SCORES, "published_error",
)  # fmt: skip
#: From so many pairs on, several processes are worth their start; each takes so many at a time.
_MANY: Final = 2_000
_CHUNK: Final = 100
_Pair: TypeAlias = tuple[Any, Any, Any]
_Row: TypeAlias = tuple[Any, ...]
_inherited: list[tuple[Sequence[_Pair], Strings]] = []


def flow_similarity(
    candidate: FlowLike,
    reference: FlowLike | Sequence[FlowLike],
    *,
    inputs: bool = True,
    convention: Convention = "strict",
    strings: Strings = "exact",
    record: str = "the pair",
) -> float:
    """How alike a candidate is to a reference, or to the best of several: 1.0 is equal.

    Each flow is a `Flow`, a parsed JSON object or a text. `inputs=False` leaves out the inputs of the trigger and of
    components. `convention="strict"` lies in [0, 1], is symmetric in its two flows and 1 only for flows that differ in
    nothing that means something (`STRICT_DIFFERENCES`); a candidate text that is no flow scores 0.0, and two empty
    flows 1.0. `convention="published"` is the published number with all its quirks. `strings="similar"` (strict only)
    grades free text by letters.

    Raises `UnreadableFlow` for a reference that is no flow, `FlowTooLarge` beyond the limits (both are ValueErrors
    that name `record`), ValueError for an empty list of references or an unknown option.

    >>> flow_similarity('{"trigger": {"type": "daily"}, "components": []}',
    ...                 '{"trigger": {"type": "weekly"}, "components": []}')
    0.0
    """
    check_options(convention, strings)
    references = as_references(reference, record)
    if convention == "published":
        return max(_published(candidate, each, inputs, record) for each in references)
    checked(candidate, f"the candidate of {record}")
    return max(strict_scores(candidate, references, [(inputs, strings)], record)[0])


def strict_scores(
    candidate: FlowLike, references: Sequence[FlowLike], modes: Sequence[tuple[bool, Strings]], record: str
) -> list[list[float]]:
    """For each mode (`inputs`, `strings`) strict FlowSim with each reference; every flow is read once.

    Raises as `flow_similarity`, but a candidate of any type that is no flow scores 0.0.
    """
    book = strict_book()
    first, others = strict_pair(candidate, references, book, record)
    return [[strict_similarity(first, each, book, *mode, record) for each in others] for mode in modes]


def signature(
    *, inputs: bool = True, convention: Convention = "strict", strings: Strings = "exact", references: str = "best"
) -> str:
    """What makes a score comparable with others, in one word to print beside it; `references`: `best` or `first`.

    Its version is the edition of the convention: scores of two editions are never compared.

    >>> signature(inputs=False)
    'FlowSim|v2|strict|no_inputs|refs:best|strings:exact'
    """
    check_options(convention, strings)
    version, mode = EDITION if convention == "strict" else 1, "inputs" if inputs else "no_inputs"
    return f"FlowSim|v{version}|{convention}|{mode}|refs:{references}|strings:{strings}"


def score_pairs(
    candidates: Sequence[Any],
    references: Sequence[Any],
    *,
    ids: Sequence[Any] | None = None,
    strings: Strings = "exact",
) -> pd.DataFrame:
    """Score many pairs; one row per pair in the order given, in the columns `COLUMNS`.

    `candidates`, `references` and `ids` (default: 0, 1, ...) have the same length; a reference may be a list of
    several. Missing candidates (None) are `invalid_output`.

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
    ids = range(len(candidates)) if ids is None else ids
    if not len(candidates) == len(references) == len(ids):
        lengths = len(candidates), len(references), len(ids)
        raise ValueError(
            f"pairs for score_pairs: expected candidates, references and ids of one length, got {lengths}; align them"
        )
    pairs = list(zip(ids, candidates, references, strict=True))
    rows: list[_Row] = []
    with progress("scoring", len(pairs)) as tick:
        for row in _rows(pairs, strings):
            rows.append(row)
            tick()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _can_fork() -> bool:
    """Forking is safe while there is one thread, so not in a notebook."""
    return threading.active_count() == 1 < (os.cpu_count() or 1) and "fork" in multiprocessing.get_all_start_methods()


def _rows(pairs: Sequence[_Pair], strings: Strings) -> Iterator[_Row]:
    """The rows; of many pairs by a process for each core, which inherits the pairs and sends its rows back."""
    if len(pairs) < _MANY or not _can_fork():
        yield from (_row(pair, strings) for pair in pairs)
        return
    _inherited.append((pairs, strings))
    try:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
            yield from pool.map(_work, range(len(pairs)), chunksize=_CHUNK)
    finally:
        _inherited.pop()


def _work(place: int) -> _Row:
    pairs, strings = _inherited[-1]
    return _row(pairs[place], strings)


def _row(pair: _Pair, strings: Strings) -> _Row:
    name, candidate, given = pair
    references = [given] if is_flow_like(given) or not isinstance(given, Sequence) else given
    return (name, *_strict_part(name, candidate, references, strings), *_published_part(name, candidate, references))


def _strict_part(name: Any, candidate: Any, references: Sequence[Any], strings: Strings) -> _Row:
    """Status, error, number of references, index of the best one, and the strict scores."""
    book, record, count = strict_book(), f"pair {name}", len(references)
    try:
        first, others = strict_pair(candidate, as_references(references, record), book, record)
        bare, full = ([strict_similarity(first, each, book, inputs, strings, record) for each in others]
                      for inputs in (False, True))  # fmt: skip
    except ValueError as problem:
        status = "too_large" if isinstance(problem, FlowTooLarge) else "invalid_reference"
        return (status, str(problem), count, -1, *(math.nan,) * len(STRICT_COLUMNS))
    error = f"unreadable candidate for {record}: expected a flow, got {first.error}" if first.codes is None else ""
    means = [math.fsum(scores) / count for scores in (bare, full)]
    return (first.status, error, count, full.index(max(full)), max(bare), means[0], max(full), means[1])


def _published_part(name: Any, candidate: Any, references: Sequence[Any]) -> _Row:
    """The six published scores against the first reference, and the error."""
    record, nothing = f"pair {name}", (math.nan,) * len(SCORES)
    if not references:
        return (*nothing, "")
    try:
        checked(candidate, f"the candidate of {record}")
        scores = six_scores(candidate, checked(references[0], f"the reference of {record}"), record)
    except (FlowTooLarge, UnreadableFlow) as error:
        return (*nothing, str(error))
    return (*(math.nan if score is None else score for score in scores), "")


def _published(candidate: FlowLike, reference: FlowLike, inputs: bool, record: str) -> float:
    """Published FlowSim of two flows; 0.0 where the published code raises."""
    book, codes = published_book(), []
    for side, flow in (("candidate", candidate), ("reference", reference)):
        where = f"the {side} of {record}"
        codes.append(encoded(published_trees(read_published(checked(flow, where), where), where)[inputs], book))
    return similarity(codes[0], codes[1], record)


def strict_similarity(
    first: StrictFlow, second: StrictFlow, book: Codebook, inputs: bool, strings: Strings, record: str
) -> float:
    """Strict FlowSim of two flows that were read with one codebook; 0.0 if either is none."""
    if first.trees is None or second.trees is None or first.codes is None or second.codes is None:
        return 0.0
    if strings == "exact":
        return similarity(first.codes[inputs], second.codes[inputs], record)
    from flowstudy.metrics.comparison import STEPS, compare, text_cost  # numpy and numba, when first needed

    distance = compare(first.trees[inputs], second.trees[inputs], book, text_cost, record).distance()
    total = (first.codes[inputs].length + second.codes[inputs].length) * STEPS
    return 1 - distance / total if total else 1.0


def strict_pair(
    candidate: Any, references: Sequence[Any], book: Codebook, record: str
) -> tuple[StrictFlow, list[StrictFlow]]:
    """A candidate and its references as the strict convention reads them; `UnreadableFlow` for a reference that is no
    flow, `FlowTooLarge` for any that is too large."""
    others = []
    for each in references:
        side = f"the reference of {record}"
        others.append(read_strict(checked(each, side), book, side))
        if others[-1].codes is None:
            raise UnreadableFlow(
                f"unreadable reference for {record}: expected a flow, got {others[-1].error}; correct the reference"
            )
    return read_strict(candidate, book, f"the candidate of {record}"), others


def as_references(reference: FlowLike | Sequence[FlowLike], record: str) -> Sequence[FlowLike]:
    """One or several references as a sequence; ValueError when there is none."""
    references = [reference] if isinstance(reference, Flow | dict | str) else reference
    if not isinstance(references, Sequence) or not references:
        raise ValueError(f"no reference for {record}: expected a flow or a list of flows, got {references!r}; add one")
    return references


def check_options(convention: str, strings: str) -> None:
    """ValueError for an unknown convention or string comparison, or for a pair that does not go together."""
    if convention not in ("strict", "published"):
        raise ValueError(f"unknown convention: expected 'strict' or 'published', got {convention!r}; choose one")
    if strings not in ("exact", "similar"):
        raise ValueError(f"unknown strings: expected 'exact' or 'similar', got {strings!r}; choose one")
    if (convention, strings) == ("published", "similar"):
        raise ValueError("strings for the published convention: expected 'exact', got 'similar'; use 'strict'")


def is_flow_like(flow: Any) -> bool:
    """True for a `Flow`, a parsed JSON object or a text."""
    return isinstance(flow, Flow | dict | str)


def checked(flow: Any, record: str) -> Any:
    """The flow itself; `UnreadableFlow` when it is neither a Flow nor an object nor a text."""
    if not is_flow_like(flow):
        kind = type(flow).__name__
        raise UnreadableFlow(f"unreadable flow for {record}: expected Flow, dict or text, got {kind}; convert it")
    return flow
