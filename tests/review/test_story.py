"""The pictures of notebooks 01, 02 and 06 protect: no empty chart, and every figure lies beside its table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flowstudy.corpus.prepare import prepare
from flowstudy.review import corpus_figures
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.figures import read_curve, training
from flowstudy.review.report import Missing, Picture, drawn, not_run, read_table

LIMITS = {"train": 20, "validation": 4, "dev": 8, "dev_ood": 8}


def test_tables_and_figures_of_a_corpus() -> None:
    examples = prepare("shipped", LIMITS, 7).examples
    counts = corpus_figures.counts_table(examples)
    assert counts[["train", "validation", "dev", "dev_ood"]].to_numpy().sum() == len(examples) == 40
    slices = corpus_figures.slices_table(examples)
    assert slices[slices["few"]].equals(slices[slices[["dev", "dev_ood"]].sum(axis=1) < 10])
    assert len(corpus_figures.sizes(examples).data) == 4 and corpus_figures.constructs(slices).data


def test_an_empty_corpus_draws_nothing() -> None:
    assert corpus_figures.counts_table([]).empty
    with pytest.raises(NothingToDraw):
        corpus_figures.sizes([])


def test_a_curve_is_drawn_and_an_absent_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    with pytest.raises(NothingToDraw, match="nothing was trained"):
        training(read_curve(path))
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 1, "flowsim": 0.1}\n', encoding="utf-8")
    assert [len(trace.x) for trace in training(read_curve(path)).data] == [1, 1]


def test_drawn_saves_or_says_why_not(tmp_path: Path) -> None:
    table = read_table(tmp_path / "none.csv")

    def nothing() -> None:
        raise NothingToDraw("no figure: no data")

    assert table.empty and drawn(nothing, table, tmp_path, "x", "c") == Missing("no figure: no data")
    curve = pd.DataFrame({"step": [1], "loss": [1.0], "flowsim": [0.5]})
    part = drawn(lambda: training(curve), curve, tmp_path, "training", "A curve.")
    assert isinstance(part, Picture) and {"training.csv", "training.html"} <= {p.name for p in tmp_path.iterdir()}


def test_systems_that_did_not_run_keep_reason_and_remedy() -> None:
    roster = pd.DataFrame([("a", True, "", ""), ("b", False, "no key", "export K=...")],
                          columns=["system", "ready", "reason", "fix"])  # fmt: skip
    assert not_run(roster) == {"b": "no key (export K=...)"}
