"""What a member of a sweep takes over from another one: the files of shared notebooks, and answers already given."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flowstudy.files import replacing, write_json
from flowstudy.freshness import forget_stale, record_of
from flowstudy.run_folder import Run
from flowstudy.study import NOTEBOOKS, Study
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.journal import journal_file
from flowstudy.systems.slm.variants import models_to_train


class Member(NamedTuple):
    """A run below the folder of a sweep (the only one of a plain study lies in that folder itself).

    `notebooks` are executed in it; it takes over those of the member `base`. `borrows` maps a system to the member
    that asks it, `values` are those of its cell on the axes of the matrix.
    """

    study: Study
    notebooks: tuple[str, ...] = NOTEBOOKS
    base: str | None = None
    borrows: Mapping[str, str] = MappingProxyType({})
    values: Mapping[str, Any] = MappingProxyType({})

    def resources(self) -> dict[str, dict[str, int]]:
        """What a notebook needs besides cores: GPUs to train and to ask a model, a share of the providers' patience."""
        models = [spec.model for spec in self.study.systems.values()]
        remote = any(not family.local for model in models if (family := family_of(model)) is not None)
        trains = models_to_train(self.study.systems.values(), self.study.fine_tune.variants)
        gpu = self.study.fine_tune.gpus if trains else 0
        return {"02_fine_tune": {"gpu": gpu}, "03_prompt": {"gpu": gpu, "api": int(remote)}}


def write_members(home: Run, members: Mapping[str, Member]) -> None:
    """Tell the Snakefile and the jobs, on whatever machine they run, what the run or sweep is made of."""
    fields = ("base", "notebooks", "borrows", "values")
    value = {
        place: {**{name: _plain(getattr(member, name)) for name in fields}, "resources": member.resources()}
        for place, member in members.items()
    }
    write_json(home.path / "members.json", value)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def read_member(run: Run) -> dict[str, Any]:
    """What `write_members` wrote about one run; that of a plain study when there is nothing."""
    place = "" if run.home == run.path else f"{run.path.relative_to(run.home).as_posix()}/"
    return (run.home_run.read("members.json") or {}).get(place) or {"base": None, "borrows": {}}


def forget_all_stale(home: Run, members: Mapping[str, Member]) -> bool:
    """Take the `done` marks from everything that must be looked at again, and from what stands on it.

    Returns whether there is anything to do.
    """
    stale: dict[str, bool] = {}
    for place, member in members.items():
        run, behind = home.member(place), False
        if member.base is not None:
            behind = stale[member.base] or not is_adopted(run, home.member(member.base))
            if behind:
                (run.path / "done" / "adopted").unlink(missing_ok=True)
        stale[place] = forget_stale(run, member.notebooks, all_of_them=behind)
    return any(stale.values())


def is_adopted(run: Run, base: Run) -> bool:
    """Whether everything that `base` has done lies in `run` as it is there."""
    links = run.read("adopted.json")
    done = {name: record_of(base, name).get("outputs") for name in NOTEBOOKS if record_of(base, name)}
    return (
        bool(done)
        and links is not None
        and links["outputs"] == done
        and all((run.path / name).exists() for name in links["files"])
    )


def adopt(run: Run, base: Run) -> None:
    """Link the files of every notebook of `base` into `run` (hard links; copies where the disk has none).

    Linked files are taken away first, so that nothing is ever written through a link.
    """
    for name in (run.read("adopted.json") or {"files": []})["files"]:
        (run.path / name).unlink(missing_ok=True)
    records = {name: record for name in NOTEBOOKS if (record := record_of(base, name))}
    files = sorted({file for record in records.values() for file in record["files"] if (base.path / file).is_file()})
    files += [f"status/{name}.json" for name in records]
    for file in files:
        _link(base.path / file, run.path / file)
    outputs = {name: record.get("outputs") for name, record in records.items()}
    write_json(run.path / "adopted.json", {"base": base.path.name, "outputs": outputs, "files": files})


def borrow(run: Run, systems: Mapping[str, str]) -> None:
    """Copy answers, and the calls behind them, from the members that ask these systems (name to member)."""
    for system, owner in systems.items():
        source = journal_file(run.home_run.member(owner).predictions, system)
        for given in (source, source.parent / "calls" / source.name):
            if given.is_file():
                _copy(given, run.predictions / given.relative_to(source.parent))


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as draft:
        shutil.copyfile(source, draft)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        _copy(source, target)
