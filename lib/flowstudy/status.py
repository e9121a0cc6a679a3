"""Where a run or a sweep stands: every notebook with its state and the reason, time, money, disk; as text and page."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from flowstudy.analysis.measures import MEASURES, PRIMARY
from flowstudy.corpus.example import JUDGED
from flowstudy.files import write_text
from flowstudy.freshness import record_of
from flowstudy.lifeline import is_at_work
from flowstudy.progress import say
from flowstudy.run_folder import DISK_FULL, Run, now
from flowstudy.sharing import read_member
from flowstudy.study import NOTEBOOKS
from flowstudy.systems.ledger import spent_usd
from flowstudy.systems.roster import read_roster

STATES: Final = ("done", "running", "failed", "not run")
_KIB: Final = 1024
#: Exit status of a run whose notebooks are all done, but in which a system answered less than all or another model
#: answered than was asked.
LACKING: Final = 3
#: With less left than this, a run that failed is told that its disk is full.
FULL_BYTES: Final = 1_000_000


class Line(NamedTuple):
    """One notebook of one member; `place` is the member's folder ("" for a plain study), `link` the executed copy."""

    place: str
    notebook: str
    state: str
    reason: str
    started_at: str
    duration_s: float
    cost_usd: float | None
    link: str


class Status(NamedTuple):
    """`skipped` maps cells that cannot run here to the reason; `spent_usd` is what providers were paid so far."""

    name: str
    lines: list[Line]
    skipped: dict[str, str]
    at_work: bool
    spent_usd: float
    disk_bytes: dict[str, int]

    def count(self, state: str) -> int:
        return sum(line.state == state for line in self.lines)

    @property
    def cells(self) -> list[str]:
        return sorted({line.place for line in self.lines if line.place.startswith("cells/")})


def look(home: Run, *, at_work: bool | None = None) -> Status:
    """Read the state of a run or sweep. `at_work` says whether its runner lives; by default its lock tells."""
    alive = is_at_work(home.path) if at_work is None else at_work
    members = home.read("members.json") or {"": {"notebooks": list(NOTEBOOKS), "base": None, "borrows": {}}}
    failed = {place: _first_failed(home.member(place), member["notebooks"]) for place, member in members.items()}
    lines: list[Line] = []
    for place, member in members.items():
        waits = _waits_for(members, failed, place)
        for notebook in member["notebooks"]:
            lines.append(_line(home, place, notebook, alive, waits))
            waits = f"waits for {notebook}, which failed" if lines[-1].state == "failed" else waits
    cost = spent_usd(home.ledger) or sum(line.cost_usd or 0.0 for line in lines)
    disk = {place: _disk_bytes(home.path / place) for place in members} if len(members) > 1 else {}
    disk[""] = _disk_bytes(home.path)
    return Status(home.path.name, lines, home.read("skipped.json") or {}, alive, cost, disk)


def _line(home: Run, place: str, notebook: str, alive: bool, waits: str) -> Line:
    run = home.member(place)
    record = record_of(run, notebook)
    marked = (run.path / "done" / notebook).exists()
    state, reason = str(record.get("state", "not run")), str(record.get("error") or "")
    if state == "running" and not (alive and _lives(record)):
        state, reason = "not run", f"stopped after {record['started_at']} before its end; the same command goes on"
    elif state == "done" and not marked:
        state, reason = "not run", waits or "what it depends on is another one since it ran"
    elif state == "done" and notebook == "03_prompt":
        again = "; the same command asks again for what has no answer" if record.get("unfinished") else ""
        reason = "; ".join(f"{system}: {words}" for system, words in shortfalls_of(run).items()) + again
    elif state == "not run":
        reason = waits or ("its turn has not come yet" if alive else "the run ended before its turn")
    return Line(
        place, notebook, state, reason, str(record.get("started_at", "")), float(record.get("duration_s", 0.0)),
        _cost_usd(run) if notebook == "03_prompt" else None, _link(run, place, notebook),
    )  # fmt: skip


def _lives(record: dict[str, Any]) -> bool:
    """Whether the process of a running notebook is there; on another machine the lock of the run has to do."""
    return record.get("host") != os.uname().nodename or psutil.pid_exists(record.get("pid", -1))


