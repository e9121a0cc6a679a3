"""Run a study: parameters into the run folder, notebooks through Snakemake, progress to the terminal.

The same command again resumes: a notebook whose inputs did not change is not run again, and inside a notebook the
journals keep every answer that was paid for.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowstudy.notebook import check_parameters
from flowstudy.rendered import write_pages
from flowstudy.run_folder import Run, write_json
from flowstudy.study import NOTEBOOKS, Study, StudyError, fingerprint, hash_files


def run_study(study: Study, run: Run, asked: dict[str, Any], cores: int = 2) -> int:
    """Execute what is not up to date. Returns the exit status: 0 when every notebook is done."""
    run.path.mkdir(parents=True, exist_ok=True)
    with _only_one(run):
        if study.corpus != "shipped" and not Path(study.corpus).is_file():
            raise StudyError(f"corpus {study.corpus}: expected a JSON Lines file, got nothing there; CORPUS= names it")
        write_inputs(study, run)
        started = time.monotonic()
        status = _snakemake(run, cores)
        write_pages(run.path / "notebooks", run.root)
        run.write_manifest(asked, study.model_dump(mode="json"))
    _summary(run, status, time.monotonic() - started)
    return status


def write_inputs(study: Study, run: Run) -> None:
    """One file per notebook with its parameters and the hash of the code it uses; unchanged ones stay untouched."""
    try:
        where = str(run.path.relative_to(run.root))
    except ValueError:
        where = str(run.path)
    for name, parameters in study.parameters(where).items():
        check_parameters(run.root / "notebooks" / f"{name}.ipynb", parameters)
        depends = fingerprint(run.root, name, parameters, study.corpus)
        if name == "05_tag_errors":
            depends["tags"] = hash_files([run.tags, run.tags.with_name(f"{run.tags.name}-wal")])
        write_json(run.path / "inputs" / f"{name}.json", depends)


@contextmanager
def _only_one(run: Run) -> Iterator[None]:
    """Refuse a second run in the same folder; the lock goes with the process, however it ends."""
    with (run.path / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"run {run.path.name}: expected no other run in this folder, got one at work; "
                "wait for it or use RUN=name"
            ) from None
        yield


def _snakemake(run: Run, cores: int) -> int:
    config = [f"run={run.path}", f"python={sys.executable}", f"root={run.root}"]
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(run.root / "Snakefile"), "--directory", str(run.path),
        "--cores", str(cores), "--keep-going", "--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime",
        "--config", *config,
    ]  # fmt: skip
    environment = {**os.environ, "FLOWSTUDY_RUNNER_PID": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    with (run.path / "snakemake.log").open("w") as log, _follow(run.path / "log.txt"):
        job = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=run.root, preexec_fn=_die_with_parent
        )
        try:
            return job.wait()
        except KeyboardInterrupt:
            job.send_signal(signal.SIGINT)
            job.wait(timeout=30)
            raise


def _die_with_parent() -> None:
    """Linux: the child gets SIGTERM when this process ends, even by SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def _follow(log: Path) -> Iterator[None]:
    """Show the lines that notebooks add to the run's log while the work goes on."""
    log.touch()
    done = threading.Event()

    def show() -> None:
        with log.open(encoding="utf-8", errors="replace") as lines:
            lines.seek(0, os.SEEK_END)
            while True:
                last = done.is_set()
                for line in lines:
                    print(line, end="", flush=True)
                if last:
                    return
                time.sleep(0.2)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _summary(run: Run, status: int, spent_s: float) -> None:
    states = {name: (run.read(f"status/{name}.json") or {}).get("state", "not run") for name in NOTEBOOKS}
    done = [name for name, state in states.items() if state == "done"]
    print(f"{len(done)} of {len(NOTEBOOKS)} notebooks done in {spent_s:.0f} s; run folder: {run.path}")
    for name, state in states.items():
        if state == "failed":
            print(f"  {name} failed: {json.loads((run.path / 'status' / f'{name}.json').read_text())['error']}")
    if status == 0:
        print(f"the report: {run.report}")
    elif len(done) == len(NOTEBOOKS):
        print(f"Snakemake stopped with status {status}; see {run.path / 'snakemake.log'}")
    else:
        print("run the same command again to resume; nothing finished is repeated")


def clean_run(run: Run) -> None:
    """Delete a run folder; only one that holds a run."""
    if not (run.path / "inputs").is_dir():
        raise StudyError(f"run {run.path}: expected a run folder (with `inputs`), got something else; nothing deleted")
    shutil.rmtree(run.path)
