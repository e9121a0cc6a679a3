"""Predictions to numbers: one row per prediction and measure. Scoring again costs nothing and changes no journal."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from flowstudy.analysis.input_errors import inputs_of, table_of
from flowstudy.analysis.measures import ANSWERED, QUALITY, Value
from flowstudy.analysis.rightness import rightness
from flowstudy.corpus.example import Example
from flowstudy.files import write_bytes
from flowstudy.flows.catalogue import Catalogue, Fault
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Flow, Input
from flowstudy.metrics import FlowTooLarge, explain, published_scores, signature
from flowstudy.metrics.similarity import strict_scores
from flowstudy.progress import progress
from flowstudy.systems.records import Prediction

SCORES_SCHEMA: Final = "flowstudy/scores/1"
#: LiteLLM names of models that run on a machine of one's own.
LOCAL: Final = "slm/"
EDITS_SCHEMA: Final = "flowstudy/edits/1"
_SCHEMA: Final = b"flowstudy.schema"
EDIT_COLUMNS: Final = (
    "system", "example", "repeat", "edit", "kind", "cost", "moved", "candidate", "reference", "candidate_step",
    "reference_step", "input",
)  # fmt: skip
_SIGNATURES: Final = b"flowstudy.signatures"
#: How each FlowSim was measured; stored with the scores and printed beside them.
SIGNATURES: Final = {
    "strict_with_inputs": signature(),
    "strict_no_inputs": signature(inputs=False),
    "strict_first_reference": signature(references="first"),
    "similar_with_inputs": signature(strings="similar"),
    "flow_sim_with_inputs": signature(convention="published", references="first"),
    "flow_sim_no_inputs": signature(convention="published", references="first", inputs=False),
}
#: Measures of what an answer took: they add up over everyone who was asked.
USAGE: Final = ("cost_usd", "api_usd", "local_s", "latency_s", "prompt_tokens", "completion_tokens")
COLUMNS: Final = ("system", "example", "repeat", "split", "domain", "status", "measure", "value", "reason")


class ScoreError(ValueError):
    """Predictions that cannot be scored; the message names them and what to do."""


class TableError(ValueError):
    """A table file that is missing, damaged or of another schema; the message names the file and what to do."""


def score_predictions(
    predictions: Sequence[Prediction],
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue] | None = None,
) -> pd.DataFrame:
    """One row per prediction and measure, in the columns `COLUMNS`, sorted by system, example and repeat.

    An answer without a flow scores 0 on every quality measure and keeps its status. A prediction that is not an
    answer (provider error, budget) gets the single measure `answered` = 0 and no score. `catalogues` maps a domain
    to its catalogue; without one the invented shares are NaN. `value` is NaN only together with a `reason`; `right`,
    `behaviour_same` and `dangling` have one too where something is wrong. What two answers to an example have in
    common is computed once.
    Raises ScoreError naming predictions whose example is not in `examples`, or two for the same place.
    """
    corpus = {example.id: example for example in examples}
    ordered = sorted(predictions, key=lambda p: (p.system, p.example, p.repeat))
    _refuse_strangers(ordered, corpus)
    rows: list[tuple[object, ...]] = []
    known: dict[tuple[str, str], dict[str, Value]] = {}
    with progress("scoring", len(ordered)) as tick:
        for prediction in ordered:
            example = corpus[prediction.example]
            head = (prediction.system, example.id, prediction.repeat, example.split, example.domain, prediction.status)
            catalogue = (catalogues or {}).get(example.domain)
            rows += [(*head, name, *value) for name, value in score_one(prediction, example, catalogue, known).items()]
            tick(note=prediction.system)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float, "repeat": int, "reason": str})


def score_one(
    prediction: Prediction, example: Example, catalogue: Catalogue | None = None,
    known: dict[tuple[str, str], dict[str, Value]] | None = None,
) -> dict[str, Value]:  # fmt: skip
    """Every measure of one prediction; only `answered` when it is not an answer.

    `known` remembers what is computed of each flow, by example and content.
    """
    if not prediction.is_answer:
        return {ANSWERED: Value(0.0, prediction.error or prediction.status)}
    valid = {"valid_raw": Value(float(prediction.status == "ok"))}
    valid["valid_repaired"] = Value(float(prediction.status in ("ok", "repaired")))
    known, flow = {} if known is None else known, prediction.flow
    place = (example.id, "" if flow is None else flow.model_dump_json())
    if place not in known:
        known[place] = _of_flow(flow, example, catalogue, f"example {example.id}")
    return {ANSWERED: Value(1.0), **known[place], **valid, **usage(prediction)}


def usage(prediction: Prediction) -> dict[str, Value]:
    """What a prediction's calls took: cost, money to providers, seconds of our own models, latency, tokens."""
    taken = {"cost_usd": _known(prediction.cost_usd, "no price is known for a call"), **_costs(prediction)}
    taken["latency_s"] = _known(prediction.latency_s, "no call was timed (cached, or no model)")
    for name in ("prompt_tokens", "completion_tokens"):
        counts = [getattr(call, name) for call in prediction.calls]
        total = None if any(count is None for count in counts) else float(sum(counts))
        taken[name] = _known(total, "a call did not report its tokens")
    return taken


