"""The report: one HTML file that opens offline, the answer first, readable on a phone and in print.

Pictures are PNG (one for wide and one for narrow screens) when a Chrome is found, else interactive figures with
Plotly's script embedded once. No request leaves the page, and everything from outside is escaped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict

from flowstudy.analysis.decision import Decision
from flowstudy.files import write_bytes
from flowstudy.metrics import signature
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.pictures import narrow, png_bytes, save_figure, table_html
from flowstudy.review.theme import PALETTE

LARGEST: Final = 6_000_000
_NARROW: Final = 420
_ROWS: Final = 60
_ACCENTS: Final = {"fine-tune": PALETTE[0], "prompt": PALETTE[1], "hybrid": "#00805B", "cannot tell yet": "#5A6472"}

METHODS: Final = (
    "Quality is FlowSim: one minus the tree edit distance of two workflows over the sum of their sizes; 1 is the "
    f"reference itself. Decisions rest on the strict convention ({signature()}); the one published with StarFlow "
    "(arXiv 2503.21889) stands beside it in notebook 04. FlowSim counts edits and does not see what they do. An answer "
    "is called right where it does the same as a reference in every situation (both are interpreted over symbolic "
    "values), has no fault against the catalogue and refers to nothing that is not there; nearly right where at most "
    "two corrections are left.",
    "All answers went through the same parser; suggestions, shots and decoding are settings of each system (Who took "
    "part), and what differs between two stands beside their comparison. An answer without a readable workflow scores "
    "0; a request that got no answer (provider error, budget) is counted and not scored.",
    "Comparisons are paired by example. Intervals are 95 % studentised bootstrap intervals: examples that came from "
    "one workflow are resampled together, repeats of a request are averaged first and, in `nested_low` and "
    "`nested_high`, resampled too. The answer chooses who stands for each kind on validation examples, or pays for the "
    "choice with wider intervals; “not worse” rests on a one-sided 95 % bound. p-values come from paired permutation "
    "tests and are adjusted by Holm's method over all comparisons. Groups below 10 examples are drawn hollow.",
    "The question and the measures follow Marquez Ayala et al., arXiv 2505.24189; the data is another one, so compare "
    "patterns, not absolute numbers.",
)


class Picture(NamedTuple):
    """A figure with its caption and the table it was drawn from."""

    figure: Any
    caption: str
    table: pd.DataFrame | None = None


class Table(NamedTuple):
    """A table that stands on its own."""

    table: pd.DataFrame
    caption: str = ""


class Missing(NamedTuple):
    """The sentence that stands where a figure cannot be drawn."""

    reason: str


class Section(BaseModel):
    """A heading, a sentence or two, and what is shown under it."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    heading: str
    text: str = ""
    parts: Sequence[Any] = ()


def write_report(
    path: str | Path,
    decision: Decision,
    sections: Iterable[Section],
    *,
    limits: str = "",
    lacking: Mapping[str, str] | None = None,
    provenance: Mapping[str, object] | None = None,
    pages: Sequence[str] = (),
) -> Path:
    """Write the report to `path` (atomically) and return it; a section's parts are `Picture`, `Table` or `Missing`.

    `lacking` maps systems that answered less than all, or whose model was exchanged, to how and why: it stands first.
    `pages` are links to executed notebooks beside the report, named after their files.
    Raises ValueError when the file would be larger than 6 MB: show fewer pictures or smaller tables.
    """
    import jinja2

    shown, interactive = _sections(sections)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = resources.files("flowstudy.review").joinpath("report.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        decision=decision, accent=_ACCENTS[decision.answer], sections=shown, limits=limits,
        lacking=dict(lacking or {}),
        plotly_script=_plotly_script() if interactive else "", methods=METHODS,
        pages=[(page, Path(page).stem) for page in pages],
        provenance=[(str(k), _flat(v)) for k, v in (provenance or {}).items()],
    )  # fmt: skip
    data = text.encode("utf-8")
    if len(data) > LARGEST:
        raise ValueError(f"report {path}: expected at most {LARGEST:,} bytes, got {len(data):,}; show fewer pictures")
    return write_bytes(path, data)


def drawn(
    draw: Callable[[], Any], table: pd.DataFrame, folder: Path, stem: str, caption: str, *, show_table: bool = True
) -> Picture | Missing:
    """Draw, save beside its table, and hand to the report; the reason where there is nothing to draw."""
    try:
        figure = draw()
    except NothingToDraw as reason:
        return Missing(str(reason))
    save_figure(figure, table, folder, stem)
    return Picture(figure, caption, table if show_table else None)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV of the run; an empty table where an earlier notebook had nothing to write."""
    return pd.read_csv(path) if path.is_file() and path.stat().st_size > 1 else pd.DataFrame()


def not_run(roster: pd.DataFrame) -> dict[str, str]:
    """Systems of the roster that could not run: name to reason and the line that enables them."""
    rows = roster[~roster["ready"].astype(bool)].to_dict("records")
    return {str(row["system"]): f"{row['reason']} ({row['fix']})" for row in rows}


def provenance(manifest: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> dict[str, object]:
    """What the report says about where its figures come from: code, machine, packages, and the facts given."""
    known = manifest or {}
    code = known.get("code", {})
    dirty = " with local changes" if code.get("dirty") else ""
    return {
        **facts,
        "code": f"{str(code.get('commit') or 'no commit known')[:12]}{dirty}",
        "hardware": ", ".join(f"{name} {value}" for name, value in known.get("hardware", {}).items() if value),
        "packages": ", ".join(f"{name} {value}" for name, value in known.get("packages", {}).items() if value),
    }


def _sections(sections: Iterable[Section]) -> tuple[list[dict[str, Any]], bool]:
    shown, number, interactive = [], 0, False
    for section in sections:
        parts = []
        for part in section.parts:
            number += isinstance(part, Picture)
            parts.append(_part(part, number))
            interactive |= "json" in parts[-1]
        shown.append({"heading": section.heading, "text": section.text, "parts": parts})
    return shown, interactive


def _part(part: Picture | Table | Missing, number: int) -> dict[str, Any]:
    from markupsafe import Markup

    if isinstance(part, Missing):
        return {"absent": part.reason[:1].upper() + part.reason[1:]}
    table = None if part.table is None else Markup(_short_table(part.table))
    if isinstance(part, Table):
        return {"absent": "", "table_only": True, "table": table, "caption": part.caption}
    shown = {"absent": "", "table_only": False, "number": number, "caption": part.caption, "table": table}
    picture = png_bytes(part.figure)
    if picture is not None:
        small = png_bytes(narrow(part.figure, _NARROW)) or b""
        coded = {name: base64.b64encode(data).decode() for name, data in (("picture", picture), ("narrow", small))}
        return shown | coded
    height = part.figure.layout.height or 450
    return shown | {"picture": "", "json": Markup(_script_json(part.figure)), "height": height}


def _short_table(table: pd.DataFrame) -> str:
    note = f"<p>The first {_ROWS} of {len(table):,} rows.</p>" if len(table) > _ROWS else ""
    return table_html(table.head(_ROWS)) + note


def _script_json(figure: Any) -> str:
    """Figure JSON that cannot end the script element it stands in."""
    text = json.dumps(json.loads(figure.to_json()), ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plotly_script() -> Any:
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(item)}" for name, item in value.items())
    return ", ".join(map(_flat, value)) if isinstance(value, (list, tuple)) else str(value)