def _first_failed(run: Run, notebooks: Sequence[str]) -> str:
    return next((name for name in notebooks if record_of(run, name).get("state") == "failed"), "")


def _waits_for(members: Mapping[str, Any], failed: Mapping[str, str], place: str) -> str:
    """The failure elsewhere that keeps a member from running: of what it stands on, or of who answers for it."""
    base, owners = members[place]["base"], members[place]["borrows"].values()
    for other in filter(None, [base, *owners]):
        notebook = failed[other]
        if notebook and (other == base or notebook == "03_prompt"):
            return f"waits for {notebook} of {other.rstrip('/')}, which failed"
        if further := _waits_for(members, failed, other):
            return further
    return ""


def _cost_usd(run: Run) -> float | None:
    """What the answers of a run cost in all, as its notebook 03 wrote it down; None before that or without prices."""
    facts = (run.read("finished/03_prompt.json") or {"facts": {}})["facts"]
    borrowed = read_member(run)["borrows"]
    costs = [row["cost_usd"] for row in facts.get("statuses", []) if row["system"] not in borrowed]
    known = [cost for cost in costs if isinstance(cost, int | float) and cost == cost]
    return float(sum(known)) if known else None


def shortfalls_of(run: Run) -> dict[str, str]:
    """What notebook 03 wrote down of systems that answered less than all, or whose model was another one."""
    return dict((run.read("finished/03_prompt.json") or {"facts": {}})["facts"].get("shortfalls", {}))


def _link(run: Run, place: str, notebook: str) -> str:
    """The executed notebook, below the run folder: as a page where there is one."""
    for name in (f"notebooks/{notebook}.html", f"notebooks/{notebook}.ipynb"):
        if (run.path / name).is_file():
            return f"{place}{name}"
    return ""


def _disk_bytes(folder: Path) -> int:
    """Bytes on disk below a folder, hard links counted once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            sizes[stat.st_ino] = stat.st_blocks * 512
    return sum(sizes.values())


def text(status: Status) -> str:
    """The state in a few lines: counts, then whatever is not done with its reason."""
    counts = ", ".join(f"{status.count(state)} {state}" for state in STATES if status.count(state))
    head = f"run {status.name}{' (at work)' if status.at_work else ''}: {counts} of {len(status.lines)} notebooks"
    spent = sum(line.duration_s for line in status.lines)
    facts = f"{spent:.0f} s of notebooks, {status.spent_usd:.4f} USD, {human_bytes(status.disk_bytes[''])} on disk"
    rows = [f"  {line.state:8} {line.place}{line.notebook}  {line.reason}" for line in _telling(status)]
    rows += [f"  skipped  cells/{name}  {reason}" for name, reason in status.skipped.items()]
    return "\n".join([head, facts, *rows])


def _telling(status: Status) -> list[Line]:
    """Lines that a reader must see: all of a plain run, what is not done of a sweep."""
    return [line for line in status.lines if not status.cells or line.state != "done" or line.reason]


def human_bytes(count: float) -> str:
    """A size for people.

    >>> human_bytes(2048)
    '2.0 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB or unit == "GiB":
            break
        count /= _KIB
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def print_summary(home: Run, status: int, spent_s: float) -> int:
    """Say what was done, what failed and how to go on. Returns the exit status: 0 when everything is done, `LACKING`
    when that is so and answers lack all the same."""
    found = look(home, at_work=False)
    done = found.count("done")
    say(f"{done} of {len(found.lines)} notebooks done in {spent_s:.0f} s; run folder: {home.path}")
    if found.cells:
        broken = {line.place for line in found.lines if line.state != "done"}
        say(f"{sum(cell not in broken for cell in found.cells)} of {len(found.cells)} cells done")
    for line in found.lines:
        if line.state == "failed":
            say(f"  {line.place}{line.notebook} failed: {line.reason}")
    for name, reason in found.skipped.items():
        say(f"  cells/{name} skipped: {reason}")
    if status and not found.count("failed"):
        say(f"  Snakemake stopped with status {status}; why: {home.path / 'snakemake.log'}")
    if done < len(found.lines) and shutil.disk_usage(home.path).free < FULL_BYTES:
        say(f"  {home.path}: {DISK_FULL}")
    if done < len(found.lines):
        say("run the same command again to resume; nothing finished is repeated")
        return status or 1
    say(f"the report: {home.path / 'status.html' if found.cells else home.report}")
    lacking = [line for line in found.lines if line.notebook == "03_prompt" and line.reason]
    for line in lacking:
        say(f"  {line.place}{line.notebook}: {line.reason}")
    return status or (LACKING if lacking else 0)


