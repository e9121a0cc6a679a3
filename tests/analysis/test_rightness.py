"""Verdicts: right is what does the same without a fault, what cannot be told is said, and the shares add up."""

import math

import pandas as pd
import pytest

from flowstudy.analysis.measures import CLOSEST, RIGHT
from flowstudy.analysis.rightness import VALID_BUT_WRONG, VERDICTS, shares_in_words, verdict_shares, verdict_table
from flowstudy.analysis.scores import score_predictions
from flowstudy.corpus import shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.flows import from_outline
from flowstudy.metrics.symbolic.verdict import MAX_STEPS
from flowstudy.systems.records import Prediction

IT = shipped_catalogue("it_service")
HEAD = "trigger record_update | table = incident | condition = priority=1\n"
FLOW = (
    HEAD
    + """action ask_for_approval | record = {{trigger.record}} | approver = Managers
IF | condition = {{step.1.decision}}=approved
  action update_record | table = incident | record = {{trigger.record}} | values = state=in_progress
ELSE
  action send_email | to = {{trigger.record.caller}} | subject = Refused | body = Sorry"""
)
EXCHANGED = (
    HEAD
    + """action ask_for_approval | record = {{trigger.record}} | approver = Managers
IF | condition = {{step.1.decision}}!=approved
  action send_email | to = {{trigger.record.caller}} | subject = Refused | body = Sorry
ELSE
  action update_record | table = incident | record = {{trigger.record}} | values = state=in_progress"""
)
LATE = HEAD + "action log_message | message = a\n" * 4
ANSWERS = {
    "the reference": (FLOW, "right"),
    "branches exchanged, five corrections away": (EXCHANGED, "right"),
    "the opposite condition, one small edit": (FLOW.replace("}}=approved", "}}!=approved"), "nearly"),
    "another value": (FLOW.replace("Sorry", "No"), "nearly"),
    "a fault that nothing depends on": (f"{FLOW}\naction look_up_record | table = unheard_of", "nearly"),
    "a reference to nothing": (FLOW.replace("{{trigger.record.caller}}", "{{step.9.user}}"), "nearly"),
    "something else": (LATE, "rework"),
}  # fmt: skip


def scored(outlines, references=(FLOW,), catalogue=IT, **over):
    example = Example(id="e", requirement="r", references=[from_outline(r) for r in references], domain="it")
    answers = [Prediction(**{"example": "e", "system": name, "status": "ok", "flow": from_outline(text)} | over)
               for name, text in outlines.items()]  # fmt: skip
    scores = score_predictions(answers, [example], {"it": catalogue} if catalogue else {})
    return scores, verdict_table(scores).set_index("system")


@pytest.fixture(scope="module")
def answers():
    return scored({name: text for name, (text, _) in ANSWERS.items()})[1]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_the_verdict_that_a_person_gives(name, answers):
    assert answers.loc[name, "verdict"] == ANSWERS[name][1]


def test_what_an_answer_does_decides_and_not_the_edits(answers):
    exchanged, opposite = (answers.loc[n] for n in list(ANSWERS)[1:3])
    assert exchanged["corrections"] > opposite["corrections"] == 1
    assert (exchanged["same"], opposite["same"]) == (1, 0) and opposite["agree"] < 1
    assert exchanged["why"] == exchanged["difference"] == ""
    assert opposite["difference"].startswith("when ") and "expected" in opposite["difference"]


def test_only_what_no_validator_finds_is_valid_but_wrong(answers):
    wrong = answers.index[answers["valid_but_wrong"] == 1]
    assert set(wrong) == {"the opposite condition, one small edit", "another value", "something else"}
    fault, nothing = (answers.loc[n] for n in ("a fault that nothing depends on", "a reference to nothing"))
    assert fault["same"] == 1 and "unknown table 'unheard_of'" in fault["why"] and fault["difference"] == ""
    assert nothing["dangling"] == 1 and "step.9.user" in nothing["why"]


