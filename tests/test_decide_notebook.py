"""Notebook 06 protects the decision: on odd runs every cell still runs, and the report says what is the matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flowstudy.analysis.measures import QUALITY
from flowstudy.files import write_json
from flowstudy.systems.records import SystemSpec
from tests.decision_runs import MEANS, SPECS, answers_of, examples_of, run_notebook, scores_of, write_run

World = tuple[list, list, list, pd.DataFrame]


@pytest.fixture(autouse=True)
def no_chrome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are not what is tested here: without a Chrome they take no time."""
    monkeypatch.setattr("flowstudy.review.pictures._drawer", lambda: False)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)


def world(specs: list = SPECS, count: int = 60, **about: Any) -> World:
    examples = examples_of(count)
    means = {spec.name: MEANS.get(spec.name, 0.65) for spec in specs}
    return specs, examples, answers_of(specs, examples), scores_of(means, examples, **about)


def plain() -> World:
    return world(costs={"gpt-4o": 0.02})


def one_system() -> World:
    return world(SPECS[:1])


def no_overlap() -> World:
    specs, examples, answers, scores = world()
    half = {e.id for e in examples[: len(examples) // 2]}
    return (specs, examples, [p for p in answers if (p.system == "gpt-4o") == (p.example in half)],
            scores[(scores["system"] == "gpt-4o") == scores["example"].isin(half)])  # fmt: skip


def missing_costs() -> World:
    specs, examples, answers, scores = world(costs={"gpt-4o": math.nan})
    unpriced = [p.model_copy(update={"calls": [p.calls[0].model_copy(update={"cost_usd": None})]}) for p in answers]
    return specs, examples, unpriced, scores


def all_equal() -> World:
    specs, examples, answers, scores = world(costs={"gpt-4o": math.nan})
    return specs, examples, answers, scores.assign(value=scores["value"].where(~scores["measure"].isin(QUALITY), 0.5))


def all_zero() -> World:
    specs, examples, answers, scores = all_equal()
    return specs, examples, answers, scores.assign(value=scores["value"].where(~scores["measure"].isin(QUALITY), 0.0))


def one_domain() -> World:
    specs, examples, answers, scores = world(count=240)
    domain = examples[0].domain
    kept = [e for e in examples if e.domain == domain]
    own = {e.id for e in kept}
    return specs, kept, [p for p in answers if p.example in own], scores[scores["example"].isin(own)]


def half_missing() -> World:
    specs, examples, answers, scores = world()
    gone = {e.id for e in examples[::2]}
    answers = [p for p in answers if p.system != "gpt-4o" or p.example not in gone]
    return specs, examples, answers, scores[(scores["system"] != "gpt-4o") | ~scores["example"].isin(gone)]


def hardly_asked() -> World:
    specs, examples, answers, scores = world()
    long = (scores["system"] == "gpt-4o") & scores["example"].isin([e.id for e in examples[::2]])
    return specs, examples, answers, scores.assign(status=scores["status"].mask(long, "truncated"))


def nobody_answered() -> World:
    specs, examples, answers, scores = world()
    failed = [p.model_copy(update={"status": "provider_error", "flow": None}) for p in answers]
    lost = scores[scores["measure"] == "answered"].assign(value=0.0, status="provider_error", reason="down")
    return specs, examples, failed, lost


CASES: list[tuple[Callable[[], World], str, str]] = [
    (plain, "fine-tune", "fine-tune"),
    (one_system, "cannot tell yet", "No prompted large model answered in this run"),
    (no_overlap, "cannot tell yet", "answered: 0; 10 are the least"),
    (missing_costs, "fine-tune", "not drawn, no price: gpt-4o"),
    (all_equal, "cannot tell yet", "what gpt-4o costs is not known"),
    (all_zero, "cannot tell yet", "0.000 is below 0.25, the least that is of use"),
    (hardly_asked, "cannot tell yet", "Out of the comparison: gpt-4o, hardly asked"),
    (one_domain, "fine-tune", "The examples come from 1 domain only."),
    (half_missing, "fine-tune", "gpt-4o has no answer to 50% of the requests."),
    (nobody_answered, "cannot tell yet", "No fine-tuned small model and no prompted large model"),
]


@pytest.mark.parametrize(("make", "answer", "words"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_odd_run_is_decided_and_the_trouble_is_named(
    make: Callable[[], World], answer: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = write_run(tmp_path / "run", *make())
    names = run_notebook(folder, resamples=199)
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert names["answer"].answer == answer
    assert words in report and "nan</td>" not in report and " nan " not in names["answer"].text()
    assert (folder / "finished" / "06_decide.json").is_file()
    for table in (names["pairs"], names["summary"]):
        undefined = table[table[["low", "high"]].isna().any(axis=1)]
        assert (undefined["reason"].str.len() > 0).all()
    assert names["chances"].sum() in (0, pytest.approx(1))


def test_half_missing_is_paired_on_what_both_have_and_flagged(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_run(tmp_path / "run", *half_missing())
    names = run_notebook(folder, resamples=199)
    assert names["pairs"][["n", "left_out"]].to_numpy().tolist() == [[20, 20]]
    assert names["lost"][["system", "status", "count"]].to_numpy().tolist() == [["gpt-4o", "missing", 20]]
    assert "requests without an answer" in capsys.readouterr().out
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Not run: it needs answers of slm/tuned and of another model" in report, "no experiment with training"


def test_the_same_run_gives_the_same_words_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_run(tmp_path / "run", *plain())
    one, two = (run_notebook(folder, resamples=199) for _ in range(2))
    assert one["answer"] == two["answer"]
    for name in ("summary", "pairs", "lead", "slices", "money", "volume", "ranking", "repeats", "by_size", "fits"):
        pd.testing.assert_frame_equal(one[name], two[name], check_exact=True)


def test_arms_answer_their_question_and_stay_out_of_the_decision(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arms = [
        SystemSpec(name="perfect", model="slm/tuned", retriever="oracle"),
        SystemSpec(name="bare", model="slm/tuned", retriever="none"),
        SystemSpec(name="steps", model="openai/gpt-4o", strategy="decomposed"),
        SystemSpec(name="unlabelled", model="openai/gpt-4o", without="implicit_step"),
    ]
    base = [s.model_copy(update={"retriever": "trained"}) if s.name == "slm-tuned" else s for s in SPECS]
    folder = write_run(tmp_path / "run", *world([*base, *arms]))
    names = run_notebook(folder, resamples=199)
    assert set(names["scores"]["system"]) == {"slm-tuned", "gpt-4o", "steps"}
    assert names["arms"]["retriever"][["group", "arm"]].to_numpy().tolist() == [
        ["slm-tuned", "none"], ["slm-tuned", "trained"], ["slm-tuned", "oracle"],
    ]  # fmt: skip
    assert list(names["arms"]["strategy"]["system"]) == ["gpt-4o", "steps"]
    assert list(names["arms"]["without"]["system"]) == ["gpt-4o", "unlabelled"]
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "What would a perfect retriever give?" in report and "ANOTHER data set" in report
    assert {"arms_retriever.csv", "lead.csv", "published.csv"} <= {p.name for p in names["run"].figures.iterdir()}


def test_experiments_with_training_are_answered_and_stay_out_of_the_decision(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The best variant is no contender, its training is on nobody's bill, and the report has a section of its own."""
    specs, examples, answers, scores = world([*SPECS, *(SystemSpec(name=n, model=f"slm/{n}") for n in ("few", "late"))])
    scores.loc[scores["system"] == "late", "value"] += 0.1
    folder = write_run(tmp_path / "run", specs, examples, answers, scores)
    usual = {"train": None, "retriever": "lexical", "strategy": "whole", "prompt": "json", "seed": 7}
    models = {"tuned": {**usual, "training_examples": 90, "seconds": 360.0},
              "few": {**usual, "train": 50, "training_examples": 50, "seconds": 9000.0},
              "late": {**usual, "seed": 8, "training_examples": 90, "seconds": 9000.0}}  # fmt: skip
    write_json(folder / "finished" / "02_fine_tune.json", {"facts": {"models": models}})
    names = run_notebook(folder, resamples=199)
    assert set(names["scores"]["system"]) == {"slm-tuned", "gpt-4o"} and names["tuned"] == "slm-tuned"
    assert names["assumptions"].training_hours == pytest.approx(0.1)
    assert list(names["ways"]["differs"]) == ["50 examples", "seed 8"]
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "2 trainings on 90 examples that differ in their seed alone" in report
    assert {"learning_curve.csv", "training_effects.csv"} <= {p.name for p in names["run"].figures.iterdir()}
