"""A variant changes what it names and nothing else, and a model is trained as it is asked."""

from __future__ import annotations

from collections import Counter

import pytest

from flowstudy.corpus import shipped_corpus
from flowstudy.study import StudyError, load_study
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.slm.data import Teaching
from flowstudy.systems.slm.recipe import Recipe
from flowstudy.systems.slm.variants import Variant, asks_variant, models_to_train


@pytest.fixture(scope="module")
def examples():
    return [example for example in shipped_corpus() if example.split == "validation"]


def test_smaller_training_sets_are_parts_of_larger_ones_and_of_all_domains(examples):
    few, more = ([e.id for e in Variant(train=n).choose(examples, seed=1)] for n in (5, 20))
    assert few == more[:5] and len(more) == 20
    of_domain = Counter(e.domain for e in Variant(train=10).choose(examples, seed=1))
    assert len(of_domain) == 5 and set(of_domain.values()) == {2}
    assert [e.id for e in Variant(train=5).choose(examples, seed=2)] != few
    assert Variant().choose(examples, seed=1) == examples


def test_without_a_feature_its_examples_are_left_out(examples):
    kept = Variant(without="implicit_step").choose(examples, seed=1)
    assert 0 < len(kept) < len(examples) and not any(e.features["implicit_step"] for e in kept)
    with pytest.raises(ValueError, match="expected `without` to be a feature"):
        Variant(without="nonsense").choose(examples, seed=1)


def test_the_recipe_is_the_study_s_with_what_the_variant_names():
    study = Recipe(epochs=3.0, seed=7)
    assert Variant().recipe(study) == study == Variant(train=5, prompt="json").recipe(study)
    changes = {
        "seed": 8, "method": "full", "rate": 1e-5, "epochs": 1.0, "prompt_weight": 0.1, "neftune": 5.0, "average": True
    }  # fmt: skip
    for name, value in changes.items():
        assert Variant(**{name: value}).recipe(study) == study._replace(**{name: value})
    assert Variant(prompt_weight=0.0).recipe(Recipe(prompt_weight=0.5)).prompt_weight == 0, "nought is a value"


def test_examples_become_prompts_as_the_variant_says():
    assert Variant().teaching(6) == Teaching(k=6)
    changes = {"prompt": "json", "strategy": "decomposed", "redraw": False, "unseen": 0.0, "rename": 0.0}
    for name, value in changes.items():
        assert Variant(**{name: value}).teaching(8) == Teaching()._replace(**{name: value})
    assert [Variant(retriever=name).teaching(8).offered for name in ("none", "lexical", "trained")] == [0, 1, 1]


def test_a_model_is_trained_as_it_is_asked_unless_its_variant_says_otherwise():
    asked = [
        SystemSpec(name="a", model="slm/tuned", prompt="outline", retriever="trained", strategy="decomposed"),
        SystemSpec(name="again", model="slm/tuned", prompt="json", retriever="lexical"),
        SystemSpec(name="b", model="slm/blind", prompt="outline", retriever="lexical"),
        SystemSpec(name="c", model="slm/base"),
        SystemSpec(name="d", model="nearest"),
        SystemSpec(name="e", model="slm/fresh", prompt="outline", without="implicit_step"),
    ]
    variants = {"blind": Variant(retriever="none"), "fresh": Variant(rename=0.0), "unused": Variant(train=5)}
    found = models_to_train(asked, variants)
    whole = {"prompt": "outline", "strategy": "whole", "retriever": "lexical", "without": ""}
    assert found == {
        "tuned": {**whole, "strategy": "decomposed", "retriever": "trained"},
        "blind": {**whole, "retriever": "none"},
        "fresh": {**whole, "without": "implicit_step", "rename": 0.0},
    }
    assert not Variant(**found["blind"]).teaching(8).offered
    assert [asks_variant(spec) for spec in asked] == [False, False, True, False, False, True]


def test_a_model_that_nobody_describes_is_named(tmp_path):
    with pytest.raises(ValueError, match="system 'x': expected a model of slm/base, slm/tuned, got 'slm/other'"):
        models_to_train([SystemSpec(name="x", model="slm/other")], {})
    path = tmp_path / "study.yaml"
    path.write_text("fine_tune: {variants: {../up: {train: 5}}}\nprofiles: {laptop: {}}\n")
    with pytest.raises(StudyError, match=r"key 'fine_tune.variants.*expected"):
        load_study(path)
    path.write_text("fine_tune: {variants: {few: {trian: 5}}}\nprofiles: {laptop: {}}\n")
    with pytest.raises(StudyError, match="trian"):
        load_study(path)
