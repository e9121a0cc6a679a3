"""The batch route gives the single scores, one row per pair, whatever is in the lists."""

import math
import multiprocessing

import pandas as pd
import pytest

from flowstudy.metrics import flow_similarity, published_scores, score_pairs, similarity
from flowstudy.metrics.similarity import COLUMNS
from tests.metrics.test_published_vectors import VECTORS
from tests.metrics.test_strict import flow, step

SOME = VECTORS[::4]


def test_equals_single_scores():
    table = score_pairs([v["candidate"] for v in SOME], [v["reference"] for v in SOME], ids=[v["id"] for v in SOME])
    assert tuple(table.columns) == COLUMNS and table["id"].tolist() == [v["id"] for v in SOME]
    for vector, row in zip(SOME, table.to_dict("records"), strict=True):
        for name, score in published_scores(vector["candidate"], vector["reference"]).items():
            assert math.isnan(row[name]) if score is None else row[name] == score
        if row["status"] == "invalid_reference":
            with pytest.raises(ValueError, match="unreadable reference"):
                flow_similarity(vector["candidate"], vector["reference"])
        else:
            assert row["strict_with_inputs"] == flow_similarity(vector["candidate"], vector["reference"])
            assert row["strict_no_inputs"] == flow_similarity(vector["candidate"], vector["reference"], inputs=False)


def test_several_references():
    log, mail = flow(step("log")), flow(step("send_email"))
    row = score_pairs([log], [[mail, log, flow()]]).iloc[0]
    assert (row.references, row.reference_best, row.strict_with_inputs) == (3, 1, 1.0)
    assert row.strict_with_inputs_mean == pytest.approx(1 / 3)
    assert row.flow_sim_with_inputs == 0.0, "the published code knows only the first reference"


def test_a_row_for_each_pair():
    found = score_pairs([flow(), "nothing"], [flow(), flow()], ids=["a", "b"])
    assert found["id"].tolist() == ["a", "b"]
    assert found["status"].tolist() == ["ok", "invalid_output"]
    assert found["strict_with_inputs"].tolist() == [1.0, 0.0]
    assert "nothing" not in found["error"][0] and "b" in found["error"][1]


def test_similar_strings():
    one, two = (flow(step("send_email", subject=text)) for text in ("Send mail to Bob", "Send an email to Bob"))
    found = score_pairs([one], [two], strings="similar")
    assert found["strict_with_inputs"][0] == flow_similarity(one, two, strings="similar")


def test_no_pairs():
    assert score_pairs([], []).columns.tolist() == list(COLUMNS)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"of one length, got \(2, 1, 2\)"):
        score_pairs(["a", "b"], ["a"])


def test_many_pairs_on_all_cores_equal_few(monkeypatch):
    candidates, references = [v["candidate"] for v in SOME], [v["reference"] for v in SOME]
    few = score_pairs(candidates, references)
    monkeypatch.setattr(similarity, "_MANY", 1)
    monkeypatch.setattr(similarity, "_CHUNK", 40)
    monkeypatch.setattr(similarity, "_can_fork", lambda: "fork" in multiprocessing.get_all_start_methods())
    pd.testing.assert_frame_equal(few, score_pairs(candidates, references))
