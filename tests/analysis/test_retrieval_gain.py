"""What a perfect retriever would gain: bounded from the tags, measured with the oracle, and the two compared."""

from pathlib import Path

import pandas as pd
import pytest

from flowstudy.analysis.explained import explain_answers
from flowstudy.analysis.faults import inject
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.retrieval_gain import oracle_twins, retrieval_gain
from flowstudy.analysis.verdicts import verdicts
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.metrics import flow_similarity
from flowstudy.study import load_study
from flowstudy.systems.records import SystemSpec

SPECS = [
    SystemSpec(name="tuned", model="slm/tuned", retriever="lexical"),
    SystemSpec(name="tuned-oracle", model="slm/tuned", retriever="oracle"),
    SystemSpec(name="other", model="openai/gpt-4o", retriever="lexical"),
    SystemSpec(name="nearest", model="nearest", retriever="none"),
]
NO_TAGS = pd.DataFrame(columns=["state", "match", "system", "example", "repeat", "role", "categories"])


def test_twins_differ_in_nothing_but_the_retriever():
    assert oracle_twins(SPECS) == {"tuned": "tuned-oracle"}
    assert oracle_twins([*SPECS[:1], SPECS[1].model_copy(update={"shots": 9})]) == {}


def test_the_default_study_has_an_oracle_for_its_tuned_model():
    study = load_study(Path(__file__).parents[2] / "study.yaml")
    assert oracle_twins(study.systems.values())["slm-tuned"] == "slm-tuned-oracle"


@pytest.fixture(scope="module")
def world():
    """Answers whose only fault is a step that was not suggested, or was; the oracle's answers are right."""
    examples = shipped_corpus()[:20]
    catalogues = catalogues_for(examples)
    predictions, rows = [], []
    for number, example in enumerate(examples):
        kind = "source_retriever" if number % 2 else "source_model"
        case = inject(example, kind, catalogues[example.domain])
        if case is None:
            continue
        predictions.append(case.prediction.model_copy(update={"system": "tuned"}))
        value = flow_similarity(case.prediction.flow, example.references)
        rows.append(("tuned", example.id, PRIMARY, value))
        rows.append(("tuned-oracle", example.id, PRIMARY, 1.0 if number % 2 else value))
    scores = pd.DataFrame(rows, columns=["system", "example", "measure", "value"])
    return explain_answers(predictions, {e.id: e for e in examples}, catalogues), scores


def test_the_bound_is_what_the_left_out_steps_cost(world):
    answers, scores = world
    row = retrieval_gain(answers, scores, SPECS).set_index("system").loc["tuned"]
    means = scores.groupby("system")["value"].mean()
    assert row["oracle_gain"] == pytest.approx(means["tuned-oracle"] - means["tuned"])
    assert row["at_most"] == pytest.approx(row["oracle_gain"])  # nothing else is wrong: the bound is reached
    assert 0 < row["at_most_low"] < row["at_most"] < row["at_most_high"]
    assert "at most +" in row["finding"] and "with the oracle retriever" in row["finding"]


def test_people_can_take_the_blame_off_the_retriever(world):
    answers, scores = world
    said = verdicts(answers, NO_TAGS).assign(by="people", categories=[frozenset({"missing_step"})] * len(answers))
    assert retrieval_gain(answers, scores, SPECS, said)["at_most"].tolist() == [0]


def test_without_an_oracle_the_finding_says_so(world):
    answers, scores = world
    alone = scores[scores["system"] == "tuned"]
    row = retrieval_gain(answers, alone, SPECS).iloc[0]
    assert pd.isna(row["oracle_gain"]) and row["finding"].endswith("no common example")
    assert retrieval_gain(answers, alone, SPECS[:1]).iloc[0]["finding"].endswith("no such system")
    assert retrieval_gain([], scores, SPECS).empty
