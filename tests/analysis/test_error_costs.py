"""What errors cost: single faults cost exactly what they take from FlowSim, shares add up, size curves are honest."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.analysis.error_costs import Burden, error_costs, shapley, undo
from flowstudy.analysis.explained import explain_answers
from flowstudy.analysis.faults import inject
from flowstudy.analysis.sizes import by_size, fit
from flowstudy.analysis.verdicts import verdicts
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.metrics import flow_similarity
from flowstudy.systems.records import Prediction

NO_TAGS = pd.DataFrame(columns=["state", "match", "system", "example", "repeat", "role", "categories"])
BURDENS = {"a": Burden(2.0, 1), "b": Burden(3.0, -2), "c": Burden(1.0, 0)}


def test_shapley_by_hand_for_two():
    # Sizes 10 and 10, distance 4: similarity 0.8. Undoing a (3, no growth): 1 - 1/20 = 0.95; b (1): 1 - 3/20 = 0.85;
    # both: 1. Shares: a = (0.15 + (1 - 0.85)) / 2 = 0.15, b = (0.05 + (1 - 0.95)) / 2 = 0.05.
    shares = shapley({"a": Burden(3, 0), "b": Burden(1, 0)}, 4, (10, 10))
    assert shares == pytest.approx({"a": 0.15, "b": 0.05})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefghijkl"), st.tuples(st.integers(1, 4), st.integers(-1, 1)), min_size=1))
def test_shares_add_up_to_what_is_missing(parts):
    burdens = {name: Burden(float(cost), growth) for name, (cost, growth) in parts.items()}
    distance = sum(b.cost for b in burdens.values())
    shares = shapley(burdens, distance, (60, 60))
    assert sum(shares.values()) == pytest.approx(1 - undo([], distance, (60, 60)))


def test_single_faults_cost_what_they_take():
    examples = shipped_corpus()[:12]
    catalogues = catalogues_for(examples)
    predictions = []
    for example in examples:
        case = inject(example, "missing_step", catalogues[example.domain])
        if case is not None:
            predictions.append(case.prediction.model_copy(update={"system": "s"}))
    predictions.append(Prediction(system="s", example=examples[0].id, repeat=1, status="refused"))
    by_id = {e.id: e for e in examples}
    answers = explain_answers(predictions, by_id, catalogues)
    table = error_costs(answers)
    scores = [flow_similarity(p.flow, by_id[p.example].references) if p.flow else 0.0 for p in predictions]
    assert table["share"].sum() == pytest.approx(1 - np.mean(scores))
    assert set(table["category"]) >= {"missing_step", "refused"}
    missing = table.set_index("category").loc["missing_step"]
    assert missing["undone"] >= 0.8 * (1 - np.mean(scores) - 1 / len(predictions))
    nothing_wrong = verdicts(answers, NO_TAGS).assign(categories=[frozenset()] * len(predictions), by="people")
    rejected = error_costs(answers, nothing_wrong)
    assert set(rejected["category"]) == {"other", "refused"}  # what people did not confirm has no cause any more
    assert rejected["share"].sum() == pytest.approx(table["share"].sum())


def test_an_undone_error_is_worth_what_the_corrected_flow_scores():
    """The counterfactual is exact: of two faults one is undone, and the flow with the other one scores just that."""
    examples = shipped_corpus()[:40]
    catalogues = catalogues_for(examples)
    checked = 0
    for example in examples:
        first = inject(example, "missing_step", catalogues[example.domain])
        one_fault = first.prediction.flow if first else None
        if one_fault is None or len(example.references) > 1:  # with several, another one may become the closest
            continue
        spoiled = example.model_copy(update={"references": [one_fault]})
        second = inject(spoiled, "wrong_trigger", catalogues[example.domain])
        if second is None:
            continue
        costs = error_costs(explain_answers([second.prediction], {example.id: example}, catalogues))
        now, then = (flow_similarity(f, example.references) for f in (second.prediction.flow, one_fault))
        assert costs.set_index("category").loc["wrong_trigger", "undone"] == pytest.approx(then - now, abs=1e-9)
        checked += 1
    assert checked >= 20


def test_quality_by_size(scores_of):
    scores = scores_of({"a": 0.8}, n=80, noise=0.02)
    steps = [2 ** (i % 6) for i in range(80)]
    examples = pd.DataFrame({"example": [f"e{i}" for i in range(80)], "steps": steps})
    falling = dict(zip(examples["example"], 0.06 * np.log2(steps), strict=True))
    scores["value"] = scores["value"] - scores["example"].map(falling) * (scores["measure"] != "answered")
    table = by_size(scores, examples)
    assert table["mean"].iloc[0] > table["mean"].iloc[2] > table["mean"].iloc[-1] and table["n"].sum() == 80
    curve = fit(scores, examples)
    assert curve["slope_low"].iloc[0] < -0.06 < curve["slope_high"].iloc[0]
    assert fit(scores.head(12), examples).empty