def test_an_answer_without_a_flow_keeps_its_status_and_no_answer_has_no_row():
    example = Example(id="e", requirement="r", references=[from_outline(FLOW)], domain="it")
    lost = [Prediction(example="e", system=status, status=status) for status in ("refused", "truncated", "budget_stop")]
    table = verdict_table(score_predictions(lost, [example])).set_index("system")
    assert table["verdict"].to_dict() == {"refused": "no flow", "truncated": "no flow"}
    assert table["corrections"].isna().all() and (table["valid_but_wrong"] == 0).all()


def test_what_cannot_be_told_is_not_guessed():
    long = HEAD + "action log_message | message = a\n" * (MAX_STEPS + 1)
    scores, table = scored({"equal": long, "longer": f"{long}action log_message | message = b"}, [long])
    assert table["verdict"].to_dict() == {"equal": "right", "longer": "unknown"}
    row = scores[(scores["system"] == "longer") & (scores["measure"] == RIGHT)].iloc[0]
    assert math.isnan(row["value"]) and "expected at most" in row["reason"]
    near = scores[(scores["system"] == "longer") & (scores["measure"] == "right_or_nearly")].iloc[0]
    assert near["value"] == 1, "one correction is nearly right at least"
    assert verdict_table(scores[scores["measure"] == "strict_with_inputs"]).empty


def test_a_difference_from_one_reference_decides_nothing_while_another_cannot_be_told():
    dead = (
        HEAD + "IF | condition = {{trigger.record.active}}=true^{{trigger.record.active}}=false\n" + "  action a\n" * 3
    )
    assert scored({"s": HEAD.strip()}, [FLOW, dead], None)[1].loc["s", "verdict"] == "unknown"


def test_the_best_of_several_references_counts():
    scores, table = scored({"s": EXCHANGED}, [LATE, FLOW])
    assert table.loc["s", "verdict"] == "right" and table.loc["s", "reference"] == 1
    assert scores.loc[scores["measure"] == CLOSEST, "value"].tolist() == [1]


def test_what_is_computed_of_a_flow_is_computed_once():
    scores, _ = scored({"one": FLOW, "two": FLOW})
    halves = [scores[scores["system"] == name].drop(columns="system").reset_index(drop=True) for name in ("one", "two")]
    pd.testing.assert_frame_equal(*halves)


def test_shares_add_up_and_have_intervals_also_at_nothing():
    rows = [("s", "dev", f"e{n}", repeat, verdict, 0.0) for n in range(20) for repeat in (0, 1)
            for verdict in [("nearly" if n < 5 and repeat else "rework")]]  # fmt: skip
    table = pd.DataFrame(rows, columns=["system", "split", "example", "repeat", "verdict", "valid_but_wrong"])
    shares = verdict_shares(table)
    of = shares.set_index("verdict")
    assert of.loc[list(VERDICTS), "share"].sum() == pytest.approx(1)
    assert of.loc["nearly", "share"] == pytest.approx(5 / 40), "repeats are averaged first"
    assert (of["n"] == 20).all() and of.loc["right", "low"] == 0 < of.loc["right", "high"] < 0.2
    wider = verdict_shares(table, sources={f"e{n}": n % 4 for n in range(20)}).set_index("verdict")
    assert wider.loc["right", "high"] > of.loc["right", "high"], "examples of one workflow count as one"
    (line,) = shares_in_words(shares)
    assert line.startswith("s, dev: of 100 requests 0 (0 to 16) right, 12 (") and VALID_BUT_WRONG not in line
    assert shares_in_words(verdict_shares(table.iloc[:0])) == []


def test_a_reference_is_right_whatever_the_catalogue_lacks_and_so_is_what_does_the_same_with_its_faults():
    bare = IT.model_copy(update={"actions": {}})
    table = scored({"equal": FLOW, "exchanged": EXCHANGED, "more": f"{FLOW}\naction unheard_of"}, catalogue=bare)[1]
    assert table["verdict"].to_dict() == {"equal": "right", "exchanged": "right", "more": "nearly"}
