"""A sweep protects: every wanted cell once, nothing computed twice, one failure stops nobody, the page says all."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flowstudy import sweep
from flowstudy.files import write_json
from flowstudy.matrix import Matrix
from flowstudy.plan import describe
from flowstudy.run import PROFILES, _locally, run_members
from flowstudy.run_folder import Run
from flowstudy.status import LACKING, look, print_summary, text
from flowstudy.study import NOTEBOOKS, Study, StudyError, load_study
from flowstudy.sweep import expand, members
from tests.tiny_study import ROOT, flowstudy, make_project, wait_until_gone, worked


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def swept(**matrix: object) -> Study:
    return load_study(ROOT / "study.yaml", "quick").model_copy(update={"matrix": Matrix.model_validate(matrix)})


def test_cells_are_the_product_without_the_excluded_and_with_the_included() -> None:
    study = swept(
        systems=["nearest", "slm-tuned"], seeds=[7, 8], exclude=[{"systems": "nearest", "seeds": [8]}],
        include=[{"systems": "slm-untuned-shots", "shots": [0, 2]}],
    )  # fmt: skip
    cells = {cell.name: cell.study for cell in expand(study)}
    assert list(cells) == [
        "nearest-seed7",
        "slm-tuned-seed7",
        "slm-tuned-seed8",
        "slm-untuned-shots-shots0",
        "slm-untuned-shots-shots2",
    ]
    assert cells["slm-tuned-seed8"].seed == cells["slm-tuned-seed8"].systems["slm-tuned"].seed == 8
    assert (
        cells["slm-untuned-shots-shots2"].systems["slm-untuned-shots"].shots == 2
        and cells["slm-untuned-shots-shots2"].seed == 7
    )


def test_values_that_mean_nothing_to_a_system_make_no_second_cell() -> None:
    cells = expand(swept(systems=["nearest", "slm-untuned-shots"], retrievers=["lexical", "oracle"], shots=[0, 1]))
    assert [cell.name for cell in cells].count("nearest") == 1 and len(cells) == 5
    assert [cell.name for cell in expand(swept(systems="nearest", models=["slm/base", "openai/x"]))] == ["nearest"]


def test_every_axis_changes_what_it_names(tmp_path: Path) -> None:
    corpus = tmp_path / "mine.jsonl"
    corpus.write_text("")
    (cell,) = expand(swept(
        models="openai/gpt-4o-mini", strategies="decomposed", retrievers="oracle", shots=1, seeds=3,
        training_sizes=50, corpora=str(corpus),
    ))  # fmt: skip
    (spec,) = cell.study.systems.values()
    assert (spec.model, spec.strategy, spec.retriever, spec.shots) == ("openai/gpt-4o-mini", "decomposed", "oracle", 1)
    assert (cell.study.seed, cell.study.examples.train, cell.study.corpus) == (3, 50, str(corpus))


def test_cells_stand_on_shared_runs_and_hybrids_borrow_answers() -> None:
    runs = members(expand(swept(systems=["constant", "slm-tuned", "hybrid"], seeds=[7, 8])))
    assert sum(place.startswith("shared/data-") for place in runs) == 2, "one corpus per seed"
    assert sum(place.startswith("shared/model-") for place in runs) == 4, "with and without fine-tuning"
    assert runs["cells/hybrid-seed7/"].borrows == {"slm-tuned": "cells/slm-tuned-seed7/"}
    assert runs["cells/hybrid-seed7/"].base == runs["cells/slm-tuned-seed7/"].base
    planned = [notebook for run in runs.values() for notebook in run.notebooks]
    assert planned.count("01_explore_data") == 2 and planned.count("03_prompt") == 6


def test_what_training_does_not_change_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by cells on other models or training sizes: a hosted model's answer to the same prompt is not paid twice."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    sweep._not_ready.cache_clear()
    systems = ["slm-untuned-shots", "slm-tuned", "gpt-4o"]
    runs = members(expand(swept(systems=systems, retrievers="lexical", shots=[0, 2], training_sizes=[50, 100])))
    borrowed = {name: set(run.borrows.values()) for name, run in runs.items() if run.borrows}
    assert borrowed == {
        f"cells/{system}-lexical-shots0-train100/": {f"cells/{system}-lexical-shots0-train50/"}
        for system in ("slm-untuned-shots", "gpt-4o")
    }
    mixed = members(expand(swept(systems=["gpt-4o", "split-llm-slm"])))
    assert mixed["cells/split-llm-slm/"].borrows == {"gpt-4o": "cells/gpt-4o/"}, "another model beside it"
    sweep._not_ready.cache_clear()


def test_retrieval_is_kept_with_the_corpus_that_cells_share(tmp_path: Path) -> None:
    home = Run(tmp_path, ROOT)
    write_json(tmp_path / "members.json", {})
    write_json(tmp_path / "shared/model-b/adopted.json", {"base": "data-a"})
    write_json(tmp_path / "cells/one/adopted.json", {"base": "model-b"})
    kept = tmp_path / "shared" / "data-a" / "retrieval"
    assert {home.member(f"{place}/").retrieval for place in ("cells/one", "shared/model-b", "shared/data-a")} == {kept}
    assert home.retrieval == tmp_path / "retrieval"


def test_a_cell_without_its_key_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    study = swept(systems=["nearest", "gpt-4o"])
    skipped = {cell.name: cell.skipped for cell in expand(study)}
    assert not skipped["nearest"] and "export OPENAI_API_KEY" in skipped["gpt-4o"]
    assert "cells/gpt-4o/" not in members(expand(study)) and "gpt-4o skipped" in " ".join(describe(study).split())


def test_what_waits_says_for_which_failure(tmp_path: Path) -> None:
    """Of the run it stands on, of the cell that answers for it, or its own; what fails later there stops nobody."""
    cell = {"base": None, "borrows": {}, "notebooks": ["03_prompt", "04_score"], "values": {}}
    write_json(tmp_path / "members.json", {
        "cells/a/": {**cell, "base": "shared/model-x/"}, "cells/b/": {**cell, "borrows": {"s": "cells/d/"}},
        "cells/c/": {**cell, "borrows": {"s": "cells/e/"}}, "cells/d/": cell, "cells/e/": cell,
        "shared/model-x/": {**cell, "notebooks": ["02_fine_tune"]},
    })  # fmt: skip
    for place, name in (("shared/model-x", "02_fine_tune"), ("cells/d", "03_prompt"), ("cells/e", "04_score")):
        write_json(tmp_path / place / "status" / f"{name}.json", {"state": "failed", "error": "x", "started_at": ""})
    lines = look(Run(tmp_path, ROOT), at_work=False).lines
    reasons = {f"{line.place}{line.notebook}": line.reason for line in lines if line.state == "not run"}
    ended = "the run ended before its turn"
    assert reasons == {
        "cells/a/03_prompt": (above := "waits for 02_fine_tune of shared/model-x, which failed"),
        "cells/a/04_score": above,
        "cells/b/03_prompt": (owner := "waits for 03_prompt of cells/d, which failed"),
        "cells/b/04_score": owner,
        "cells/c/03_prompt": ended, "cells/c/04_score": ended, "cells/e/03_prompt": ended,
        "cells/d/04_score": "waits for 03_prompt, which failed",
    }  # fmt: skip


def test_jobs_ask_a_cluster_for_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and asking a model for cards, asking hosted ones for a share of what the profile allows at a time."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    sweep._not_ready.cache_clear()
    matrix = Matrix.model_validate({"systems": ["slm-tuned", "gpt-4o"]})
    runs = members(expand(load_study(ROOT / "study.yaml", "gpu").model_copy(update={"matrix": matrix})))
    sweep._not_ready.cache_clear()
    assert runs["cells/slm-tuned/"].resources() == {"02_fine_tune": {"gpu": 1}, "03_prompt": {"gpu": 1, "api": 0}}
    assert runs["cells/gpt-4o/"].resources() == {"02_fine_tune": {"gpu": 0}, "03_prompt": {"gpu": 0, "api": 1}}
    assert _locally(8, runs)[-1] == "gpu=1", "on one machine those that need the card take turns"
    limits = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())["resources"]
    assert limits["api"] > 0


def test_a_sweep_in_which_nothing_can_run_says_so_for_every_cell(tmp_path: Path) -> None:
    skipped = {"gpt-4o": "no key; export OPENAI_API_KEY=...", "other": "no server"}
    with pytest.raises(StudyError, match=r"none: gpt-4o: no key.*other: no server"):
        run_members(Run(tmp_path / "run", ROOT), {}, {}, 1, skipped=skipped)
    assert not (tmp_path / "run").exists()


def test_a_plan_counts_and_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    sweep._not_ready.cache_clear()
    said = describe(swept(systems=["nearest", "gpt-4o"], seeds=[7, 8]))
    sweep._not_ready.cache_clear()
    assert "4 cells (2 systems x 2 seeds" in said and "never spends more than 5.00 USD" in said
    prices = [line.split("about ")[1] for line in said.splitlines() if line.startswith("  gpt-4o")]
    assert len(prices) == 2 and prices[0] == prices[1] and not prices[0].startswith("0.00")


def test_a_plan_names_what_cannot_run_and_prices_the_rest() -> None:
    """Cells of all systems: those without a key take no part in calls and cost; a rule without effect is shown."""
    said = describe(swept(seeds=[7], exclude=[{"shots": 3}]))
    assert "exclude {'shots': [3]} leaves nothing out" in said
    (cell,) = [line for line in said.splitlines() if line.startswith("  seed7")]
    assert (
        "calls, about 0.00 USD, at most 0.00; without " in cell and "gpt-4o, gpt-4o-decomposed, split-slm-llm" in cell
    )


def test_a_hybrid_asked_for_by_its_model_comes_with_its_parts() -> None:
    (cell,) = expand(swept(models="hybrid/cascade/slm-tuned+nearest"))
    assert {spec.model for spec in cell.study.systems.values()} == {
        "slm/tuned", "nearest", "hybrid/cascade/slm-tuned+nearest",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ({}, "at least one cell"),
        ({"systems": ["nearst"]}, "closest: 'nearest'"),
        ({"corpora": ["none.jsonl"]}, "none.jsonl"),
        ({"seeds": [7], "exclude": [{"seeds": 7}]}, "at least one cell"),
        ({"models": ["hybrid/cascade/nearst+constant"]}, "closest: 'nearest'"),
        ({"systems": "hybrid", "models": ["hybrid/cascade/slm-tuned+nearest"]}, "without a cycle"),
    ],
)
def test_a_matrix_that_cannot_be_expanded_says_why(matrix: dict, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        expand(swept(**matrix))


@pytest.mark.slow
def test_a_sweep_shares_fails_in_one_cell_and_resumes(tmp_path: Path) -> None:
    """Three cells on one corpus; 03 of one fails: the others finish, the page says why, the same command goes on."""
    project = make_project(tmp_path / "p")
    text = (project / "study.yaml").read_text()
    text = text.replace("[constant, nearest, slm-untuned-shots, slm-tuned]", "[constant, nearest, gpt-4o]")
    (project / "study.yaml").write_text(text.replace("seeds: [7, 8, 9]", "seeds: [7]"))
    (project / "behave-03_prompt").write_text("raise 'constant'")
    words = ("sweep", "--profile", "quick", "--cores", "2")
    failed = flowstudy(project, *words)
    page = (project / "runs/sweep-quick/status.html").read_text()
    assert failed.returncode != 0 and "cells/constant-seed7/03_prompt failed: " in failed.stdout
    assert "1 of 2 cells done" in failed.stdout and "cells/gpt-4o-seed7 skipped" in failed.stdout
    assert "example t-7" in page and "waits for 03_prompt, which failed" in page and "OPENAI_API_KEY" in page
    assert (project / "runs/sweep-quick/cells/constant-seed7/notebooks/03_prompt.ipynb").is_file()
    counts = [line.split()[-1] for line in worked(project, "sweep-quick")]
    assert counts.count("01_explore_data") == counts.count("02_fine_tune") == 1, "shared"

    (project / "behave-03_prompt").unlink()
    done = flowstudy(project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    rest = worked(project, "sweep-quick")[len(counts) :]
    assert rest == [f"cells/constant-seed7 {name}" for name in NOTEBOOKS[2:]], "only what was missing"
    assert not wait_until_gone(project)


def test_a_run_in_which_a_provider_answered_nothing_says_so_and_ends_with_a_status_of_its_own(tmp_path, capsys):
    """Named after two providers that answered nothing, of which the report said that every system had answered."""
    run = Run(tmp_path, ROOT)
    for notebook in NOTEBOOKS:
        write_json(tmp_path / "status" / f"{notebook}.json", {"state": "done", "duration_s": 1.0})
        (tmp_path / "done").mkdir(exist_ok=True)
        (tmp_path / "done" / notebook).touch()
    facts = {"statuses": [], "shortfalls": {"gpt-4o": "no answer to 28 of 28 requests: key refused"}}
    write_json(tmp_path / "finished" / "03_prompt.json", {"facts": facts})
    assert print_summary(run, 0, 1.0) == LACKING != 0
    said = capsys.readouterr().out
    assert "6 of 6 notebooks done" in said and "gpt-4o: no answer to 28 of 28 requests: key refused" in said
    assert "key refused" in text(look(run, at_work=False))
    write_json(tmp_path / "finished" / "03_prompt.json", {"facts": {**facts, "shortfalls": {}}})
    assert print_summary(run, 0, 1.0) == 0
