"""A variant changes what it names and nothing else, and a model is trained as it is asked."""

import pytest

from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.corpus.synthesis import generate
from flowstudy.study import StudyError, load_study
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.slm.variants import Variant, models_to_train


@pytest.fixture(scope="module")
def examples():
    made = list(generate(shipped_catalogue("hr"), 30, seed=0))
    marked = [
        e.model_copy(update={"source": "written" if n % 3 == 0 else "synthetic",
                             "features": {"implicit_step": ["1: said by nobody"] if n % 2 else False}})
        for n, e in enumerate(made)
    ]  # fmt: skip
    return marked


def test_smaller_training_sets_are_parts_of_larger_ones_and_begin_with_written_examples(examples):
    few, more = ([e.id for e in Variant(train=n).choose(examples, seed=1)] for n in (5, 20))
    assert few == more[:5] and len(more) == 20
    assert all(e.source == "written" for e in Variant(train=10).choose(examples, seed=1))
    assert Variant().choose(examples, seed=1) == examples


def test_without_a_feature_its_examples_are_left_out(examples):
    kept = Variant(without="implicit_step").choose(examples, seed=1)
    assert 0 < len(kept) < len(examples) and not any(e.features["implicit_step"] for e in kept)


def test_a_model_is_trained_as_it_is_asked_unless_its_variant_says_otherwise():
    asked = [
        SystemSpec(name="a", model="slm/tuned", prompt="pointed", retriever="trained", strategy="decomposed"),
        SystemSpec(name="b", model="slm/blind", prompt="pointed", retriever="lexical"),
        SystemSpec(name="c", model="slm/seed"),
        SystemSpec(name="d", model="nearest"),
    ]
    found = models_to_train(asked, {"blind": Variant(retriever="none"), "unused": Variant(train=5)})
    assert found == {
        "tuned": {"prompt": "pointed", "strategy": "decomposed", "retriever": "trained", "without": ""},
        "blind": {"prompt": "pointed", "strategy": "whole", "retriever": "none", "without": ""},
    }


def test_a_model_that_nobody_describes_is_named(tmp_path):
    with pytest.raises(ValueError, match="system 'x': expected a model of slm/seed, slm/tuned, got 'slm/other'"):
        models_to_train([SystemSpec(name="x", model="slm/other")], {})
    path = tmp_path / "study.yaml"
    path.write_text("fine_tune: {variants: {../up: {train: 5}}}\nprofiles: {laptop: {}}\n")
    with pytest.raises(StudyError, match=r"key 'fine_tune.variants.*expected"):
        load_study(path)
    path.write_text("fine_tune: {variants: {few: {trian: 5}}}\nprofiles: {laptop: {}}\n")
    with pytest.raises(StudyError, match="trian"):
        load_study(path)
