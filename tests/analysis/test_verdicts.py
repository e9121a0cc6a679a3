"""From stored tags to numbers: which tags count, who has the last word, rates that add up, slices, co-occurrence."""

import pandas as pd
import pytest

from flowstudy.analysis.error_rates import co_occurrence, error_rates, rates_by_feature
from flowstudy.analysis.errors import ProposedTag
from flowstudy.analysis.explained import Explained, explain_answers, proposals_table
from flowstudy.analysis.faults import inject
from flowstudy.analysis.taxonomy import Category, load_taxonomy
from flowstudy.analysis.verdicts import (
    ALL,
    disputed_references,
    fingerprint,
    match_tags,
    proposal_quality,
    verdicts,
    without_disputed,
)
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.systems.records import Prediction

TAXONOMY = load_taxonomy()
COLUMNS = ["annotator", "example", "categories", "role", "state", "answer"]


def answer(example: str, text: str = "") -> Prediction:
    return Prediction(system="s", example=example, status="invalid_output", text=text)


def table(*rows, predictions=None):
    """Tags in short: (annotator, example, categories[, role, state, answer])."""
    full = [(*row, *("annotator", "done", None)[len(row) - 3 :]) for row in rows]
    tags = pd.DataFrame(full, columns=COLUMNS).assign(system="s", repeat=0)
    predictions = [answer(f"e{n}") for n in range(5)] if predictions is None else predictions
    return match_tags(tags, predictions, TAXONOMY)


def answers(*proposed):
    tags = [tuple(ProposedTag(name, "") for name in names) for names in proposed]
    return [Explained(answer(f"e{n}"), None, found) for n, found in enumerate(tags)]


def test_a_tag_counts_only_for_the_answer_it_was_given_to():
    now = answer("e0", "as it is now")
    tags = table(
        ("ana", "e0", ["refused"], "annotator", "done", fingerprint(now)),
        ("bo", "e0", ["refused"], "annotator", "done", fingerprint(answer("e0", "as it was"))),
        ("cy", "e0", ["refused"]), ("ana", "e9", ["refused"]),
        predictions=[now, Prediction(system="s", example="e9", status="provider_error")],
    )  # fmt: skip
    assert tags["match"].tolist() == ["same", "changed", "same", "gone"]
    stale = tags[tags["match"] != "same"]
    assert verdicts([Explained(now, None, ())], stale)["by"].tolist() == ["proposed"]


def test_renamed_categories_count_under_todays_name(monkeypatch):
    renamed = TAXONOMY.model_copy(deep=True)
    renamed.categories["late_step"] = Category(group="step", title="late", definition="d", aliases=["slow_step"])
    tags = pd.DataFrame([("ana", "e0", ["slow_step", "late_step", "gone"], "annotator", "done", None)], columns=COLUMNS)
    matched = match_tags(tags.assign(system="s", repeat=0), [answer("e0")], renamed)
    assert matched["categories"].tolist() == [("late_step", "gone")]
    rates = error_rates(verdicts(answers(["truncated"]), matched), renamed)
    assert dict(zip(rates["category"], rates["title"], strict=True)) == {"late_step": "late", "gone": "gone"}


def test_adjudicator_then_half_of_the_annotators_then_the_proposals():
    tags = table(
        ("ana", "e0", ["wrong_step"]), ("bo", "e0", ["wrong_order"]), ("cy", "e0", ["wrong_order", "refused"]),
        ("cy", "e0", ["missing_step"], "adjudicator"),
        ("ana", "e1", ["wrong_step"]), ("bo", "e1", ["wrong_step", "wrong_order"]), ("cy", "e1", []),
        ("ana", "e2", ["wrong_step"], "annotator", "draft"), ("ana", "e3", []),
    )  # fmt: skip
    found = verdicts(answers(["refused"], ["refused"], ["truncated"], ["truncated"]), tags)
    assert found["by"].tolist() == ["adjudicator", "people", "proposed", "people"]
    wanted = [{"missing_step"}, {"wrong_step"}, {"truncated"}, set()]
    assert [set(some) for some in found["categories"]] == wanted