def write_page(home: Run, status: Status | None = None) -> Path:
    """Write `status.html` into the run folder: one file, opens offline, links to the executed notebooks."""
    import jinja2

    found = status or look(home, at_work=False)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = (Path(__file__).parent / "review" / "status.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        status=found, groups=_groups(found.lines), states=STATES, written_at=now(), bytes=human_bytes,
        counts=Counter(line.state for line in found.lines), boards=leaderboards(home),
        report="" if found.cells or not home.report.is_file() else home.report.name,
    )  # fmt: skip
    write_text(home.path / "status.html", page)
    return home.path / "status.html"


def _groups(lines: Sequence[Line]) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.place, []).append(line)
    return groups


class Board(NamedTuple):
    """A ranked table: columns and rows of plain values, best first."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def leaderboards(home: Run) -> list[Board]:
    """The boards of a sweep, or of a plain run; none before anything was scored. Systems that are told what is needed
    (retriever `oracle`) are ceilings: they stand below, without a rank.

    Cells that differ in their seed only are one configuration: its mean over seeds, with the lowest and highest.
    """
    import pandas as pd

    tables = []
    for place, member in (home.read("members.json") or {}).items():
        path = home.path / place / "summary.csv"
        if path.is_file():
            values = {"corpora": "", **member.get("values", {})}
            name = ", ".join(f"{axis} {value}" for axis, value in values.items() if axis not in ("corpora", "seeds"))
            table = pd.read_csv(path).assign(configuration=name, corpus=values["corpora"])
            asked = path.parent / "predictions"
            specs = read_roster(asked)[0] if (asked / "roster.json").is_file() else []
            bounds = {spec.name for spec in specs if spec.retriever == "oracle"}
            tables.append(table.assign(bound=table["system"].isin(bounds)))
    if not tables:
        return []
    found = pd.concat(tables, ignore_index=True)
    found = found[found["split"].isin(JUDGED)].sort_values("split", key=lambda s: s.map(JUDGED.index), kind="stable")
    return [_board(group, *map(str, key)) for key, group in found.groupby(["corpus", "split"], sort=False)]


def _board(group: Any, corpus: str, split: str) -> Board:
    keys = ["configuration", "system"]
    scores = group[group["measure"] == PRIMARY].groupby(keys)["mean"].agg(["mean", "min", "max", "count"])
    examples = group[group["measure"] == PRIMARY].groupby(keys)["n"].sum()
    usage = {name: group[group["measure"] == name].groupby(keys)["mean"].mean() for name in ("cost_usd", "latency_s")}
    scores["bound"] = group.groupby(keys)["bound"].any()
    ranked = scores.sort_values(["bound", "mean"], ascending=[True, False], kind="stable")
    rows = [
        [
            "ceiling" if row["bound"] else str(place), *map(str, key), f"{row['mean']:.3f}",
            f"{row['min']:.3f} to {row['max']:.3f}", f"{row['count']:.0f}", str(examples[key]),
            *(_figure(usage[name].get(key)) for name in usage),
        ]
        for place, (key, row) in enumerate(ranked.iterrows(), start=1)
    ]  # fmt: skip
    columns = ["rank", "configuration", "system", MEASURES[PRIMARY].title, "over seeds", "cells", "examples",
               "US dollars per request", "seconds per request"]  # fmt: skip
    return Board(f"{split}{f' of {corpus}' if corpus else ''}", columns, rows)


def _figure(value: Any) -> str:
    return "not known" if value is None or value != value else f"{value:.4g}"