def _costs(prediction: Prediction) -> dict[str, Value]:
    """Dollars paid for calls to providers, seconds used of our own models: 0 where there was no such call. Calls that
    a machine works on at once share its time (`machine_s`), unlike their latencies."""
    own = [call for call in prediction.calls if call.model.startswith(LOCAL)]
    paid = [call.cost_usd for call in prediction.calls if not call.model.startswith(LOCAL)]
    shares = [call.latency_s if call.machine_s is None else call.machine_s for call in own]
    times = [None if call.cache_hit else share for call, share in zip(own, shares, strict=True)]
    usd = None if any(cost is None for cost in paid) else sum(cost or 0.0 for cost in paid)
    seconds = None if any(time is None for time in times) else sum(time or 0.0 for time in times)
    return {
        "api_usd": _known(usd, "no price is known for a call"),
        "local_s": _known(seconds, "a call to our own model was not timed (cached)"),
    }


def _of_flow(flow: Flow | None, example: Example, catalogue: Catalogue | None, record: str) -> dict[str, Value]:
    """What depends on the flow alone: whether it is right, how close it comes, its faults against the catalogue."""
    if flow is None:
        nothing = {name: Value(math.nan, "no flow") for name in ("dangling", "corrections", *_INVENTED)}
        return {name: Value(0.0) for name in (*QUALITY, "valid_but_wrong")} | nothing
    faults = catalogue.check(flow, example.id) if catalogue else []
    scores = rightness(flow, example.references, catalogue, faults, record=record)
    try:
        scores |= _similarities(flow, list(example.references), record)
    except FlowTooLarge as error:
        scores |= {name: Value(math.nan, str(error)) for name in QUALITY if name not in scores}
    return scores | (_invented_shares(flow, catalogue, faults) if catalogue else _NOT_KNOWN)


def _similarities(flow: Flow, references: list[Flow], record: str) -> dict[str, Value]:
    published = published_scores(flow.to_json(), references[0].to_json(), record=record)
    bare, full, similar = strict_scores(
        flow, references, [(False, "exact"), (True, "exact"), (True, "similar")], record
    )
    return {
        "flow_sim_no_inputs": _known(published["flow_sim_no_inputs"], "the published code skips this pair"),
        "flow_sim_with_inputs": _known(published["flow_sim_with_inputs"], "the published code skips this pair"),
        "strict_no_inputs": Value(max(bare)),
        "strict_with_inputs": Value(max(full)),
        "strict_first_reference": Value(full[0]),
        "similar_with_inputs": Value(max(similar)),
        "tree_bleu": _known(published["flow_bleu_with_inputs"], "the published code skips this pair"),
        "trigger_match": _known(published["trigger_match"], "neither flow has a trigger"),
        "component_match": _known(published["component_match"], "neither flow has components"),
    }


_INVENTED: Final = ("invented_steps", "invented_tables", "invented_columns")
_NOT_KNOWN: Final = dict.fromkeys(_INVENTED, Value(math.nan, "no catalogue for this domain"))


def _invented_shares(flow: Flow, catalogue: Catalogue, faults: Sequence[Fault]) -> dict[str, Value]:
    """Share of the steps, tables and columns that `flow` uses and that are not in `catalogue` (0 none, 1 all)."""
    kinds = [fault.kind for fault in faults]
    bad = {
        "invented_steps": kinds.count("unknown_action") + kinds.count("unknown_subflow"),
        "invented_tables": kinds.count("unknown_table"),
        "invented_columns": kinds.count("unknown_column"),
    }
    used = {
        "invented_steps": sum(not component.is_logic for component in flow.components),
        "invented_tables": sum(table_of(inputs) is not None for _, inputs in inputs_of(flow)),
        "invented_columns": sum(_clauses(inputs, catalogue) for _, inputs in inputs_of(flow)),
    }
    return {n: Value(bad[n] / used[n]) if used[n] else Value(math.nan, "the flow uses none") for n in _INVENTED}


def _clauses(inputs: list[Input], catalogue: Catalogue) -> int:
    if table_of(inputs) not in catalogue.tables:
        return 0
    queries = (str(i.value) for i in inputs if i.name in QUERY_INPUTS)
    return sum(len(parse_query(query) or ()) for query in queries)


def _known(value: float | None, reason: str) -> Value:
    return Value(math.nan, reason) if value is None else Value(float(value))


