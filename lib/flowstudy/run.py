"""Run a study or a sweep: inputs into the run folders, notebooks through Snakemake, progress to the terminal.

A plain study is a sweep with one member. The same command again resumes: a notebook is executed when something that it
depends on is another one (see `freshness`), and inside a notebook the journals keep every answer that was paid for.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.environments import corpus_path
from flowstudy.files import write_json
from flowstudy.lifeline import descendants, kill, memory_limit_gib, only_one
from flowstudy.notebook import check_parameters, run_dir
from flowstudy.progress import say
from flowstudy.run_folder import Run, hardware, this_machine
from flowstudy.sharing import Member, forget_all_stale, write_members
from flowstudy.status import print_summary, write_page
from flowstudy.study import Study, StudyError, fingerprint, hash_corpus, hash_files

#: Shipped Snakemake profiles, by the name of their folder.
PROFILES: Final = Path(__file__).parent / "profiles"
_STOPPING_S: Final = 20.0


def run_study(study: Study, run: Run, asked: dict[str, Any], cores: int = 2, executor: str = "") -> int:
    """Execute what is not up to date. Returns the exit status: 0 when every notebook is done."""
    return run_members(run, {"": Member(study)}, asked, cores, executor)


def run_members(
    home: Run,
    members: Mapping[str, Member],
    asked: dict[str, Any],
    cores: int,
    executor: str = "",
    skipped: Mapping[str, str] | None = None,
) -> int:
    """Execute what is not up to date in every member of a sweep, `cores` notebooks of one core at a time.

    `executor` is a Snakemake profile, shipped (`slurm`) or the path of one; "" stays on this machine. `skipped` maps
    cells that cannot run here to the reason. Returns the exit status: 0 when every notebook is done.
    """
    if not members:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in (skipped or {}).items())
        raise StudyError(f"sweep {home.path.name}: expected a cell that can run here, got none: {reasons}")
    memory_limit_gib()
    with only_one(home.path):
        write_members(home, members)
        write_json(home.path / "skipped.json", dict(skipped or {}))
        for place, member in members.items():
            write_inputs(member, home.member(place))
        started = time.monotonic()
        status = 0
        if forget_all_stale(home, members):
            machine = _executor(executor, cores) if executor else _locally(cores, members)
            status = _snakemake(home, machine, threads=cores if len(members) == 1 else 1)
            _look_at_corpora(home, members)
        status = print_summary(home, status, time.monotonic() - started)
        made_by = this_machine(home.root)
        for place, member in members.items():
            home.member(place).write_manifest(asked, member.study.model_dump(mode="json"), made_by)
        write_page(home)
    return status


def write_inputs(member: Member, run: Run) -> None:
    """One file per notebook with its parameters and the hash of the code it uses; unchanged ones stay untouched."""
    corpus = member.study.corpus
    if corpus != "shipped" and not corpus_path(corpus).is_file():
        got = "a folder" if Path(corpus).is_dir() else "nothing there"
        raise StudyError(f"corpus {corpus}: expected a JSON Lines file, got {got}; CORPUS= names it")
    for name, parameters in member.study.parameters(run_dir(run)).items():
        if name not in member.notebooks:
            continue
        check_parameters(run.root / "notebooks" / f"{name}.ipynb", parameters)
        depends = fingerprint(run.root, name, parameters)
        if name == "05_tag_errors":
            depends["tags"] = hash_files([run.tags, run.tags.with_name(f"{run.tags.name}-wal")])
        write_json(run.path / "inputs" / f"{name}.json", depends)


def _look_at_corpora(home: Run, members: Mapping[str, Member]) -> None:
    """What was made from a corpus that changed while the run was at work is not up to date; say so."""
    changed = set()
    for place, member in members.items():
        run = home.member(place)
        inputs = run.read("inputs/01_explore_data.json") or {}
        now = hash_corpus(member.study.corpus) if "corpus" in inputs else None
        if now != inputs.get("corpus"):
            changed.add(member.study.corpus)
            write_json(run.path / "inputs" / "01_explore_data.json", {**inputs, "corpus": now})
    if changed:
        forget_all_stale(home, members)
        names = ", ".join(sorted(changed))
        say(f"corpus {names} changed while the run was at work: what is done is of the corpus as it was")


def _locally(cores: int, members: Mapping[str, Member]) -> list[str]:
    """Snakemake's options for this machine: so many cores, and jobs that need a card take turns."""
    asked = max(count.get("gpu", 0) for member in members.values() for count in member.resources().values())
    return ["--cores", str(cores), "--resources", f"gpu={max(asked, len(hardware()['gpus']))}"]


def _executor(name: str, jobs: int) -> list[str]:
    """Snakemake's options for a profile, shipped or in a folder of one's own, with so many jobs at a time."""
    shipped = PROFILES / name
    folder = shipped if (shipped / "config.yaml").is_file() else Path(name).resolve()
    if not (folder / "config.yaml").is_file():
        known = sorted(path.parent.name for path in PROFILES.glob("*/config.yaml"))
        raise StudyError(f"executor {name!r}: expected one of {known} or a folder with a Snakemake config.yaml")
    return ["--jobs", str(jobs), "--profile", str(folder)]


def _snakemake(home: Run, machine: list[str], threads: int) -> int:
    """What is to be done was decided by content (`forget_all_stale`); Snakemake makes the marks that are missing."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(home.root / "Snakefile"), "--directory", str(home.path),
        *machine, "--keep-going", "--nolock",
        "--rerun-incomplete", "--rerun-triggers", "params",
        "--config", f"run={home.path}", f"root={home.root}", f"python={sys.executable}", f"threads={threads}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (home.path / "snakemake.log").open("w") as log, _follow(home.path / "log.txt"), _sigterm_as_interrupt():
        job = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=home.root,
            preexec_fn=_die_with_parent, start_new_session=True,
        )  # fmt: skip
        try:
            return job.wait()
        except KeyboardInterrupt:
            _stop(job)
            raise


def _stop(job: subprocess.Popen[bytes]) -> None:
    """End Snakemake (it cancels what a cluster has queued) and every notebook, politely first."""
    started = descendants(job.pid)
    os.killpg(job.pid, signal.SIGTERM)
    try:
        job.wait(timeout=_STOPPING_S)
    except subprocess.TimeoutExpired:
        job.kill()
    kill(started)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A polite kill of the runner is handled like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
                    say(line, end="", flush=True)
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


def clean_run(run: Run) -> None:
    """Delete a run or sweep; only a folder that holds one, and nobody who is at work there."""
    if not run.exists:
        raise StudyError(f"run {run.path}: expected the folder of a run, got something else; nothing deleted")
    with only_one(run.path):
        shutil.rmtree(run.path)
