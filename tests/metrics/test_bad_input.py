"""Whatever a model writes: a status or an error that names the record; never a crash, a hang or much memory."""

import json
import time

import pytest

from flowstudy.metrics import FlowTooLarge, UnreadableFlow, explain, flow_similarity, published_scores, score_pairs
from tests.metrics.test_strict import flow, step

GOOD = json.dumps(flow(step("log")))
REPEATED = [step("IF", order, order - 1 or None, "flowlogic") for order in range(1, 25) for _ in range(2)]
BAD = {
    "cyclic blocks": flow(step("IF", 1, 2, "flowlogic"), step("IF", 2, 1, "flowlogic")),
    "own block": flow(step("IF", 1, 1, "flowlogic")),
    "repeated orders": flow(*REPEATED),
    "skipped orders": flow(step("a", 5), step("b", 900)),
    "components is text": {"trigger": None, "components": "IF"},
    "components is a number": {"trigger": None, "components": 3},
    "components hold text": {"trigger": None, "components": ["IF"]},
    "not a number": flow(step("a", float("nan"), float("nan"))),
    "infinite": flow(step("a", value=float("inf"))),
    "lone surrogate": flow(step("a\ud800", text="\udfff")),
    "megabyte value": flow(step("a", text="x" * 3_000_000)),
    "megabyte query": flow(step("a", condition="a=1^" * 300_000)),
    "many steps": flow(*(step("a", order) for order in range(1, 7_000))),
    "many levels": flow(*(step("IF", n, n - 1 or None, "flowlogic") for n in range(1, 1_500))),
    "list order": flow(step("a", [1]), step("b", {"a": 1}, [1])),
}
TEXTS = {name: json.dumps(value) for name, value in BAD.items()} | {
    "deep list": "[" * 10_000,
    "deep object": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep value": '{"trigger": null, "components": [{"definition": "a", "order": 1, "inputs": [{"name": "x", "value": '
    + "[" * 10_000 + "]" * 10_000 + "}]}]}",
    "long integer": '{"trigger": null, "components": [], "x": ' + "9" * 5_000 + "}",
    "raw surrogate": "\ud800",
    "null bytes": "\0" * 1_000,
    "fences": "```json" * 100_000,
    "operators": json.dumps(flow(step("a", values="=" * 200_000))),
    "empty": "",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_status_in_the_batch_within_seconds(name):
    started = time.process_time()
    table = score_pairs([TEXTS[name], GOOD, TEXTS[name]], [GOOD, TEXTS[name], TEXTS[name]], ids=["r1", "r2", "r3"])
    assert set(table["status"]) <= {"ok", "repaired", "invalid_output", "too_large", "invalid_reference"}
    unscored = table["strict_with_inputs"].isna()
    assert table.loc[unscored, "status"].isin(["too_large", "invalid_reference"]).all()
    assert all(row.id in row.error for row in table[unscored].itertuples())
    assert table["strict_with_inputs"].dropna().between(0, 1).all()
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", TEXTS)
def test_a_score_or_a_named_error_one_by_one(name):
    for score in (flow_similarity, explain, published_scores):
        try:
            score(TEXTS[name], GOOD, record="r9")
        except (FlowTooLarge, UnreadableFlow) as error:
            assert "r9" in str(error)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000, None, b"{}", 3], ids=lambda text: type(text).__name__)
def test_where_the_published_batch_stops_the_record_is_named(text):
    with pytest.raises(UnreadableFlow, match="the candidate of r1"):
        published_scores(text, GOOD, record="r1")


def test_growth_by_repeated_orders_is_bounded():
    with pytest.raises(FlowTooLarge, match="at most 5000 tree nodes"):
        published_scores(TEXTS["repeated orders"], GOOD)


@pytest.mark.parametrize("bad", [None, 3, b"x", object()])
def test_other_types_name_the_record(bad):
    with pytest.raises(UnreadableFlow, match="the reference of r1: expected Flow, dict or text"):
        flow_similarity(GOOD, [bad], record="r1")
    table = score_pairs([bad], [GOOD], ids=["r1"])
    assert table["status"].tolist() == ["invalid_output"]


def test_unreadable_reference_is_an_error_and_unreadable_candidate_a_zero():
    assert flow_similarity("no flow", GOOD) == 0
    with pytest.raises(UnreadableFlow, match="unreadable reference for r1"):
        flow_similarity(GOOD, "no flow", record="r1")
