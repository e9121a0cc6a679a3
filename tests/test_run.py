"""The runner protects: only what changed runs again, a crash is a failure, and the same command resumes.

The study here is six tiny notebooks in a project of its own; the real ones run in test_notebooks.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from flowstudy.__main__ import main
from flowstudy.analysis.measures import PRIMARY
from flowstudy.files import write_text
from flowstudy.lifeline import only_one
from flowstudy.notebook import check_parameters, keep_notebook, parameter_defaults
from flowstudy.run import clean_run
from flowstudy.run_folder import Run, find_run, open_run
from flowstudy.status import leaderboards
from flowstudy.study import NOTEBOOKS, StudyError, load_study
from flowstudy.systems import SystemSpec
from flowstudy.systems.roster import write_roster
from tests.tiny_study import (
    KERNEL,
    ROOT,
    command,
    environment,
    make_project,
    study,
    tiny_notebook,
    wait_until_gone,
    wait_until_working,
    worked,
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a space, an accent and an apostrophe in its path."""
    return make_project(tmp_path / "my study's été")


@pytest.mark.slow
def test_kill_refuse_fail_and_resume(project: Path) -> None:
    """One story, since every step starts kernels: SIGKILL, a second runner, a failure, the rest."""
    behave = project / "behave-02_fine_tune"
    behave.write_text("hang")
    _stop_while(project, "02_fine_tune", signal.SIGKILL)
    behave.write_text("exit")
    failed = study(project)
    assert failed.returncode != 0 and "before the last cell" in failed.stdout and "same command again" in failed.stdout
    assert (project / "runs/quick/notebooks/02_fine_tune.ipynb").is_file(), "the executed notebook is kept"
    assert worked(project) == ["01_explore_data", "02_fine_tune", "02_fine_tune"], "finished ones are not repeated"

    behave.unlink()
    done = study(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert worked(project)[3:] == list(NOTEBOOKS)[1:]
    manifest = json.loads((project / "runs/quick/manifest.json").read_text())
    assert {state["state"] for state in manifest["notebooks"].values()} == {"done"}
    assert manifest["parameters"]["asked"]["profile"] == "quick" and manifest["packages"]["papermill"]
    assert study(project).returncode == 0 and len(worked(project)) == 8, "nothing changed, nothing runs"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_runner_that_is_asked_to_stop_leaves_no_process(project: Path, how: signal.Signals) -> None:
    (project / "behave-01_explore_data").write_text("hang")
    status, said = _stop_while(project, "01_explore_data", how)
    assert status == 130 and "resume" in said


def _stop_while(project: Path, notebook: str, how: signal.Signals) -> tuple[int, str]:
    """Start the study and signal its runner while `notebook` works; a second run is refused, no process survives."""
    words = command("study", "--profile", "quick", "--cores", "1")
    runner = subprocess.Popen(
        words, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(project)
    )
    wait_until_working(project, notebook, runner)
    second = study(project)
    assert second.returncode == 2 and "RUN=" in second.stderr
    os.kill(runner.pid, how)
    said = runner.communicate(timeout=40)[1]
    assert not wait_until_gone(project)
    return runner.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("die", "kernel died"),
        ("raise", "ValueError: example t-7: expected text"),
        ("full", "the disk is full; what was finished is kept"),
    ],
)
def test_a_failure_is_a_failure_and_says_why(project: Path, behave: str, words: str) -> None:
    (project / "behave-01_explore_data").write_text(behave)
    done = study(project)
    assert done.returncode != 0 and words in done.stdout and worked(project) == ["01_explore_data"]
    assert not wait_until_gone(project)


def test_a_runner_that_cannot_start_says_where_the_reason_is(project: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("executor: nowhere\n")
    done = study(project, "--executor", str(tmp_path))
    log = project / "runs/quick/snakemake.log"
    assert done.returncode != 0 and f"why: {log}" in done.stdout and "nowhere" in log.read_text()
    unread = study(project, FLOWSTUDY_MEMORY_GIB="much")
    assert unread.returncode == 2 and "FLOWSTUDY_MEMORY_GIB: expected a number of GiB" in unread.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sede": 1}, "closest: 'seed'"),
        ({"api_key": "x"}, "environment variable"),
        ({"OPENAI_API_KEY": "x"}, "environment variable"),
        ({"run_dir": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}, "environment variable"),
        ({"seed": {1, 2}}, "JSON value"),
        ({"seed": float("nan")}, "JSON value"),
    ],
)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    path = tmp_path / "n.ipynb"
    tiny_notebook(path, {"seed": 7, "run_dir": "runs/x"})
    assert parameter_defaults(path) == {"seed": 7, "run_dir": "runs/x"}
    with pytest.raises(StudyError, match=words):
        check_parameters(path, given)


