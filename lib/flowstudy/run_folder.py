"""The folder of one run: where each file lies, how it is written, and the manifest that says what was done.

A notebook calls `open_run(run_dir)` first and `run.finish(notebook, ...)` last. Everything is written to a temporary
file and renamed, so that a reader never sees half a file and a kill never leaves one.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from flowstudy.files import write_json

#: What to do when a disk is full, in every message about one.
DISK_FULL: Final = "the disk is full; what was finished is kept: free some space and run the same command again"
MANIFEST_SCHEMA: Final = "flowstudy/manifest/1"
#: Folders of a sweep: its cells, and what several cells stand on.
MEMBER_FOLDERS: Final = ("cells", "shared")
_PACKAGES: Final = (
    "flowstudy", "jupyterlab", "papermill", "snakemake", "litellm", "unsloth", "trl", "transformers", "peft", "torch",
    "plotly", "pandas", "numpy", "scipy", "numba", "ipywidgets",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Paths of one run; `root` is the checkout it belongs to."""

    path: Path
    root: Path

    @property
    def exists(self) -> bool:
        """Whether a run or sweep lies here, executed by the runner or by hand."""
        return any((self.path / name).exists() for name in ("members.json", "inputs", "finished"))

    @property
    def corpus(self) -> Path:
        return self.path / "corpus.jsonl"

    @property
    def catalogues(self) -> Path:
        return self.path / "catalogues.json"

    @property
    def models(self) -> Path:
        return self.path / "models"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def retrieval(self) -> Path:
        """Where the trained retriever and all suggestions are kept: with the corpus, which cells of a sweep share."""
        base = (self.read("adopted.json") or {}).get("base")
        return Run(self.home / "shared" / base, self.root).retrieval if base else self.path / "retrieval"

    @property
    def scores(self) -> Path:
        return self.path / "scores.parquet"

    @property
    def edits(self) -> Path:
        return self.path / "edits.parquet"

    @property
    def tags(self) -> Path:
        return self.path / "tags.sqlite"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def home(self) -> Path:
        """The sweep that this run is a member of, where members keep what is common; else the run's own folder."""
        above = self.path.parent.parent
        return above if self.path.parent.name in MEMBER_FOLDERS and (above / "members.json").is_file() else self.path

    @property
    def home_run(self) -> Run:
        """`home` as a run."""
        return Run(self.home, self.root)

    def member(self, place: str) -> Run:
        """A run below this one; "" is this one."""
        return Run(self.path / place, self.root) if place else self

    @property
    def ledger(self) -> Path:
        """What was spent and is set aside, for all jobs of a run or sweep together."""
        return self.home / "ledger.jsonl"

    def require(self, path: Path, notebook: str) -> Path:
        """`path`, or an error that names the notebook which writes it."""
        if not path.exists():
            raise FileNotFoundError(
                f"{path.name} of run {self.path.name}: expected it from notebook {notebook}; run that one first"
            )
        return path

    def finish(self, notebook: str, **facts: Any) -> None:
        """Say that a notebook ran to its end, with the facts it adds to the manifest.

        The runner trusts this file, not papermill's cell status, which a killed kernel leaves at `completed`.
        """
        token = os.environ.get("FLOWSTUDY_TOKEN", "interactive")
        record = {"notebook": notebook, "token": token, "finished_at": now(), "facts": facts}
        write_json(self.path / "finished" / f"{notebook}.json", record)

    def log(self, line: str) -> None:
        """Append one line to the log of the run, or of the sweep with the member's name."""
        self.home.mkdir(parents=True, exist_ok=True)
        member = "" if self.home == self.path else f"{self.path.relative_to(self.home)} "
        with (self.home / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {member}{line}\n")

    def read(self, name: str) -> Any:
        """A JSON file of the run, or None where it does not exist."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write_manifest(self, asked: Mapping[str, Any], resolved: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        """Gather what is known of this run into `manifest.json`; `machine` is `this_machine(root)`."""
        notebooks = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(self.path.glob("status/*.json"))}
        facts = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(self.path.glob("finished/*.json"))}
        manifest = {
            "schema": MANIFEST_SCHEMA,
            "run": self.path.name,
            "written_at": now(),
            **machine,
            "parameters": {"asked": asked, "resolved": resolved},
            "notebooks": notebooks,
            "facts": {name: record["facts"] for name, record in facts.items()},
        }
        write_json(self.path / "manifest.json", manifest)


def project_root(start: Path | None = None) -> Path:
    """The folder that holds study.yaml: `start` (default: the working folder) or one of its parents."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "study.yaml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(f"project for {here}: expected study.yaml in it or a parent; start from the checkout")


def open_run(run_dir: str | Path) -> Run:
    """The run in `run_dir` (relative to the checkout). Nothing is created: what writes into it makes the folder."""
    root = project_root()
    return Run(Path(run_dir) if Path(run_dir).is_absolute() else root / run_dir, root)


def find_run(run_dir: str | None) -> Run:
    """The run in `run_dir`, or the one that was last at work. Raises ValueError naming those there are."""
    root = project_root()
    logs = sorted(root.glob("runs/*/log.txt"), key=lambda log: log.stat().st_mtime)
    run = open_run(run_dir or (logs[-1].parent if logs else "runs"))
    if not run.exists:
        known = ", ".join(sorted(log.parent.name for log in logs)) or "nothing yet"
        raise ValueError(f"run {run.path}: expected the folder of a run, got none; in runs: {known}; RUN= names one")
    return run


def os_problem(error: OSError) -> str:
    """An error of the operating system in words: which file, what was expected, what to do.

    >>> os_problem(FileNotFoundError(2, "No such file or directory", "mine.jsonl"))
    'mine.jsonl: expected a file or folder, got nothing there; check the path'
    """
    if error.errno is None:
        return str(error)
    words = {
        errno.ENOSPC: DISK_FULL,
        errno.EDQUOT: DISK_FULL,
        errno.ENOENT: "expected a file or folder, got nothing there; check the path",
        errno.EISDIR: "expected a file, got a folder; name the file in it",
        errno.EACCES: "expected permission to read or write it, got none; change its owner or mode",
        errno.EROFS: "expected a disk that can be written to, got one that is read-only; use RUN=/another/folder",
    }
    what = words.get(error.errno, f"{error.strerror or error}; see to it and run again")
    return f"{error.filename}: {what}" if error.filename else what


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def this_machine(root: Path) -> dict[str, Any]:
    """Code, packages and hardware as they are now: the part of the manifest that a report shows."""
    return {"code": git_state(root), "packages": package_versions(), "hardware": hardware()}


def git_state(root: Path) -> dict[str, Any]:
    """Commit and dirty flag; None for both outside a git checkout."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def package_versions() -> dict[str, str | None]:
    """Versions of the packages that results depend on; None where one is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB and GPU name, without importing torch."""
    import psutil

    gpus = sorted(p.read_text().split("Model:")[1].split("\n")[0].strip()
                  for p in Path("/proc/driver/nvidia/gpus").glob("*/information"))  # fmt: skip
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
    }
