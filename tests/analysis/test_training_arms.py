"""What fine-tuning depends on: who is a variant of what, a curve of known points, and chance that is said."""

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.questions import side_arms
from flowstudy.analysis.training_arms import (
    chance_in_training,
    chance_text,
    learning_curve,
    training_effects,
    trainings,
)
from flowstudy.systems.records import SystemSpec

USUAL = {"train": None, "without": "", "retriever": "trained", "strategy": "whole", "prompt": "outline", "seed": 7}
OWN = {
    "tuned": {"training_examples": 1200},
    "some": {"train": 200, "training_examples": 200},
    "few": {"train": 50, "training_examples": 50},
    "few-8": {"train": 50, "training_examples": 50, "seed": 8},
    "greedy": {"train": 5000, "training_examples": 1200},
    "unlabelled": {"without": "implicit_step", "training_examples": 1100},
    "blind": {"retriever": "none", "training_examples": 1200},
    "staged": {"strategy": "decomposed", "training_examples": 1200, "stopped": "time limit after 3 of 9 steps"},
    "again": {"seed": 8, "training_examples": 1200},
}
MODELS = {name: {**USUAL, **own} for name, own in OWN.items()}
LIKE = {"prompt": "outline", "shots": 0, "retriever": "trained"}
UNTUNED = SystemSpec(name="slm-untuned", model="slm/base", prompt="outline", retriever="trained")
SPECS = [UNTUNED, *(SystemSpec(name=f"slm-{name}", model=f"slm/{name}", **LIKE) for name in OWN if name != "staged"),
         SystemSpec(name="slm-staged", model="slm/staged", strategy="decomposed", **LIKE),
         SystemSpec(name="nearest", model="nearest", retriever="none")]  # fmt: skip
MEANS = {"slm-untuned": 0.2, "slm-few": 0.3, "slm-few-8": 0.34, "slm-some": 0.4, "slm-tuned": 0.5, "slm-greedy": 0.5,
         "slm-unlabelled": 0.45, "slm-blind": 0.3, "slm-staged": 0.6, "slm-again": 0.53}  # fmt: skip


@pytest.fixture
def found():
    return trainings(SPECS, MODELS)


def test_a_training_is_told_by_what_differs_from_the_tuned_model(found):
    assert {one.system: one.differs for one in found} == {
        "slm-tuned": "", "slm-untuned": "", "slm-few": "50 examples", "slm-few-8": "50 examples, seed 8",
        "slm-some": "200 examples", "slm-greedy": "1,200 examples (5,000 asked for)",
        "slm-unlabelled": "no implicit step in training", "slm-blind": "trained without suggestions",
        "slm-staged": "outline, then inputs", "slm-again": "seed 8",
    }  # fmt: skip
    assert [one.system for one in found][:2] == ["slm-tuned", "slm-untuned"] and found[-1].system == "slm-again"


def test_asked_in_another_way_is_a_difference_and_leaves_the_curve(found, scores_of):
    other = SystemSpec(name="slm-few-bare", model="slm/few", prompt="outline", shots=2, retriever="none")
    (one,) = [t for t in trainings([*SPECS, other], MODELS) if t.system == "slm-few-bare"]
    assert one.differs == "50 examples, asked with retriever none, asked with shots 2"
    curve = learning_curve(scores_of({**MEANS, "slm-few-bare": 0.9}, noise=0), [*found, one], resamples=99)
    assert "slm-few-bare" not in ", ".join(curve["systems"])


def test_variants_are_side_arms_and_never_contenders():
    assert side_arms(SPECS) == {f"slm-{name}" for name in OWN if name != "tuned"}
    assert side_arms([SPECS[2]]) == {SPECS[2].name}, "not even where no other model was tuned"


def test_the_curve_has_known_points_with_the_seeds_of_a_size_averaged(found, scores_of):
    scores = scores_of(MEANS, noise=0)
    curve = learning_curve(scores, found, resamples=199)
    rows = curve[(curve["split"] == "test") & (curve["measure"] == PRIMARY)].set_index("training_examples")
    hard = scores.query("system == 'slm-tuned' and split == 'test' and measure == @PRIMARY")["value"].mean() - 0.5
    assert rows["mean"].to_dict() == pytest.approx({0: 0.2 + hard, 50: 0.32 + hard, 200: 0.4 + hard, 1200: 0.51 + hard})
    assert rows["trainings"].to_dict() == {0: 1, 50: 2, 200: 1, 1200: 3} and (rows["n"] == 40).all()
    assert rows.loc[50, ["lowest", "highest"]].tolist() == pytest.approx([0.3 + hard, 0.34 + hard])
    assert (rows["low"] < rows["mean"]).all() and (rows["mean"] < rows["high"]).all()
    assert set(curve["split"]) == {"test", "ood"} and set(curve["measure"]) == {PRIMARY, OUTLINE}


def test_intervals_widen_when_examples_share_a_source(found, scores_of):
    scores = scores_of(MEANS)
    sources = {f"e{i}": i // 6 for i in range(60)}
    alone, together = (learning_curve(scores, found, resamples=499, sources=s) for s in (None, sources))
    assert not alone["low"].equals(together["low"]) and alone["mean"].equals(together["mean"])


def test_effects_are_paired_with_the_tuned_model_and_corrected_together(found, scores_of):
    effects = training_effects(scores_of(MEANS, noise=1e-6), found, resamples=199).set_index("system")
    known = {name: MEANS[name] - 0.5 for name in MEANS if name not in ("slm-tuned", "slm-untuned")}
    assert effects["difference"].to_dict() == pytest.approx(known, abs=1e-5) and set(effects["other"]) == {"slm-tuned"}
    assert effects.loc["slm-staged", "training_ended"] == "time limit after 3 of 9 steps"
    assert list(effects.index)[:4] == ["slm-few", "slm-few-8", "slm-some", "slm-greedy"]
    # 800 random sign patterns (100 for each of eight comparisons), none as extreme: p = 2 / 801, times eight.
    assert effects.loc["slm-few", "p_holm"] == pytest.approx(8 * 2 / 801)


def test_chance_is_between_trainings_that_differ_in_the_seed_alone(found, scores_of):
    scores = scores_of(MEANS, noise=0)
    chance = chance_in_training(scores, found).set_index("training_examples")
    # `greedy` was trained like `tuned` with the same seed: it is no second throw of the dice
    assert chance["trainings"].to_dict() == {50: 2, 1200: 2}
    assert chance["apart"].to_dict() == pytest.approx({50: 0.04, 1200: 0.03})
    assert chance.loc[1200, "sd"] == pytest.approx(np.std([0.5, 0.53], ddof=1))
    words = chance_text(chance.reset_index())
    assert words.startswith("2 trainings on 1,200 examples") and "a difference of 0.030" in words


def test_what_was_not_run_gives_empty_tables_and_words(found, scores_of):
    assert trainings(SPECS, {}) == [] and trainings(SPECS[:2], MODELS) == []
    assert trainings([s for s in SPECS if s.model != "slm/tuned"], MODELS) == []
    scores = scores_of({"slm-tuned": 0.5, "nearest": 0.4})
    for none in ([], found):
        assert learning_curve(scores, none).empty and training_effects(scores, none).empty
        assert chance_in_training(scores, none).empty
    assert chance_text(pd.DataFrame()).startswith("One training each")