def test_a_notebook_without_parameters_cell_is_refused(tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("a = 1")], metadata=KERNEL), tmp_path / "n.ipynb")
    with pytest.raises(StudyError, match="one cell tagged"):
        check_parameters(tmp_path / "n.ipynb", {})


def test_every_notebook_has_the_parameters_that_the_study_gives() -> None:
    for name, parameters in load_study(ROOT / "study.yaml").parameters("runs/x").items():
        check_parameters(ROOT / "notebooks" / f"{name}.ipynb", parameters)
    assert [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))] == list(NOTEBOOKS)


def test_only_a_run_or_sweep_that_rests_is_deleted(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", tmp_path)
    run.path.mkdir()
    with pytest.raises(StudyError, match="nothing deleted"):
        clean_run(run)
    write_text(run.path / "members.json", "{}")
    with only_one(run.path), pytest.raises(StudyError, match="no other run in this folder"):
        clean_run(run)
    clean_run(run)
    assert not run.path.exists()


def test_the_status_is_that_of_the_run_last_at_work_or_of_the_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    write_text(tmp_path / "study.yaml", "")
    for number, name in enumerate(("new", "old")):
        write_text(tmp_path / "runs" / name / "members.json", "{}")
        write_text(tmp_path / "runs" / name / "log.txt", "")
        os.utime(tmp_path / "runs" / name / "log.txt", (9 - number, 9 - number))
    monkeypatch.chdir(tmp_path)
    assert find_run(None).path.name == "new" and find_run("runs/old").path.name == "old"
    with pytest.raises(ValueError, match=r"runs/odl: expected the folder of a run, got none; in runs: new, old"):
        find_run("runs/odl")
    assert not (tmp_path / "runs" / "odl").exists()


def test_a_ceiling_is_shown_without_a_rank(tmp_path: Path) -> None:
    """Told what is needed, `best` is no contender, however high it scores."""
    specs = [
        SystemSpec(name=n, model="nearest", retriever=r) for n, r in (("best", "oracle"), ("a", "none"), ("b", "none"))
    ]
    rows = [(name, "dev", PRIMARY, mean, 40) for name, mean in (("best", 0.9), ("a", 0.4), ("b", 0.5))]
    pd.DataFrame(rows, columns=["system", "split", "measure", "mean", "n"]).to_csv(tmp_path / "summary.csv")
    write_roster(tmp_path / "predictions", specs, pd.DataFrame({"system": ["best", "a", "b"], "ready": True}))
    (tmp_path / "members.json").write_text('{".": {}}')
    (board,) = leaderboards(Run(tmp_path, ROOT))
    assert [(row[0], row[2]) for row in board.rows] == [("1", "b"), ("2", "a"), ("ceiling", "best")]


def test_writing_the_same_text_keeps_the_time_and_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "x")
    os.utime(path, (1, 1))
    write_text(path, "x")
    assert path.stat().st_mtime == 1
    write_text(path, "y")
    assert path.stat().st_mtime > 1 and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_notebook_that_was_cut_short_does_not_replace_a_whole_one(tmp_path: Path) -> None:
    draft, target = tmp_path / "draft.ipynb", tmp_path / "n.ipynb"
    tiny_notebook(draft, {"seed": 7})
    keep_notebook(draft, target)
    whole = target.read_text()
    draft.write_text(whole[:100])
    keep_notebook(draft, target)
    assert target.read_text() == whole


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["corpus-check", "none.jsonl"], "none.jsonl: expected a file or folder, got nothing there"),
        (["corpus-check", "."], ".: expected a file, got a folder"),
        (["study", "--profile", "quick", "--corpus", ".", "--run", "/proc/x"], "/proc/x"),
        (["clean-run", "--run", "nothing-here"], "nothing deleted"),
        (["clean-run", "--run", ""], "RUN= gives it"),
        (["status", "--run", "nothing-here"], "RUN= names one"),
        (["study", "--profile", "quik"], "closest: 'quick'"),
    ],
)
def test_a_wrong_command_line_says_what_to_change(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not (ROOT / "runs" / "nothing-here").exists()


def test_a_missing_file_names_the_notebook_that_writes_it() -> None:
    run = open_run("runs/nothing-here")
    with pytest.raises(FileNotFoundError, match="notebook 04_score"):
        run.require(run.scores, "04_score")
    assert not run.path.exists(), "a mistyped run leaves no folder behind"