def edits_table(predictions: Sequence[Prediction], examples: Iterable[Example]) -> pd.DataFrame:
    """The edit script that explains each strict FlowSim: one row per edit that costs something.

    Columns: system, example, repeat, edit (number), kind (`deleted`: only in the candidate; `inserted`: missing from
    it; `relabelled`), cost, moved, candidate, reference (labels), candidate_step, reference_step (component numbers,
    0 the trigger, -1 none), input. Predictions without a flow, and flows too large to compare, have no rows.
    """
    corpus = {example.id: example for example in examples}
    _refuse_strangers(predictions, corpus)
    rows: list[tuple[object, ...]] = []
    with progress("explaining", len(predictions)) as tick:
        for prediction in sorted(predictions, key=lambda p: (p.system, p.example, p.repeat)):
            rows += _edit_rows(prediction, corpus[prediction.example])
            tick(note=prediction.system)
    return pd.DataFrame(rows, columns=list(EDIT_COLUMNS))


def _edit_rows(prediction: Prediction, example: Example) -> Iterator[tuple[object, ...]]:
    if prediction.flow is None or not prediction.is_answer:
        return
    try:
        script = explain(prediction.flow, example.references, record=f"{prediction.system}, example {example.id}")
    except FlowTooLarge:
        return
    head = (prediction.system, prediction.example, prediction.repeat)
    for number, edit in enumerate(script.changes):
        have, want = edit.candidate, edit.reference
        names = (have.text if have else "", want.text if want else "")
        steps = tuple(-1 if place is None or place.component is None else place.component for place in (have, want))
        place = want or have
        given = (place.input if place else None) or ""
        yield (*head, number, edit.kind, edit.cost, edit.moved is not None, *names, *steps, given)


def _refuse_strangers(predictions: Sequence[Prediction], corpus: Mapping[str, Example]) -> None:
    lost = sorted({p.example for p in predictions if p.example not in corpus})
    if lost:
        raise ScoreError(
            f"predictions for example {', '.join(lost[:5])} ({len(lost)} in all): expected examples of the corpus, "
            "got none with this id; score them with the corpus they were made from"
        )
    places = pd.Series([(p.system, p.example, p.repeat) for p in predictions], dtype=object)
    twice = places[places.duplicated()].tolist()
    if twice:
        rule = "expected one per system, example and repeat, got two"
        raise ScoreError(f"prediction {twice[0]}: {rule}; keep the latest")


def examples_table(examples: Iterable[Example]) -> pd.DataFrame:
    """One row per example: id, split, domain, source, steps of the main reference, and its features as columns.

    A feature becomes `True` where it is set (a label may be words: any words are True), else `False`;
    numbers and the size bucket stay as they are.
    """
    rows = []
    for example in examples:
        row: dict[str, object] = {"example": example.id, "split": example.split, "domain": example.domain}
        row |= {"source": example.source, "steps": example.flow.steps, "references": len(example.references)}
        rows.append(row | {name: _flat(value) for name, value in example.features.items() if name not in row})
    return pd.DataFrame(rows)


def _flat(value: object) -> object:
    if isinstance(value, (bool, int, float, str)):
        return value
    return bool(value)


def save_scores(scores: pd.DataFrame, path: str | Path) -> Path:
    """Write `scores.parquet` atomically; returns the path."""
    return _save(scores, path, SCORES_SCHEMA)


def save_edits(edits: pd.DataFrame, path: str | Path) -> Path:
    """Write `edits.parquet` atomically; returns the path."""
    return _save(edits, path, EDITS_SCHEMA)


def _save(table: pd.DataFrame, path: str | Path, schema: str) -> Path:
    """Parquet with its schema and the signatures of its scores in the metadata of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow, data = pa.Table.from_pandas(table, preserve_index=False), io.BytesIO()
    known = {_SCHEMA: schema.encode(), _SIGNATURES: json.dumps(SIGNATURES).encode()}
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **known}), data)
    return write_bytes(path, data.getvalue())


def load_scores(path: str | Path) -> pd.DataFrame:
    """Read `scores.parquet`; TableError when it is missing, damaged, of another schema or of another FlowSim."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        arrow = pq.read_table(path)
    except FileNotFoundError:
        raise TableError(f"table {path}: expected a file, got none; run the notebook that writes it first") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"table {path}: expected Parquet, got {error}; delete it and score again") from None
    found = (arrow.schema.metadata or {}).get(_SCHEMA, b"none").decode()
    if found != SCORES_SCHEMA:
        raise TableError(
            f"table {path}: expected schema {SCORES_SCHEMA!r}, got {found!r}; score again with this version"
        )
    signatures = json.loads((arrow.schema.metadata or {}).get(_SIGNATURES, b"{}"))
    for measure, expected in SIGNATURES.items():
        if signatures.get(measure) != expected:
            got = signatures.get(measure, "none (an edition before v2)")
            raise TableError(
                f"scores {path}: expected {measure} measured as {expected}, got {got}; scores of two editions are not "
                "comparable: run 04_score of that run again"
            )
    return arrow.to_pandas()
