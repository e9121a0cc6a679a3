"""Is a notebook of a run up to date? Decided by content, never by the clock.

`status/<notebook>.json` is the record of its last execution. `made_from` is the hash of its inputs and of what the
notebook before it left; `outputs` the hash of what it left itself; `files` are the files it wrote. A notebook is up to
date while it is done, made from what there is now, and all its files are there. When a notebook runs again and leaves
what it left before, those after it stay up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from flowstudy.files import hash_file, hash_json
from flowstudy.run_folder import Run
from flowstudy.study import NOTEBOOKS

#: Not the work of a notebook: the runner's own files, checkpoints (deleted freely), tags (people write them).
_NOT_OUTPUTS: Final = frozenset(
    {"inputs", "done", "status", "finished", "notebooks", "cells", "shared", ".snakemake", "checkpoints", "logs"}
)
_OWN_FILES: Final = frozenset(
    {"log.txt", "snakemake.log", "manifest.json", "members.json", "status.html", "ledger.jsonl", ".lock"}
)
#: What people look at carries times and ids: made again it is another file with the same content.
_FOR_PEOPLE: Final = frozenset({".html", ".png", ".svg"})
#: Folders that no later notebook reads: `calls` is the cache of answers beside the predictions.
_NOT_DATA: Final = frozenset({"notebooks", "finished", "figures", "calls"})
Snapshot = dict[str, tuple[int, int]]


def record_of(run: Run, notebook: str) -> dict[str, Any]:
    """The record of the last execution; empty when there was none."""
    return run.read(f"status/{notebook}.json") or {}


def is_fresh(run: Run, notebook: str) -> bool:
    """Whether executing the notebook would change nothing."""
    record = record_of(run, notebook)
    return (
        record.get("state") == "done"
        and not record.get("unfinished")
        and record.get("made_from") == made_from(run, notebook)
        and all((run.path / name).exists() for name in record["files"])
    )


def made_from(run: Run, notebook: str) -> str:
    """Hash of the notebook's inputs and of what the notebook before it left."""
    place = NOTEBOOKS.index(notebook)
    before = record_of(run, NOTEBOOKS[place - 1]).get("outputs", "") if place else ""
    inputs = run.read(f"inputs/{notebook}.json")
    return hash_json([inputs, before])


def forget_stale(run: Run, notebooks: Sequence[str], *, all_of_them: bool = False) -> bool:
    """Take the `done` mark from every notebook that is not up to date and from those after it.

    Returns whether any was taken: then what is built on this run must be looked at again as well.
    """
    stale = all_of_them
    for notebook in notebooks:
        stale = stale or not is_fresh(run, notebook)
        if stale:
            (run.path / "done" / notebook).unlink(missing_ok=True)
    return stale


def snapshot(run: Run) -> Snapshot:
    """Time and size of every file that may be a notebook's work, by its name below the run folder."""
    found = {}
    for path in run.path.rglob("*"):
        parts = path.relative_to(run.path).parts
        if not _NOT_OUTPUTS.isdisjoint(parts) or parts[0] in _OWN_FILES or parts[-1].startswith((".", "tags.sqlite")):
            continue
        if path.is_file():
            stat = path.stat()
            found["/".join(parts)] = (stat.st_mtime_ns, stat.st_size)
    return found


def written(run: Run, notebook: str, before: Snapshot) -> list[str]:
    """The files of a notebook: what changed since `before`, and what it wrote in earlier executions."""
    after = snapshot(run)
    changed = {name for name, mark in after.items() if before.get(name) != mark}
    earlier = {name for name in record_of(run, notebook).get("files", []) if (run.path / name).exists()}
    own = {f"notebooks/{notebook}.ipynb", f"notebooks/{notebook}.html", f"finished/{notebook}.json"}
    return sorted(changed | earlier | own)


def hash_outputs(run: Run, files: Iterable[str], facts: Any) -> str:
    """Hash of what a notebook left for the next ones: its data files and the facts of its manifest entry."""
    data = [name for name in files if Path(name).suffix not in _FOR_PEOPLE and _NOT_DATA.isdisjoint(Path(name).parts)]
    return hash_json([facts, {name: hash_file(run.path / name) for name in data}])
