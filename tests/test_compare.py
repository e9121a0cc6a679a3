"""Two runs side by side: what changed is found, what did not is not, and half a run is said, never guessed."""

import json

import numpy as np
import pandas as pd
import pytest

from flowstudy.__main__ import main
from flowstudy.analysis.measures import PRIMARY, RIGHT
from flowstudy.analysis.scores import COLUMNS, TableError, save_scores
from flowstudy.compare import compare_runs
from flowstudy.corpus import Example, write_corpus
from flowstudy.flows.schema import Component, Flow, Trigger

STEP = Component(category="action", definition="log", order=1)
MEANS = {"tuned": 0.7, "llm": 0.6}
HOST = {"host_usd_per_hour": 3.6, "host_billing": "per_second"}
STUDY = {"seed": 7, "economics": HOST, "systems": {"tuned": {"shots": 0}}}


def make_scores(means, costs=None, seconds=None, n=60):
    """Scores of `n` examples: a difficulty that all systems share, a mean for each and some noise of its own."""
    difficulty = np.random.default_rng(0).uniform(-0.1, 0.1, n)
    rows = []
    for system, mean in means.items():
        own = mean + difficulty + np.random.default_rng(round(100 * mean)).normal(0, 0.02, n)
        for i in range(n):
            measures = {"answered": 1.0, PRIMARY: own[i], "latency_s": 1.0}
            measures |= {"api_usd": (costs or {}).get(system, 0.0), "local_s": (seconds or {}).get(system, 0.0)}
            head = (system, f"e{i}", 0, "ood" if i % 3 else "test", "d", "ok")
            rows += [(*head, name, value, "" if value == value else "unknown") for name, value in measures.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def make_run(folder, scores, study=STUDY, text="do {}", workflows=60, **manifest):
    folder.mkdir()
    save_scores(scores, folder / "scores.parquet")
    parts = {"parameters": {"resolved": study}, "code": {"commit": "abc", "dirty": False}, **manifest}
    (folder / "manifest.json").write_text(json.dumps(parts))
    examples = [
        Example(id=i, requirement=text.format(i), split="test",
                references=[Flow(trigger=Trigger(type=i), components=[STEP])],
                features={"workflow": str(int(i[1:]) % workflows)}) for i in sorted(set(scores["example"]))
    ]  # fmt: skip
    write_corpus(folder / "corpus.jsonl", examples)
    return folder


@pytest.fixture
def base(tmp_path):
    return make_run(tmp_path / "a", make_scores(MEANS, costs={"llm": 0.01}, seconds={"tuned": 2.0}))


def test_a_run_and_its_copy_do_not_differ(base, tmp_path):
    page = compare_runs(base, make_run(tmp_path / "b", make_scores(MEANS)))
    assert "nothing that the runs wrote down" in page and page.count("no score differs") == 2
    assert "tuned: 0 up, 0 down" in page and "60 the same in both" in page


def test_every_kind_of_change_is_found(base, tmp_path):
    study = {**STUDY, "seed": 8, "economics": {**HOST, "host_usd_per_hour": 7.2}, "systems": {}}
    scores = make_scores({"tuned": 0.9, "llm": 0.6}, costs={"llm": 0.02}, seconds={"tuned": 2.0})
    scores.loc[(scores["system"] == "llm") & (scores["example"] == "e1"), "status"] = "truncated"
    other = make_run(tmp_path / "b", scores, study, facts={"06_decide": {"answer": "fine-tune"}})
    page = compare_runs(base, other)
    for line in ("  seed: 7 -> 8", "  economics.host_usd_per_hour: 3.6 -> 7.2", "  answer: none -> fine-tune",
                 "  systems.tuned: {...} -> none"):  # fmt: skip
        assert line in page.splitlines()
    # 2 s at 3.6 $/h, billed by the second: 2 $ per 1,000; host and provider doubled their prices.
    assert "2.00 -> 4.00" in page and "10.00 -> 20.00" in page
    assert page.count("  better") == 1 and "60 up, 0 down" in page and "1 ok -> truncated" in page
    assert page == compare_runs(base, other)


def test_right_answers_are_compared_where_both_runs_have_verdicts(base, tmp_path):
    def right(wins):
        scores = make_scores(MEANS)
        rows = scores[(scores["measure"] == PRIMARY) & (scores["system"] == "tuned")]
        return pd.concat([scores, rows.assign(measure=RIGHT, value=rows["example"].isin(wins).astype(float))])

    one = make_run(tmp_path / "one", right(["e0"]))
    page = compare_runs(one, make_run(tmp_path / "two", right([f"e{i}" for i in range(1, 31)])))
    assert "Quality (right as it is)" in page and "tuned: 30 up, 1 down" in page and "e0: 1.000 -> 0.000" in page
    assert "right as it is" not in compare_runs(base, one)


def test_the_other_way_round_is_worse(base, tmp_path):
    other = make_run(tmp_path / "b", make_scores({"tuned": 0.9, "llm": 0.6}))
    assert "+0." in compare_runs(base, other) and "  worse" in compare_runs(other, base)


def test_examples_of_one_workflow_are_resampled_together(base, tmp_path):
    scores = make_scores(MEANS)
    nudge = scores["example"].str[1:].astype(int) % 6 / 10  # the same in every example of a workflow
    scores["value"] = scores["value"].where(scores["measure"] != PRIMARY, scores["value"] + nudge - 0.2)
    few, many = (make_run(tmp_path / str(count), make_scores(MEANS), workflows=count) for count in (6, 60))
    other = make_run(tmp_path / "b", scores)
    assert "  better" not in compare_runs(few, other) and compare_runs(many, other).count("  better") == 2


def test_systems_and_examples_in_one_run_only(base, tmp_path):
    scores = make_scores({"tuned": 0.7, "new": 0.5})
    scores = scores[~scores["example"].isin([f"e{i}" for i in range(30)])]
    page = compare_runs(base, make_run(tmp_path / "b", scores))
    assert "Only in A: llm" in page and "Only in B: new" in page and "30 the same in both" in page


def test_a_changed_example_is_left_out(base, tmp_path):
    page = compare_runs(base, make_run(tmp_path / "b", make_scores(MEANS), text="do not {}"))
    assert "0 the same in both, 60 with another text left out" in page and "no common example" in page


def test_nothing_in_common(base, tmp_path):
    page = compare_runs(base, make_run(tmp_path / "b", make_scores({"x": 0.5})))
    assert "Nothing to compare: no common system." in page


def test_missing_costs_and_scores_are_unknown_and_never_zero(base, tmp_path):
    scores = make_scores(MEANS, costs={"llm": float("nan")})
    scores.loc[(scores["system"] == "tuned") & (scores["measure"] == PRIMARY), "value"] = float("nan")
    page = compare_runs(base, make_run(tmp_path / "b", scores))
    assert "10.00 -> unknown" in page and "no example has this score" in page and "tuned: no score in common" in page


def test_half_a_run(base, tmp_path):
    other = make_run(tmp_path / "b", make_scores(MEANS))
    (other / "manifest.json").unlink()
    (other / "corpus.jsonl").unlink()
    page = compare_runs(base, other)
    assert "not known, b has no manifest.json" in page and "60 the same in both" in page
    (other / "scores.parquet").unlink()
    with pytest.raises(TableError, match="expected a file"):
        compare_runs(base, other)
    with pytest.raises(FileNotFoundError, match="expected the folder of a run"):
        compare_runs(base, tmp_path / "gone")


def test_the_command_line(base, tmp_path, capsys):
    other = make_run(tmp_path / "b", make_scores(MEANS))
    assert main(["compare", str(base), str(other)]) == 0
    assert capsys.readouterr().out == compare_runs(base, other)
    assert main(["compare", str(base), "no-such-run"]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err
