"""The trained retriever learns what words do not say, never from the example that it ranks, and is kept by content."""

from __future__ import annotations

import json
import multiprocessing

import numpy as np
import pytest

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.schema import Component, Flow
from flowstudy.systems import encoder as encoders
from flowstudy.systems import ranker_facts, recall_at_k, retrieve, run_rankers, suggest_all
from flowstudy.systems.encoder import PACKAGED, Tuning, find_encoder
from flowstudy.systems.retrieval import LexicalRanker
from flowstudy.systems.trained import WEIGHTS, fold_of
from flowstudy.systems.weights import WeightsError

WORDS = {"alpha": "invoice", "beta": "laptop", "gamma": "holiday", "delta": "visitor", "omega": "printer"}
FEW = Tuning(epochs=12, most_steps=12, rate=1e-3, layers=1)
ASKED = {"seed": 3, "tuning": FEW}


def example(number, name, word, **more):
    """Step names share no word with the requirements: nothing for BM25 to find."""
    return Example(
        id=f"e{number}-{name}", requirement=f"handle the {word} of person {number}", domain="d", split="train",
        references=[Flow(components=[Component(definition=f"do_{name}", order=1)])],
    ).model_copy(update=more)  # fmt: skip


EXAMPLES = [example(n, name, word) for n in range(4) for name, word in WORDS.items()]
CATALOGUES = {"d": Catalogue(name="d", actions={f"do_{name}": StepDef() for name in WORDS})}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder in which the encoder has been fine-tuned once, for all examples."""
    folder = tmp_path_factory.mktemp("run")
    run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)["d"].model.encoder(0)
    return folder


def test_it_learns_what_words_do_not_say(folder):
    new = [example(9, name, f"{word}s", id=f"new-{name}", split="dev") for name, word in WORDS.items()]
    rankers = run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)
    offers = suggest_all("trained", new, CATALOGUES, k=1, rankers=rankers)
    assert recall_at_k(offers, new, CATALOGUES)["step"] == 1.0
    cosine = [rankers["d"].parts(one.requirement)[:, 0].argmax() for one in new]
    assert cosine == list(range(len(WORDS))), "the encoder alone knows it too"


def test_a_second_run_reads_what_the_first_has_fitted(folder, monkeypatch):
    first = run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)
    file = first["d"].model.path(0)
    written = file.stat().st_mtime_ns
    monkeypatch.setattr("flowstudy.systems.trained.fine_tune", lambda *a: pytest.fail("fitted again"))
    again = run_rankers(["trained"], folder, [*EXAMPLES, example(5, "beta", "x", split="dev")], CATALOGUES, **ASKED)
    assert again["d"].fingerprint() == first["d"].fingerprint(), "other splits are not looked at"
    assert again["d"].scores("a lost laptop") == first["d"].scores("a lost laptop")
    assert file.stat().st_mtime_ns == written


def test_the_same_inputs_and_seed_give_the_same_ranking(folder, tmp_path):
    kept = run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)["d"]
    fitted = run_rankers(["trained"], tmp_path, EXAMPLES, CATALOGUES, **ASKED)["d"]
    assert np.allclose(kept.scores("a lost laptop"), fitted.scores("a lost laptop"), atol=1e-5)


def test_the_fingerprint_is_of_all_inputs(folder):
    def print_of(examples=EXAMPLES, catalogues=CATALOGUES, **changed):
        return run_rankers(["trained"], folder, examples, catalogues, **(ASKED | changed))["d"].fingerprint()

    other = Catalogue(name="d", actions={f"do_{name}": StepDef(description="x") for name in WORDS})
    changed = [
        print_of(), print_of(EXAMPLES[:-1]), print_of(seed=4), print_of(tuning=FEW._replace(rate=1e-4)),
        print_of(catalogues={"d": other}), print_of([*EXAMPLES[:-1], example(9, "omega", "x")]),
    ]  # fmt: skip
    assert len(set(changed)) == len(changed)


def test_a_training_requirement_is_ranked_without_its_own_label(tmp_path):
    """Its label exchanged, the ranking stays to the last digit; a new requirement notices."""
    changed = EXAMPLES[1].model_copy(update={"references": EXAMPLES[4].references})
    one, other = (
        run_rankers(["trained"], tmp_path / name, examples, CATALOGUES, **ASKED)["d"]
        for name, examples in (("a", EXAMPLES), ("b", [EXAMPLES[0], changed, *EXAMPLES[2:]]))
    )
    assert one.scores(changed.requirement) == other.scores(changed.requirement)
    assert one.model.fold(changed.requirement) == fold_of(changed.requirement) > 0 == one.model.fold("new")
    assert not one.model.path(0).exists(), "no encoder is fitted before it is needed"
    new = changed.requirement + "."
    assert not np.array_equal(one.model.votes.log_rates([("action", "do_beta")])(new),
                              other.model.votes.log_rates([("action", "do_beta")])(new))  # fmt: skip


def test_a_paraphrase_is_in_the_fold_of_what_it_says_and_has_no_vote_on_it(tmp_path):
    """Otherwise a training requirement would be ranked by its own label after all."""
    again = EXAMPLES[1].model_copy(
        update={"id": f"{EXAMPLES[1].id}-g1", "requirement": "said quite otherwise", "source": "generated"}
    )
    model = run_rankers(["trained"], tmp_path, [*EXAMPLES, again], CATALOGUES, **ASKED)["d"].model
    assert model.fold(again.requirement) == model.fold(EXAMPLES[1].requirement) > 0
    for text in (EXAMPLES[1].requirement, again.requirement):
        votes = model.votes.votes.of(text)
        order = sorted([*EXAMPLES, again], key=lambda e: e.id)
        assert not any(vote for vote, e in zip(votes, order, strict=True) if e.origin == again.origin)
        assert votes.sum() > 0


def test_a_killed_fit_and_a_broken_file_leave_nothing_behind(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    ranker = run_rankers(["trained"], tmp_path, EXAMPLES, CATALOGUES, **ASKED)["d"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("flowstudy.systems.trained.fine_tune", killed)
        ranker.scores("x")
    assert not list(tmp_path.glob("*.safetensors"))
    ranker.model.path(0).write_bytes(b"cut short")
    assert len(ranker.scores("x")) == len(WORDS)


def _score(folder, results):
    results.put(run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)["d"].scores("a lost laptop"))


@pytest.mark.slow
def test_two_processes_at_once_share_one_fit(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    both = [spawn.Process(target=_score, args=(tmp_path, results)) for _ in range(2)]
    for process in both:
        process.start()
    first, second = results.get(timeout=600), results.get(timeout=600)
    for process in both:
        process.join()
    assert first == second and len(list(tmp_path.glob("*.safetensors"))) == 1


def test_suggestions_are_made_again_for_another_ranker(folder, tmp_path):
    path, rankers = tmp_path / "trained.jsonl", run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED)
    new = [example(9, "beta", "laptops", split="dev")]
    suggest_all("trained", new, CATALOGUES, k=1, path=path, rankers=rankers)
    assert json.loads(path.read_text().splitlines()[0])["rankers"] == [rankers["d"].fingerprint()]
    assert run_rankers(["none", "lexical", "oracle"], folder, EXAMPLES, CATALOGUES, **ASKED) == {}


def test_an_untuned_encoder_is_not_stored(tmp_path):
    ranker = run_rankers(["trained"], tmp_path, EXAMPLES, CATALOGUES, seed=3, tuning=FEW._replace(epochs=0))["d"]
    assert len(ranker.scores("x")) == len(WORDS) and not list(tmp_path.glob("*.safetensors"))


def test_the_encoder_is_named_hashed_and_licensed(folder, tmp_path, monkeypatch):
    (facts,) = ranker_facts(run_rankers(["trained"], folder, EXAMPLES, CATALOGUES, **ASKED))
    assert (
        facts["encoder"] == "minilm" and facts["licence"] == "apache-2.0" and facts["sha256"] == PACKAGED["minilm"][2]
    )
    own = find_encoder(str(find_encoder("minilm").folder))
    assert own.sha256 == facts["sha256"] and own.licence == "apache-2.0"
    for name in ("miniln", str(tmp_path)):
        with pytest.raises(WeightsError, match=r"expected (minilm, a folder|config\.json)"):
            find_encoder(name)
    package, file, _, licence = PACKAGED["minilm"]
    for entry in ((package, file, "0" * 64, licence), ("no-such-encoder==1.0", file, "0" * 64, licence)):
        monkeypatch.setitem(encoders.PACKAGED, "minilm", entry)
        with pytest.raises(WeightsError, match="install it with"):
            find_encoder("minilm")


def test_odd_worlds(folder, tmp_path):
    untaught = run_rankers(["trained"], tmp_path, [], CATALOGUES, seed=3)["d"]
    by_words = LexicalRanker(CATALOGUES["d"])
    assert all(untaught.scores(e.requirement) == by_words.scores(e.requirement) for e in EXAMPLES)
    assert untaught.model.facts()["training_examples"] == "0" and not list(tmp_path.iterdir())
    shelves = CATALOGUES | {"empty": Catalogue(name="empty"), "one": Catalogue(name="one", actions={"weld": StepDef()})}
    rankers = run_rankers(["trained"], folder, EXAMPLES, CATALOGUES | shelves, **ASKED)
    assert rankers["empty"].scores("x") == []
    for text in ("", "é 漢字 🙂 \ud800", "word " * 5_000):
        assert len(rankers["one"].scores(text)) == 1 and np.isfinite(rankers["d"].scores(text)).all()
    single = run_rankers(["trained"], tmp_path, EXAMPLES[:1], CATALOGUES, **ASKED)["d"]
    own, new = (retrieve("trained", text, CATALOGUES["d"], 1, ranker=single) for text in (EXAMPLES[0].requirement, "x"))
    assert len(own) == len(new) == 1 and len(WEIGHTS) == 3
