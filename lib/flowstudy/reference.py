"""The reference run: what is committed of it, whether it is older than the code it shows, and what its numbers did.

`make reference` runs the default study into `runs/reference` and takes from it what readers of the repository see:
`notebooks/rendered/` (executed notebooks) and `figures/` (PNG, interactive page, table). `rendered/reference.json`
holds a hash of what each notebook depends on: its source, its parameters and the modules of the library it uses.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flowstudy.files import hash_file, hash_json, write_json, write_text
from flowstudy.rendered import LARGEST, readable
from flowstudy.run import run_study
from flowstudy.run_folder import Run, open_run
from flowstudy.study import NOTEBOOKS, Study, StudyError, fingerprint, load_study
from flowstudy.systems.capabilities import FAMILIES

PROFILE: Final = "laptop"
RUN: Final = "runs/reference"
NOTE: Final = (
    "> **Reference run**: profile `{profile}`, the shipped corpus, only systems that run offline without a key. Its "
    "limits: the corpus is hand-written for invented companies and small; the tuned model has 135 million parameters, "
    "not 12 billion; no large model was asked. Compare patterns, not numbers. `make reference` "
    "rebuilds this page.\n"
)
#: Columns that depend on the clock of the machine, and the money made from them, by the start of a table's name: they
#: may differ between two runs of the same code. All other columns must not.
TIMED: Final = {
    "frontier_": re.compile("cost_|latency_|machines|utilisation"),
    "policies_": re.compile("cost_|latency_"),
    "break_even": re.compile("usd|low|high"),
    "training": re.compile("seconds|_s$"),
}


def make_reference(root: Path, profile: str = PROFILE, cores: int = 2, *, sealed: bool = False) -> int:
    """Run the study without any key and put its result in the place of the committed reference; the exit status.

    `sealed` answers the sealed examples too, which is done once, when nothing will be changed any more.

    A run that was cut off goes on; a finished one is made anew. Status 1 when a notebook failed, or when the same
    code gave other numbers than before.
    """
    for name in {name for family in FAMILIES for name in (*family.keys, *family.bases)}:
        os.environ.pop(name, None)
    study, run = reference_study(root, profile, sealed), open_run(root / RUN)
    if (run.path / "done" / "06_decide").is_file():
        shutil.rmtree(run.path)
    before = stale(root)
    if status := run_study(study, run, {"profile": profile, "corpus": None, "systems": None}, cores):
        return status
    changed = write_reference(run, study, profile)
    print(f"{run.root / 'notebooks' / 'rendered'} and {run.root / 'figures'} are those of {run.path}")
    print("\n".join(changed) if changed else "every table has the same numbers as before (times and costs aside)")
    return int(bool(changed) and not before)


def reference_study(root: Path, profile: str, sealed: bool = False) -> Study:
    """The study of the reference run: that of a profile, the sealed examples answered too where that is said."""
    return load_study(root / "study.yaml", profile).model_copy(update={"sealed": sealed})


def write_reference(run: Run, study: Study, profile: str = PROFILE) -> list[str]:
    """Put the finished `run` in the place of the committed reference; returns what changed, one line per table.

    Raises StudyError when a notebook did not finish, a picture has no PNG, or a rendered notebook is too large.
    """
    rendered, figures = run.root / "notebooks" / "rendered", run.root / "figures"
    pages = {name: _page(run, name, profile) for name in NOTEBOOKS}
    lacking = sorted(p.stem for p in run.figures.glob("*.csv") if not p.with_suffix(".png").is_file())
    if lacking:
        raise StudyError(f"figures {', '.join(lacking)}: expected a PNG each, got none; install Chromium and run again")
    changed = changes(figures, run.figures)
    for folder in (rendered, figures):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name, page in pages.items():
        write_text(rendered / f"{name}.ipynb", page)
    for file in sorted(run.figures.glob("*.csv")):
        for kind in ("csv", "png", "json"):
            shutil.copyfile(file.with_suffix(f".{kind}"), figures / f"{file.stem}.{kind}")
        write_text(figures / f"{file.stem}.html", _interactive(file.with_suffix(".json")))
    shown = [*sorted(rendered.glob("*.ipynb")), *sorted(figures.iterdir())]
    record = {
        "profile": profile, "sealed": study.sealed, "made_from": made_from(run.root, study),
        "files": {str(p.relative_to(run.root)): hash_file(p) for p in shown},
    }  # fmt: skip
    write_json(rendered / "reference.json", record)
    return changed


def made_from(root: Path, study: Study) -> dict[str, str]:
    """One hash per notebook of all that the reference run's copy depends on."""
    return {name: hash_json(fingerprint(root, name, given)) for name, given in study.parameters(RUN).items()}


