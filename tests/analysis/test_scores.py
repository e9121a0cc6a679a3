"""The score table: one row per prediction and measure, failures are statuses, gaps have reasons, files are whole."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flowstudy.analysis.measures import ANSWERED, CLOSEST, MEASURES, QUALITY
from flowstudy.analysis.scores import (
    COLUMNS,
    SIGNATURES,
    ScoreError,
    TableError,
    edits_table,
    examples_table,
    load_scores,
    save_edits,
    save_scores,
    score_one,
    score_predictions,
)
from flowstudy.corpus.example import Example
from flowstudy.flows import Catalogue, from_outline
from flowstudy.flows.catalogue import StepDef, TableDef
from flowstudy.metrics import explain
from flowstudy.systems.records import Call, Prediction

FLOW = from_outline("trigger daily\naction look_up | table = incident | conditions = state=1\naction notify | to = me")
OTHER = from_outline("trigger daily\naction look_up | table = incident | conditions = state=2\naction shout | to = me")
LABELS = {"implicit_step": ["x"]}
EXAMPLE = Example(id="e1", requirement="r", references=[FLOW], domain="it", split="ood", features=LABELS)
CATALOGUE = Catalogue(
    name="it", triggers={"daily": StepDef()}, actions={"look_up": StepDef(), "notify": StepDef()},
    tables={"incident": TableDef(columns={"number": {}})},
)  # fmt: skip


def prediction(**over) -> Prediction:
    return Prediction(**({"example": "e1", "system": "s", "status": "ok", "flow": FLOW} | over))


def values(*predictions: Prediction) -> pd.DataFrame:
    table = score_predictions(predictions, [EXAMPLE], {"it": CATALOGUE})
    return table.pivot(index=["system", "repeat"], columns="measure", values="value")


def test_a_perfect_answer_scores_one():
    row = values(prediction()).iloc[0]
    assert all(row[name] == 1 for name in (*QUALITY, "valid_raw", "valid_repaired", ANSWERED))
    assert row["invented_steps"] == 0 and row["invented_columns"] == 1  # `state` is not a column of this catalogue


def test_an_answer_without_a_flow_scores_zero_and_keeps_its_status():
    table = score_predictions([prediction(status="refused", flow=None)], [EXAMPLE])
    scores = table.set_index("measure")
    assert (scores.loc[list(QUALITY), "value"] == 0).all()
    assert set(table["status"]) == {"refused"}
    assert math.isnan(scores.loc["invented_steps", "value"]) and scores.loc["invented_steps", "reason"] == "no flow"


@pytest.mark.parametrize("status", ["provider_error", "budget_stop"])
def test_what_is_no_answer_is_counted_and_never_scored(status):
    table = score_predictions([prediction(status=status, flow=None)], [EXAMPLE])
    assert table[["measure", "value"]].to_numpy().tolist() == [[ANSWERED, 0.0]]


def test_rows_have_the_contract_and_every_gap_a_reason():
    table = score_predictions([prediction(), prediction(repeat=1, status="repaired", flow=OTHER)], [EXAMPLE])
    assert list(table.columns) == list(COLUMNS)
    assert set(table["measure"]) == {*MEASURES, ANSWERED, CLOSEST}
    assert (table["reason"] != "")[table["value"].isna()].all()
    assert set(table["split"]) == {"ood"} and set(table["domain"]) == {"it"}


def test_best_of_several_references_but_published_takes_the_first():
    two = EXAMPLE.model_copy(update={"references": [OTHER, FLOW]})
    scores = score_one(prediction(), two)
    assert scores["strict_with_inputs"].value == 1 and scores["strict_first_reference"].value < 1
    assert scores["flow_sim_with_inputs"].value < 1


def test_unknown_cost_is_nan_and_local_time_is_kept_apart():
    calls = [Call(stage="a", model="slm/tuned", latency_s=2.0, cost_usd=0.1), Call(stage="b", model="openai/x")]
    scores = score_one(prediction(calls=calls), EXAMPLE)
    assert math.isnan(scores["api_usd"].value) and scores["api_usd"].reason
    assert scores["local_s"].value == 2.0
    shared = [calls[0].model_copy(update={"machine_s": 0.25})]
    assert score_one(prediction(calls=shared), EXAMPLE)["local_s"].value == 0.25, "eight at once cost no more than one"
    assert score_one(prediction(), EXAMPLE)["api_usd"].value == 0.0  # a baseline that calls nobody


def test_strangers_and_doubles_are_refused():
    with pytest.raises(ScoreError, match="example lost"):
        score_predictions([prediction(example="lost")], [EXAMPLE])
    with pytest.raises(ScoreError, match="got two"):
        score_predictions([prediction(), prediction()], [EXAMPLE])


def test_edits_sum_to_the_distance():
    table = edits_table([prediction(flow=OTHER)], [EXAMPLE])
    assert table["cost"].sum() == explain(OTHER, FLOW).distance > 0
    assert edits_table([prediction()], [EXAMPLE]).empty
    changed = table[table["candidate_step"] == 1].iloc[0]
    assert changed["input"] == "conditions"


def test_examples_table_has_features_as_columns():
    row = examples_table([EXAMPLE]).iloc[0]
    assert row["implicit_step"] is True or row["implicit_step"] == True  # noqa: E712
    assert (row["steps"], row["split"], row["references"]) == (2, "ood", 1)


def test_tables_survive_the_disk(tmp_path):
    scores, edits = score_predictions([prediction()], [EXAMPLE]), edits_table([prediction(flow=OTHER)], [EXAMPLE])
    pd.testing.assert_frame_equal(load_scores(save_scores(scores, tmp_path / "scores.parquet")), scores)
    pd.testing.assert_frame_equal(pd.read_parquet(save_edits(edits, tmp_path / "edits.parquet")), edits)


def test_files_of_another_kind_are_named(tmp_path):
    path = tmp_path / "scores.parquet"
    with pytest.raises(TableError, match=r"scores\.parquet: expected a file"):
        load_scores(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(TableError, match="expected Parquet"):
        load_scores(path)
    save_edits(edits_table([prediction(flow=OTHER)], [EXAMPLE]), path)
    with pytest.raises(TableError, match="expected schema"):
        load_scores(path)


def test_scores_of_another_edition_of_flowsim_are_refused(tmp_path):
    """Scores kept from an older kit are told apart, so that two editions are never compared."""
    path = save_scores(score_predictions([prediction()], [EXAMPLE]), tmp_path / "scores.parquet")
    table = pq.read_table(path)
    stored = table.schema.metadata
    assert json.loads(stored[b"flowstudy.signatures"]) == SIGNATURES
    older = json.dumps({name: text.replace("|v2|", "|v1|") for name, text in SIGNATURES.items()}).encode()
    without = {key: value for key, value in stored.items() if key != b"flowstudy.signatures"}
    for kept, got in ((without, "an edition before v2"), (without | {b"flowstudy.signatures": older}, r"\|v1\|strict")):
        pq.write_table(table.replace_schema_metadata(kept), path)
        with pytest.raises(TableError, match=rf"scores\.parquet: expected \w+ measured as FlowSim\|v2.*got .*{got}"):
            load_scores(path)


def test_readers_see_a_whole_file_while_it_is_written(tmp_path):
    scores = score_predictions([prediction()], [EXAMPLE])
    path = save_scores(scores, tmp_path / "scores.parquet")
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(save_scores, scores, path) for _ in range(10)]
        assert all(len(load_scores(path)) == len(scores) for _ in range(20))
        assert all(job.result() == path for job in jobs)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.parquet"]
