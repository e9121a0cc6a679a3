"""The runner protects: only what changed runs again, a crash is a failure, and the same command resumes.

The study here is six tiny notebooks in a project of its own; the real ones run in test_notebooks.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from flowstudy.notebook import check_parameters, parameter_defaults
from flowstudy.run import clean_run
from flowstudy.run_folder import Run, open_run, project_root, write_text
from flowstudy.study import NOTEBOOKS, StudyError, load_study

ROOT = project_root(Path(__file__).parent)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
WORK = """
import os, time
from pathlib import Path
from flowstudy.run_folder import open_run
run = open_run(run_dir)
run.log("@: working")
for name in @writes:
    (run.path / name).write_text("x")
behave = Path("behave-@").read_text() if Path("behave-@").exists() else ""
if behave == "hang": time.sleep(60)
if behave == "die": os.kill(os.getpid(), 9)
if behave == "exit": raise SystemExit(0)
if behave == "raise": raise ValueError("example t-7: expected text")
"""
WRITES = {
    "01_explore_data": ["corpus.jsonl"],
    "04_score": ["scores.parquet", "edits.parquet"],
    "06_decide": ["report.html"],
}


def tiny_notebook(path: Path, parameters: dict[str, object], *cells: str) -> None:
    first = new_code_cell("\n".join(f"{name} = {value!r}  # help" for name, value in parameters.items()))
    first.metadata["tags"] = ["parameters"]
    nbformat.write(new_notebook(cells=[first, *map(new_code_cell, cells)], metadata=KERNEL), path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a space and an accent in its path."""
    root = tmp_path / "my étude"
    (root / "notebooks").mkdir(parents=True)
    for name in ("study.yaml", "Snakefile"):
        shutil.copy(ROOT / name, root)
    for name, parameters in load_study(root / "study.yaml", "quick").parameters("runs/x").items():
        work = WORK.replace("@writes", repr(WRITES.get(name, []))).replace("@", name)
        tiny_notebook(root / "notebooks" / f"{name}.ipynb", parameters, work, f"run.finish({name!r}, n=1)")
    return root


def study_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "flowstudy", "study", "--profile", "quick", "--cores", "1", *words]


def study(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(study_command(*words), cwd=project, capture_output=True, text=True, timeout=240)


def worked(project: Path, run: str = "quick") -> list[str]:
    log = project / "runs" / run / "log.txt"
    return [line.split()[1].rstrip(":") for line in log.read_text().splitlines() if line.endswith(": working")]


@pytest.mark.slow
def test_kill_resume_fail_and_change(project: Path) -> None:
    """One story, since every step starts kernels: kill, resume, fail, finish, do nothing, change, lose an output."""
    behave = project / "behave-05_tag_errors"
    behave.write_text("hang")
    _kill_while(project, "05_tag_errors")
    behave.write_text("exit")
    failed = study(project)
    assert failed.returncode != 0 and "before the last cell" in failed.stdout
    assert (project / "runs/quick/notebooks/05_tag_errors.ipynb").is_file()
    assert worked(project) == [*list(NOTEBOOKS)[:5], "05_tag_errors"], "finished ones are not repeated"

    behave.unlink()
    done = study(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert worked(project)[6:] == ["05_tag_errors", "06_decide"]
    manifest = json.loads((project / "runs/quick/manifest.json").read_text())
    assert {state["state"] for state in manifest["notebooks"].values()} == {"done"}
    assert manifest["parameters"]["asked"]["profile"] == "quick" and manifest["packages"]["papermill"]

    assert study(project).returncode == 0 and len(worked(project)) == 8, "nothing changed, nothing runs"
    notebook = project / "notebooks/06_decide.ipynb"
    notebook.write_text(notebook.read_text().replace("n=1", "n=2"))
    assert study(project).returncode == 0 and worked(project)[8:] == ["06_decide"]
    (project / "runs/quick/report.html").unlink()
    assert study(project).returncode == 0 and worked(project)[9:] == ["06_decide"]


def _kill_while(project: Path, notebook: str) -> None:
    """Start the study, SIGKILL its runner while `notebook` works; a second run is refused, no process survives."""
    runner = subprocess.Popen(study_command(), cwd=project, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (project / "runs/quick/log.txt").exists() and notebook in worked(project):
            break
        time.sleep(0.3)
    second = study(project)
    assert second.returncode == 2 and "RUN=" in second.stderr
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    time.sleep(3)
    here = str(project).encode()
    assert not [p for p in Path("/proc").glob("[0-9]*") if here in _command(p) or here in _folder(p)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behave", "words"), [("die", "kernel died"), ("raise", "ValueError: example t-7: expected text")]
)
def test_a_failure_is_a_failure_and_says_why(project: Path, behave: str, words: str) -> None:
    (project / "behave-01_explore_data").write_text(behave)
    done = study(project)
    assert done.returncode != 0 and words in done.stdout and worked(project) == ["01_explore_data"]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _folder(process: Path) -> bytes:
    try:
        return os.fsencode((process / "cwd").readlink())
    except OSError:
        return b""


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


def test_only_a_run_folder_is_deleted(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nothing deleted"):
        clean_run(Run(tmp_path, tmp_path))


def test_writing_the_same_text_keeps_the_time_and_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "x")
    os.utime(path, (1, 1))
    write_text(path, "x")
    assert path.stat().st_mtime == 1
    write_text(path, "y")
    assert path.stat().st_mtime > 1 and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_missing_file_names_the_notebook_that_writes_it() -> None:
    run = open_run("runs/nothing-here")
    with pytest.raises(FileNotFoundError, match="notebook 04_score"):
        run.require(run.scores, "04_score")
    run.path.rmdir()