def test_disputed_references_are_listed_with_reasons_and_left_out():
    tags = table(
        ("ana", "e0", ["reference_disputable"]), ("bo", "e0", ["reference_disputable", "refused"]), ("cy", "e0", []),
        ("ana", "e1", ["reference_disputable"]), ("bo", "e1", []), ("cy", "e1", []), ("ana", "e2", []),
    ).assign(note=["the manager is not asked", "", "", "typo", "", "", ""])  # fmt: skip
    assert disputed_references(tags).to_numpy().tolist() == [
        ["e0", "ana, bo", "the manager is not asked"], ["e1", "ana", "typo"]
    ]  # fmt: skip
    found = verdicts(answers(["refused"], ["refused"], []), tags)
    assert without_disputed(found)["example"].tolist() == ["e1", "e2"], "of e1 one in three says so: it counts"
    assert disputed_references(tags[:0]).empty and without_disputed(found[:0]).empty


def test_quality_of_proposals_by_hand():
    tags = table(("ana", "e0", ["wrong_step"]), ("ana", "e1", ["wrong_step", "wrong_order"]))
    judged = verdicts(answers(["wrong_step", "extra_step"], ["wrong_step"], ["refused"]), tags)
    quality = proposal_quality(judged).set_index("category")
    assert quality.loc[ALL, ["proposed", "confirmed", "both"]].tolist() == [3, 3, 2]
    assert quality.loc["wrong_step", ["precision", "recall"]].tolist() == [1, 1]
    assert quality.loc["extra_step", "precision"] == 0 and pd.isna(quality.loc["extra_step", "recall"])
    assert quality.loc["wrong_order", "recall"] == 0 and "refused" not in quality.index
    assert proposal_quality(verdicts(answers(["refused"]), table())).empty


def test_rates_by_category_group_and_feature():
    found = verdicts(answers(["wrong_step", "extra_step"], ["wrong_step"], [], ["wrong_trigger"]), table())
    rates = error_rates(found, TAXONOMY).set_index("category")
    assert rates.loc["wrong_step", ["answers", "errors", "rate"]].tolist() == [4, 2, 0.5]
    # Wilson, 2 of 4 at 95 %: (0.5 + z2/8 -+ z * sqrt(0.25/4 + z2/64)) / (1 + z2/4) with z = 1.96.
    assert rates.loc["wrong_step", ["low", "high"]].tolist() == pytest.approx([0.1500, 0.8500], abs=5e-5)
    groups = error_rates(found, TAXONOMY, depth="group").set_index("category")
    assert groups.loc["step", ["title", "errors"]].tolist() == ["Steps", 2]
    examples = pd.DataFrame({"example": ["e0", "e1", "e2", "e3"], "implied": [True, True, False, None]})
    sliced = rates_by_feature(found, examples, ["implied"], TAXONOMY)
    mine = sliced[sliced["category"] == "wrong_step"].set_index("slice")["rate"].to_dict()
    assert mine == {True: 1.0, False: 0.0}
    assert rates_by_feature(found, examples, [], TAXONOMY).empty


def test_co_occurrence_by_hand():
    found = verdicts(answers(["wrong_step", "extra_step"], ["wrong_step"], []), table())
    together = co_occurrence(found)
    assert together.loc["wrong_step"].to_dict() == {"extra_step": 1, "wrong_step": 2}
    assert (together == together.T).all(axis=None) and co_occurrence(found.head(0)).empty


def test_every_answer_is_explained_once_and_proposals_tell_where():
    examples = shipped_corpus()[:6]
    catalogues = catalogues_for(examples)
    cases = [inject(e, "wrong_step", catalogues[e.domain]) for e in examples]
    predictions = [case.prediction for case in cases if case]
    predictions.append(Prediction(system="s", example=examples[0].id, status="provider_error"))
    found = explain_answers(predictions, {e.id: e for e in examples}, catalogues)
    assert len(found) == len(predictions) - 1
    proposals = proposals_table(found)
    wrong = proposals[proposals["category"] == "wrong_step"]
    assert len(wrong) == len(found) and wrong[["reference", "candidate"]].notna().all(axis=None)
