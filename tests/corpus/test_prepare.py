"""Preparing protects: a smaller run is a subset of a larger one, nothing leaks, a tiny corpus of one's own runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowstudy.corpus import CorpusError, check_corpus, shipped_corpus
from flowstudy.corpus.prepare import prepare, read_catalogues, take, write_catalogues

LIMITS = {"train": 30, "validation": 5, "dev": 10, "dev_ood": 10}


def test_the_shipped_corpus_is_cut_and_balanced() -> None:
    prepared = prepare("shipped", LIMITS, seed=7)
    assert [len(prepared.split(name)) for name in ("train", "validation", "dev", "dev_ood")] == [30, 5, 10, 10]
    assert len({e.domain for e in prepared.split("dev_ood")}) == 10, "one of each unseen domain"
    assert not {e.domain for e in prepared.split("train")} & {e.domain for e in prepared.split("dev_ood")}
    assert all("size" in e.features for e in prepared.examples)
    assert check_corpus(prepared.examples, prepared.catalogues).ok


def test_the_sealed_splits_are_loaded_on_demand_only() -> None:
    sealed = [e.model_copy(update={"id": f"s{n}", "split": split}) for n, (e, split) in
              enumerate(zip(shipped_corpus(), ("test", "test", "ood"), strict=False))]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowstudy.corpus.prepare.shipped_corpus", lambda: [*shipped_corpus(), *sealed])
        closed, opened = prepare("shipped", LIMITS, 7), prepare("shipped", LIMITS, 7, sealed=True)
    assert not closed.split("test", "ood") and len(opened.split("test", "ood")) >= 3
    (note,) = [note for note in closed.notes if "sealed" in note]
    assert re.fullmatch(r"test and ood are sealed: \d+ examples not loaded; the reference run answers them", note)
    assert not any("sealed" in note for note in opened.notes)


def test_the_same_seed_gives_the_same_corpus_and_a_smaller_one_is_a_subset() -> None:
    small, large = prepare("shipped", LIMITS, 7), prepare("shipped", {**LIMITS, "dev": 40}, 7)
    assert small.examples == prepare("shipped", LIMITS, 7).examples
    assert {e.id for e in small.split("dev")} < {e.id for e in large.split("dev")}
    assert {e.id for e in prepare("shipped", LIMITS, 8).split("dev")} != {e.id for e in small.split("dev")}


@pytest.mark.parametrize("count", [1, 3, 25])
def test_a_corpus_of_your_own_without_splits_domains_or_catalogue(tmp_path: Path, count: int) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"id": f"o{n}", "requirement": e.requirement, "flow": e.flow.to_dict()}
             for n, e in enumerate(shipped_corpus()[:count])]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    prepared = prepare(str(path), {"train": 40}, 7)
    assert prepared.split("test") and any("without a split" in note for note in prepared.notes)
    assert set(prepared.catalogues) == {"unknown"}


def test_a_generated_example_is_never_in_a_judged_split(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"id": f"o{n}", "requirement": e.requirement, "flow": e.flow.to_dict(), "domain": e.domain,
              "source": e.source} for n, e in enumerate(shipped_corpus()[:30])]  # fmt: skip
    made = [{**line, "id": f"{line['id']}-g1", "requirement": f"again {n}", "source": "generated"}
            for n, line in enumerate(lines[:10])]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, [*lines, *made])), encoding="utf-8")
    prepared = prepare(str(path), {}, 7)
    split = {example.id: example.split for example in prepared.examples}
    assert {split[f"o{n}"] for n in range(10)} | {split[f"o{n}-g1"] for n in range(10)} == {"train"}
    assert prepared.split("test") and {e.source for e in prepared.split("test", "validation")} == {"written"}
    assert len(prepared.catalogues["it_service"].actions) > 50, "generated examples keep the shipped catalogue"
    path.write_text(json.dumps({**made[0], "split": "dev"}), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"mine\.jsonl:1: expected `split` train for source 'generated'.*got 'dev'"):
        prepare(str(path), LIMITS, 7)


def test_take_of_nothing_and_of_all() -> None:
    examples = shipped_corpus()
    assert take([], 5, 0) == [] and take(examples, 0, 0) == []
    assert {e.id for e in take(examples, None, 0)} == {e.id for e in examples}


def test_catalogues_survive_the_file(tmp_path: Path) -> None:
    catalogues = prepare("shipped", LIMITS, 7).catalogues
    write_catalogues(tmp_path / "c.json", catalogues)
    assert read_catalogues(tmp_path / "c.json") == catalogues
