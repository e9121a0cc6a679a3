"""The trained retriever learns what words alone do not say, repeats itself, and is saved without pickles."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.schema import Component, Flow
from flowstudy.systems import RankerModel, recall_at_k, retrieve, run_rankers, suggest_all, train_ranker
from flowstudy.systems.ranker_training import average_precision
from flowstudy.systems.slm.data import pair, pairs

WORDS = {"alpha": "invoice", "beta": "laptop", "gamma": "holiday", "delta": "visitor", "omega": "printer"}


@pytest.fixture(scope="module")
def world():
    """Step names that share no word with the requirements: nothing for BM25 to find."""
    actions = {f"do_{name}": StepDef(description=f"Runs {name}") for name in WORDS}
    examples = [
        Example(
            id=f"e{n}-{name}", requirement=f"please handle the {word} of person {n % 4}", domain="d", split="train",
            references=[Flow(components=[Component(definition=f"do_{name}", order=1)])],
        )
        for n in range(12)
        for name, word in WORDS.items()
    ]  # fmt: skip
    return Catalogue(name="d", actions=actions), examples


def test_it_learns_what_words_do_not_say(world):
    catalogue, examples = world
    model = train_ranker(examples[:40], {"d": catalogue}, dims=16, epochs=10, batch=4, rate=0.03)
    ranker = model.ranker(catalogue)
    held_out, catalogues = examples[40:], {"d": catalogue}
    lexical = recall_at_k(suggest_all("lexical", held_out, catalogues, k=1), held_out, catalogues)["step"]
    trained = suggest_all("trained", held_out, catalogues, k=1, rankers={"d": ranker})
    assert recall_at_k(trained, held_out, catalogues)["step"] == 1.0 and lexical < 0.5


def test_it_repeats_itself_and_survives_a_file(world, tmp_path):
    catalogue, examples = world
    first, second = (train_ranker(examples, {"d": catalogue}, dims=8, epochs=1) for _ in range(2))
    assert first.fingerprint() == second.fingerprint()
    first.save(tmp_path / "ranker.npz")
    again = RankerModel.load(tmp_path / "ranker.npz")
    assert again.fingerprint() == first.fingerprint()
    text = "the invoice of an unheard-of person"
    assert retrieve("trained", text, catalogue, ranker=again.ranker(catalogue)) == retrieve(
        "trained", text, catalogue, ranker=first.ranker(catalogue)
    )
    assert first.fingerprint() != train_ranker(examples, {"d": catalogue}, dims=8, epochs=1, seed=1).fingerprint()


def test_a_run_trains_it_once_and_again_when_its_makings_change(world, tmp_path):
    catalogue, examples = world
    catalogues = {"d": catalogue}
    asked = {"k": 1, "seed": 3}
    assert run_rankers(["none", "lexical", "oracle"], tmp_path, examples, catalogues, **asked) == {}
    first = run_rankers(["trained"], tmp_path, examples, catalogues, **asked)
    file, path = tmp_path / "retriever.npz", tmp_path / "suggestions.jsonl"
    written = file.stat().st_mtime_ns
    again = run_rankers(["trained"], tmp_path, examples, catalogues, **asked)
    assert file.stat().st_mtime_ns == written and again["d"].fingerprint() == first["d"].fingerprint()
    told = suggest_all("trained", examples[:9], catalogues, k=1, path=path, rankers=first)
    assert json.loads(path.read_text().splitlines()[0])["rankers"] == [first["d"].fingerprint()]
    for change in (examples[:-1], [*examples[:-1], examples[-1].model_copy(update={"requirement": "other"})]):
        other = run_rankers(["trained"], tmp_path, change, catalogues, **asked)
        assert other["d"].fingerprint() != first["d"].fingerprint() and file.stat().st_mtime_ns != written
    assert suggest_all("trained", examples[:9], catalogues, k=1, path=path, rankers=other)
    assert json.loads(path.read_text().splitlines()[0])["rankers"] == [other["d"].fingerprint()]
    unseen = [e.model_copy(update={"split": "test"}) for e in examples[:5]]
    same = run_rankers(["trained"], tmp_path, [*change, *unseen], catalogues, **asked)
    assert same["d"].fingerprint() == other["d"].fingerprint() and told, "a test split is not looked at"


def test_a_small_model_learns_from_the_suggestions_that_it_will_see(world, tmp_path):
    catalogue, examples = world
    catalogues = {"d": catalogue}
    rankers = run_rankers(["trained"], tmp_path, examples, catalogues, k=2, seed=3)
    (made,) = pairs(examples[3:4], catalogues, k=2, retriever="trained", rankers=rankers)
    offered = suggest_all("trained", examples[3:4], catalogues, k=2, rankers=rankers)[examples[3].id]
    assert made.prompt == pair(examples[3], catalogue, offered).prompt
    assert made.prompt != pairs(examples[3:4], catalogues, k=2)[0].prompt


def test_what_is_offered_for_a_training_requirement_is_not_learned_from_it():
    """Each requirement speaks of its step in a word of its own: only who has seen the answer can know it."""
    names = [f"do_{n}" for n in range(40)]
    catalogue = Catalogue(name="d", actions={name: StepDef() for name in names})
    examples = [
        Example(id=f"e{n}", requirement=f"thing{n}x matters{n}y", domain="d", split="train",
                references=[Flow(components=[Component(definition=name, order=1)])])
        for n, name in enumerate(names)
    ]  # fmt: skip
    model = train_ranker(examples, {"d": catalogue}, dims=16, epochs=20, batch=4, rate=0.03, k=1)
    model.dense[:], model.near[:] = 1.0, 0.0
    ranker = {"d": model.ranker(catalogue)}
    honest = recall_at_k(
        suggest_all("trained", examples, {"d": catalogue}, 1, rankers=ranker), examples, {"d": catalogue}
    )
    reworded = [e.model_copy(update={"requirement": f"{e.requirement}."}) for e in examples]
    offers = suggest_all("trained", reworded, {"d": catalogue}, 1, rankers=ranker)
    learned = recall_at_k(offers, reworded, {"d": catalogue})
    assert honest["step"] < 0.2 and learned["step"] > 0.8


def test_average_precision_of_known_rankings():
    wanted = np.array([1.0, 0.0, 1.0, 0.0])
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), wanted, 4) == 1.0
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), wanted, 4) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([1.0, 4.0, 2.0, 3.0]), wanted, 2) == 0.0
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), wanted, 1) == 1.0, "no more than `most` can be found"


def test_validation_never_makes_it_worse_than_bm25_there(world):
    catalogue, examples = world
    told = [e.model_copy(update={"requirement": f"run {e.flow.components[0].definition}"}) for e in examples[:10]]
    model = train_ranker(examples[10:], {"d": catalogue}, validation=told, k=1, dims=8, epochs=2)
    offers = suggest_all("trained", told, {"d": catalogue}, k=1, rankers={"d": model.ranker(catalogue)})
    assert recall_at_k(offers, told, {"d": catalogue})["step"] == 1.0


def test_without_validation_a_part_of_training_stands_for_it():
    """Where every requirement needs another step, what was needed before says nothing: the words must count."""
    actions = {f"do_{n}": StepDef(description=f"Handles case c{n}") for n in range(300)}
    catalogue = Catalogue(name="d", actions=actions)
    examples = [
        Example(id=f"e{n}", requirement=f"handle the case c{n}", domain="d",
                references=[Flow(components=[Component(definition=f"do_{n}", order=1)])])
        for n in range(0, 300, 2)
    ]  # fmt: skip
    model = train_ranker(examples[:120], {"d": catalogue}, k=1, dims=8, epochs=1)
    offers = suggest_all("trained", examples[120:], {"d": catalogue}, k=1, rankers={"d": model.ranker(catalogue)})
    assert recall_at_k(offers, examples[120:], {"d": catalogue})["step"] == 1.0


def test_odd_worlds(world):
    catalogue, examples = world
    with pytest.raises(ValueError, match="got none"):
        train_ranker([], {"d": catalogue})
    model = train_ranker(examples[:1], {"d": catalogue}, dims=4, epochs=1)
    assert model.ranker(Catalogue(name="empty")).scores("x") == []
    assert len(model.ranker(catalogue).scores("")) == len(WORDS)
