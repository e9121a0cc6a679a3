"""Preparing protects: a smaller run is a subset of a larger one, nothing leaks, a tiny corpus of one's own runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from flowstudy.corpus import CorpusError, check_corpus, shipped_corpus, write_corpus
from flowstudy.corpus.prepare import Prepared, prepare, read_catalogues, take, write_catalogues

LIMITS = {"train": 30, "validation": 5, "test": 10, "ood": 10}


def test_the_shipped_corpus_is_cut_and_balanced() -> None:
    prepared = prepare("shipped", LIMITS, seed=7)
    assert [len(prepared.split(name)) for name in ("train", "validation", "test", "ood")] == [30, 5, 10, 10]
    assert len({e.domain for e in prepared.split("ood")}) == 10, "one of each unseen domain"
    assert {e.source for e in prepared.split("train")} == {"written"}, "the corpus' own come first"
    assert not {e.domain for e in prepared.split("train")} & {e.domain for e in prepared.split("ood")}
    assert all("size" in e.features for e in prepared.examples)
    assert check_corpus(prepared.examples, prepared.catalogues).ok


def test_training_examples_of_the_corpus_are_filled_up_with_synthetic_ones() -> None:
    own = sum(e.split == "train" for e in shipped_corpus())
    train = prepare("shipped", {**LIMITS, "train": own + 25}, seed=7).split("train")
    assert Counter(e.source for e in train) == {"written": own, "synthetic": 25}


def test_synthetic_examples_are_annotated_only_where_the_corpus_is(tmp_path: Path) -> None:
    """Half of the answers with annotations and half without cost a small model a tenth of its readable answers."""

    def annotated(prepared: Prepared) -> set[bool]:
        made = (e for e in prepared.split("train") if e.source == "synthetic" and e.flow.components)
        return {any(component.annotation for component in e.flow.components) for e in made}

    found = [e for e in shipped_corpus() if e.split == "train" and e.flow.components]
    own = [e.model_copy(deep=True) for e in found[:30]]
    path, limits = tmp_path / "mine.jsonl", {"train": 60, "validation": 0, "test": 0, "ood": 0}
    write_corpus(path, own)
    assert annotated(prepare(str(path), limits, 7)) == {False}
    own[0].flow.components[0].annotation = "Said beside a step."
    write_corpus(path, own)
    assert True in annotated(prepare(str(path), limits, 7))


def test_the_same_seed_gives_the_same_corpus_and_a_smaller_one_is_a_subset() -> None:
    small, large = prepare("shipped", LIMITS, 7), prepare("shipped", {**LIMITS, "test": 40}, 7)
    assert small.examples == prepare("shipped", LIMITS, 7).examples
    assert {e.id for e in small.split("test")} < {e.id for e in large.split("test")}
    assert {e.id for e in prepare("shipped", LIMITS, 8).split("test")} != {e.id for e in small.split("test")}


@pytest.mark.parametrize("count", [1, 3, 25])
def test_a_corpus_of_your_own_without_splits_domains_or_catalogue(tmp_path: Path, count: int) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"id": f"o{n}", "requirement": e.requirement, "flow": e.flow.to_dict()}
             for n, e in enumerate(shipped_corpus()[:count])]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    prepared = prepare(str(path), {"train": 40, "test": None, "ood": None, "validation": None}, 7)
    assert prepared.split("test") and any("without a split" in note for note in prepared.notes)
    assert set(prepared.catalogues) == {"unknown"}


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "a"}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"mine\.jsonl:1"):
        prepare(str(path), LIMITS, 7)


def test_take_of_nothing_and_of_all() -> None:
    examples = shipped_corpus()
    assert take([], 5, 0) == [] and take(examples, 0, 0) == []
    assert {e.id for e in take(examples, None, 0)} == {e.id for e in examples}


def test_catalogues_survive_the_file(tmp_path: Path) -> None:
    catalogues = prepare("shipped", LIMITS, 7).catalogues
    write_catalogues(tmp_path / "c.json", catalogues)
    assert read_catalogues(tmp_path / "c.json") == catalogues
