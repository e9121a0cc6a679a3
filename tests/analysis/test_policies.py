"""The policy table: its figures are those of scoring the hybrids' predictions, without comparing anything again."""

import math

import pandas as pd
import pytest

from flowstudy.analysis.economics import Assumptions
from flowstudy.analysis.faults import fault_cases
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.policies import (
    POLICY_COLUMNS,
    apply_all,
    beside_parts,
    policy_scores,
    policy_table,
    quality_of,
    worth_of,
)
from flowstudy.analysis.scores import score_predictions
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.systems.mixed import POLICIES
from flowstudy.systems.records import Call, Prediction, SystemSpec

MONEY = Assumptions()


def known(example, system, flow, logprob, cost):
    calls = [Call(stage="whole", model=system, mean_logprob=logprob, cost_usd=cost, latency_s=1.0, prompt_tokens=9,
                  completion_tokens=9)]  # fmt: skip
    return Prediction(example=example.id, system=system, status="ok" if flow else "invalid_output", flow=flow,
                      calls=calls)  # fmt: skip


@pytest.fixture(scope="module")
def study():
    """A small system that fails on every third request and knows it, a large one with one fault in each answer."""
    splits = ["validation"] * 15 + ["test"] * 15 + ["ood"] * 10
    examples = [e.model_copy(update={"split": s}) for e, s in zip(shipped_corpus(), splits, strict=False)]
    catalogues = catalogues_for(examples)
    broken = {c.example.id: c.prediction.flow for c in fault_cases(examples, catalogues, kinds=["missing_step"])}
    small = [known(e, "small", e.flow if n % 3 else None, -0.1 if n % 3 else -2.0, 0.001)
             for n, e in enumerate(examples)]  # fmt: skip
    large = [known(e, "large", broken.get(e.id, e.flow), None, 0.05) for e in examples]
    scores = score_predictions([*small, *large], examples, catalogues)
    return small, large, examples, catalogues, scores


def test_policy_scores_equal_scoring_the_predictions(study):
    small, large, examples, catalogues, scores = study
    for hybrid in apply_all(small, large, examples, catalogues, scores):
        direct = score_predictions(hybrid.predictions, examples, catalogues)
        ours = policy_scores(scores, [hybrid])
        keys = ["system", "example", "repeat", "measure"]
        pd.testing.assert_frame_equal(*(t.sort_values(keys, ignore_index=True) for t in (ours, direct)))


def test_the_table_of_policies(study):
    small, large, examples, catalogues, scores = study
    hybrids = apply_all(small, large, examples, catalogues, scores)
    table = policy_table(scores, hybrids, MONEY, resamples=499).set_index("policy")
    assert list(table.index) == list(POLICIES) and [*table.reset_index().columns] == list(POLICY_COLUMNS)
    assert (table["n"] == 25).all() and (table["left_out"] == 0).all()
    assert table.loc["oracle", "mean"] == table["mean"].max()
    assert table.loc["cascade", "mean"] > table.loc[["always-first", "always-second", "random"], "mean"].max()
    assert table.loc["cascade", "over_random_low"] > 0
    assert table.loc[["always-first", "always-second"], "over_random"].abs().max() < 1e-12
    # 0.001 $ for everyone and 0.05 $ for those escalated.
    share = table.loc["cascade", "escalated"]
    assert table.loc["cascade", "cost_per_1000"] == pytest.approx(1 + 50 * share)
    assert table.loc["best-of-two", "cost_per_1000"] == pytest.approx(51)
    pd.testing.assert_frame_equal(table.reset_index(), policy_table(scores, hybrids, MONEY, resamples=499))


def test_one_system_only_gives_rows_with_a_reason(study):
    small, _, examples, catalogues, scores = study
    table = policy_table(scores, apply_all(small, [], examples, catalogues, scores), MONEY)
    assert table["mean"].isna().all() and table["reason"].str.contains("no judged example").all()


def test_missing_costs_are_named_and_never_zero(study):
    small, large, examples, catalogues, _ = study
    free = [p.model_copy(update={"calls": [p.calls[0].model_copy(update={"cost_usd": None})]}) for p in large]
    scores = score_predictions([*small, *free], examples, catalogues)
    table = policy_table(scores, apply_all(small, free, examples, catalogues, scores), MONEY).set_index("policy")
    assert table.loc["always-first", "missing"] == "" and table.loc["cascade", "missing"] == "price"
    assert math.isnan(table.loc["cascade", "cost_per_1000"]) and table.loc["cascade", "mean"] > 0


def test_quality_leaves_out_what_has_no_score(scores_of):
    scores = scores_of({"a": 0.7}, n=4)
    scores.loc[(scores["example"] == "e1") & (scores["measure"] == PRIMARY), "value"] = math.nan
    assert set(quality_of(scores)) == {("a", "e0", 0), ("a", "e2", 0), ("a", "e3", 0)}


def test_a_right_answer_is_worth_one_however_it_is_written(scores_of):
    scores = scores_of({"a": 0.7}, n=3)
    rows = scores[scores["measure"] == PRIMARY]
    right = rows.assign(measure="right", value=[1.0, 0.0, math.nan])
    worth, plain = worth_of(pd.concat([scores, right])), quality_of(scores)
    assert worth == plain | {("a", "e0", 0): 1.0} and plain["a", "e0", 0] < 1


def test_the_hybrids_of_a_study_stand_beside_each_of_their_parts(scores_of):
    specs = [SystemSpec(name=name, model=model) for name, model in (
        ("a", "slm/tuned"), ("b", "openai/x"), ("mix", "hybrid/split/a+b"), ("route", "hybrid/cascade/a+b"),
        ("absent", "hybrid/split/b+a"))]  # fmt: skip
    table = beside_parts(scores_of({"a": 0.5, "b": 0.6, "mix": 0.7, "route": 0.6}, noise=0.02), specs, resamples=199)
    assert table[["system", "other"]].to_numpy().tolist() == [
        ["mix", "a"],
        ["mix", "b"],
        ["route", "a"],
        ["route", "b"],
    ]
    assert table["difference"].round(1).tolist() == [0.2, 0.1, 0.1, 0.0] and (table["p_holm"] >= table["p"]).all()
    assert beside_parts(scores_of({"a": 0.5}), specs[:1]).empty
