"""From the tables of notebook 06 to the report: figures drawn, saved and captioned, what cannot be drawn said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flowstudy.review.figures import NothingToDraw
from flowstudy.review.pictures import save_figure
from flowstudy.review.report import Missing, Picture


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
