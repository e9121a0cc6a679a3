"""A project of six tiny notebooks, for tests of the machinery: each takes a moment and behaves as a file tells it.

A notebook writes what the real one writes (named after its parameters, so that content follows them) and then looks
for the file `behave-<notebook>`: `hang`, `die`, `exit`, `full`, `raise`, `flood`, `eat`, `sleep` or
`edit` (a file) is what it does next.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from flowstudy.run_folder import project_root
from flowstudy.study import load_study

ROOT = project_root(Path(__file__).parent)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
WORK = """
import os, time
from pathlib import Path
from flowstudy.run_folder import open_run
run = open_run(run_dir)
run.log("@: working")
for name in @writes:
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).write_text(f"{seed} {globals().get('systems')} {globals().get('epochs')}")
behave = Path("behave-@").read_text() if Path("behave-@").exists() else ""
if behave.startswith("hang"): time.sleep(60)
if behave.startswith("die"): os.kill(os.getpid(), 9)
if behave.startswith("full"): Path("/dev/full").write_text("x")
if behave.startswith("exit"): raise SystemExit(0)
if behave.startswith("raise") and behave[6:] in str(globals().get("systems", "")):
    raise ValueError("example t-7: expected text")
if behave.startswith("flood"): print(("x" * 99 + chr(10)) * 1_000_000)
if behave.startswith("eat"): eaten = [bytearray(b"x" * 50_000_000) for _ in range(200) if not time.sleep(0.02)]
if behave.startswith("edit "): Path(behave[5:]).open("a").write(chr(10))
if behave.startswith("sleep"): time.sleep(float(behave[6:]))
"""
WRITES = {
    "01_explore_data": ["corpus.jsonl"],
    "02_fine_tune": ["models/tuned.json"],
    "03_prompt": ["predictions/roster.json"],
    "04_score": ["scores.parquet", "edits.parquet"],
    "05_tag_errors": ["error_rates.csv"],
    "06_decide": ["report.html"],
}


def tiny_notebook(path: Path, parameters: dict[str, object], *cells: str) -> None:
    first = new_code_cell("\n".join(f"{name} = {value!r}  # help" for name, value in parameters.items()))
    first.metadata["tags"] = ["parameters"]
    nbformat.write(new_notebook(cells=[first, *map(new_code_cell, cells)], metadata=KERNEL), path)


def make_project(root: Path, *, library: bool = False) -> Path:
    """A checkout with tiny notebooks; with `library` its own copy of the package, to be changed by a test."""
    (root / "notebooks").mkdir(parents=True)
    for name in ("study.yaml", "Snakefile"):
        shutil.copy(ROOT / name, root)
    for name, parameters in load_study(root / "study.yaml", "quick").parameters("runs/x").items():
        work = WORK.replace("@writes", repr(WRITES[name])).replace("@", name)
        tiny_notebook(root / "notebooks" / f"{name}.ipynb", parameters, work, f"run.finish({name!r}, n=1)")
    if library:
        shutil.copytree(ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return root


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "flowstudy", *words]


def environment(project: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    own = {"PYTHONPATH": str(project / "lib")} if (project / "lib").is_dir() else {}
    return {**kept, **own, **more}


def flowstudy(project: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=project, capture_output=True, text=True, timeout=900, env=environment(project, **more)
    )


def study(project: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return flowstudy(project, "study", "--profile", "quick", "--cores", "1", *words, **more)


def log_lines(project: Path, run: str, ending: str) -> list[str]:
    log = project / "runs" / run / "log.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    return [" ".join(line.split()[1:-1]).rstrip(":") for line in lines if line.endswith(f": {ending}")]


def worked(project: Path, run: str = "quick") -> list[str]:
    """The notebooks that did their work, in order: `01_explore_data`, or `cells/x 03_prompt` in a sweep."""
    return log_lines(project, run, "working")


def wait_until_working(
    project: Path, notebook: str, runner: subprocess.Popen, run: str = "quick", limit_s: float = 120, times: int = 1
) -> None:
    deadline = time.monotonic() + limit_s
    while sum(line.endswith(notebook) for line in worked(project, run)) < times:
        assert runner.poll() is None, "the runner ended before its notebook worked"
        if time.monotonic() > deadline:
            raise AssertionError(f"{notebook} did not start within {limit_s} s")
        time.sleep(0.2)


def processes_of(project: Path) -> list[str]:
    """Processes that mention the project in their command or work in it."""
    here, found = os.fsencode(str(project)), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, folder = (process / "cmdline").read_bytes(), os.fsencode((process / "cwd").readlink())
        except OSError:
            continue
        if here in words or here in folder:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def wait_until_gone(project: Path, limit_s: float = 12) -> list[str]:
    deadline = time.monotonic() + limit_s
    while (left := processes_of(project)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
