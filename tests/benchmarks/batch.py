"""What batch runs cost beside the notebooks' own work, with tiny notebooks (see `tests.tiny_study`).

    python -m tests.benchmarks.batch overhead      # of the runner, per notebook and per run
    python -m tests.benchmarks.batch plan          # `make plan` on a matrix of 1,000 cells
    python -m tests.benchmarks.batch sweep         # 12 cells on two cores against one after another; five minutes
    python -m tests.benchmarks.batch sweep --real  # the same with the real notebooks on a small corpus

Each prints one line of JSON. Measured on two cores (2026-11-25):

    what                                          measured   wanted
    per notebook, over its own time               2.2 s      3 s
    per run, over its notebooks                   3.5 s      8 s
    a run in which everything is up to date       0.9 s
    planning 1,000 cells, half of them priced     4.8 s      20 s
    12 cells on two cores / one after another     80/159 s = 2.0 times, machine otherwise idle; wanted 1.7 times
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import yaml

from tests.tiny_study import ROOT, command, environment, flowstudy, make_project, study

#: Models, strategies, retrievers, shots and seeds of a thousand cells, half of them priced.
THOUSAND = {
    "models": ["slm/base", "openai/gpt-4o"],
    "strategies": ["whole", "decomposed"],
    "retrievers": ["lexical", "oracle"],
    "shots": [0, 1, 2, 3, 4],
    "seeds": list(range(25)),
}
TWELVE = {
    "systems": "slm-untuned-shots",
    "strategies": ["whole", "decomposed"],
    "retrievers": ["none", "lexical"],
    "shots": [0, 1, 2],
}
#: A study of the real notebooks that takes seconds per cell.
SMALL = {
    "examples": {"train": 60, "dev": 6, "dev_ood": 3, "validation": 3},
    "fine_tune": {"epochs": 1.0, "max_minutes": 0.1},
    "statistics": {"resamples": 99},
}


def own_s(run: Path, since: float) -> float:
    """Seconds that the cells of the notebooks executed after `since` (wall clock) took."""
    fresh = [path for path in (run / "notebooks").glob("*.ipynb") if path.stat().st_mtime > since]
    cells = [cell for path in fresh for cell in json.loads(path.read_text())["cells"]]
    return sum(cell["metadata"].get("papermill", {}).get("duration") or 0.0 for cell in cells)


def beside_s(project: Path) -> float:
    """Wall-clock seconds of `study` beyond what the cells took."""
    wall, clock = time.time(), time.perf_counter()
    done = study(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - clock - own_s(project / "runs/quick", wall)


def overhead(folder: Path) -> dict[str, float]:
    """A run of six notebooks and one of the last alone: the difference is five notebooks, the rest is the run."""
    project = make_project(folder / "p")
    six = beside_s(project)
    (project / "runs/quick/report.html").unlink()
    one = beside_s(project)
    nothing = beside_s(project)
    per_notebook = (six - one) / 5
    return {"per_notebook_s": per_notebook, "per_run_s": one - per_notebook, "up_to_date_s": nothing}


def plan(folder: Path) -> dict[str, float]:
    """Every cell is expanded, counted and priced."""
    project = make_project(folder / "p")
    settle(project, THOUSAND)
    clock = time.perf_counter()
    done = flowstudy(project, "plan", "--profile", "quick", OPENAI_API_KEY="sk-0123456789")
    spent = time.perf_counter() - clock
    assert done.returncode == 0 and done.stdout.startswith("1000 cells"), done.stdout[:500] + done.stderr
    return {"cells": 1000, "plan_s": spent}


def settle(project: Path, matrix: dict[str, list], profile: dict | None = None) -> None:
    """Give the project a matrix, and a profile instead of `quick`."""
    path = project / "study.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["matrix"] = matrix
    if profile is not None:
        settings["profiles"]["quick"] = profile
    path.write_text(yaml.safe_dump(settings))


def sweep(folder: Path, *, real: bool) -> dict[str, float]:
    """The same twelve cells with one notebook at a time and with two."""
    project = make_project(folder / "p")
    if real:
        shutil.copytree(ROOT / "notebooks", project / "notebooks", dirs_exist_ok=True)
    settle(project, TWELVE, SMALL if real else None)
    found = {}
    for cores in (2, 1):
        words = command("sweep", "--profile", "quick", "--run", f"cores-{cores}", "--cores", str(cores))
        clock = time.perf_counter()
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, env=environment(project))
        found[f"cores_{cores}_s"] = time.perf_counter() - clock
        assert done.returncode == 0 and "12 of 12 cells done" in done.stdout, done.stdout + done.stderr
    return {**found, "times_faster": found["cores_1_s"] / found["cores_2_s"]}


def main() -> None:
    """Measure one thing in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "plan", "sweep"])
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    measure = {"overhead": overhead, "plan": plan, "sweep": partial(sweep, real=options.real)}[options.what]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