def stale(root: Path) -> list[str]:
    """Why the committed reference run is not that of the code beside it; empty when it is.

    A notebook is stale when its source, its parameters or the library it uses changed; a file when it was edited,
    added or removed by hand. No reference at all is one reason.
    """
    path = root / "notebooks" / "rendered" / "reference.json"
    if not path.is_file():
        return ["no reference run is committed: `make reference` makes one"]
    record = json.loads(path.read_text(encoding="utf-8"))
    now = made_from(root, reference_study(root, record["profile"], record.get("sealed", False)))
    reasons = [f"{name}: its code or parameters changed since the reference run" for name in NOTEBOOKS
               if now[name] != record["made_from"].get(name)]  # fmt: skip
    there = {str(p.relative_to(root)) for p in (*path.parent.glob("*.ipynb"), *(root / "figures").glob("*"))}
    there = {name for name in there if not name.endswith("plotly.min.js")}
    for name in sorted(there ^ set(record["files"])):
        reasons.append(f"{name}: {'not of the reference run' if name in there else 'missing'}")
    for name in sorted(there & set(record["files"])):
        if hash_file(root / name) != record["files"][name]:
            reasons.append(f"{name}: edited after the reference run")
    return reasons


def changes(before: Path, after: Path) -> list[str]:
    """How the tables of two folders differ, one line each; columns that depend on a machine's clock are left out."""
    lines = []
    for name in sorted({p.name for folder in (before, after) for p in folder.glob("*.csv")}):
        if not (before / name).is_file() or not (after / name).is_file():
            lines.append(f"{name}: {'new' if (after / name).is_file() else 'gone'}")
            continue
        one, two = pd.read_csv(before / name), pd.read_csv(after / name)
        lines += [f"{name}: {what}" for what in _differences(one, two, name)]
    return lines


def _differences(one: pd.DataFrame, two: pd.DataFrame, name: str) -> list[str]:
    if list(one.columns) != list(two.columns) or len(one) != len(two):
        return [f"{len(one)} rows, {one.shape[1]} columns -> {len(two)} rows, {two.shape[1]} columns"]
    timed = [columns for start, columns in TIMED.items() if name.startswith(start)]
    kept = [column for column in one if not any(pattern.search(str(column)) for pattern in timed)]
    rows = {str(column): int((~_equal(one[column], two[column])).sum()) for column in kept}
    return [f"{column} differs in {count} of {len(one)} rows" for column, count in rows.items() if count]


def _equal(one: pd.Series, two: pd.Series) -> pd.Series:
    """Equal to nine places, or both empty."""
    if pd.api.types.is_float_dtype(one) and pd.api.types.is_float_dtype(two):
        return ((one - two).abs() <= 1e-9) | (one.isna() & two.isna())
    return (one.astype(str) == two.astype(str)) | (one.isna() & two.isna())


def _page(run: Run, name: str, profile: str) -> str:
    state = (run.read(f"status/{name}.json") or {}).get("state", "not run")
    if state != "done":
        raise StudyError(f"notebook {name} of run {run.path.name}: expected a finished one, got {state}; run it again")
    executed: Mapping[str, Any] = run.read(f"notebooks/{name}.ipynb")
    page = json.dumps(readable(executed, run.root, NOTE.format(profile=profile)), indent=1, ensure_ascii=False) + "\n"
    if len(page.encode()) >= LARGEST:
        raise StudyError(f"notebook {name}: expected less than {LARGEST:,} bytes, got {len(page.encode()):,}; "
                         "show fewer or smaller pictures")  # fmt: skip
    return page


def _interactive(figure: Path) -> str:
    """A page with the figure: interactive where Plotly's script can be fetched, else its PNG. A run's own pages have
    the script beside them; it is not ours to commit."""
    import plotly.io

    name = html.escape(figure.stem)
    plot = plotly.io.read_json(figure).to_html(full_html=False, include_plotlyjs="cdn", div_id=figure.stem)
    still = f'<img id="still" src="{name}.png" alt="{name}" style="max-width:100%">'
    swap = '<script>if (window.Plotly) document.getElementById("still").remove()</script>'
    return f'<!doctype html>\n<meta charset="utf-8"><title>{name}</title>\n{still}\n{plot}\n{swap}\n'
