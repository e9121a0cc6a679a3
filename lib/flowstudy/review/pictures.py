"""Figures to files and to notebooks: HTML, PNG, JSON and the table, all with the same stem.

A PNG needs a Chrome (kaleido draws with it). Without one the rest is written and one line says what is missing.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from flowstudy.files import write_bytes, write_csv

NO_CHROME: Final = (
    "no PNG: no Chrome or Chromium found; install one (Debian: apt-get install chromium) or set BROWSER_PATH"
)
#: Width of a picture in pixels, before `scale`.
WIDTH: Final = 860
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


class Saved(NamedTuple):
    """The files of one figure; `png` is None when no Chrome was found, and `note` says so."""

    html: Path
    json: Path
    csv: Path
    png: Path | None
    note: str = ""


def chrome() -> str | None:
    """Path of a Chrome or Chromium: `BROWSER_PATH` if set, else the first found on this machine; None without one."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        return named if Path(named).is_file() else None
    return next((path for name in _NAMES if (path := shutil.which(name))), _MAC if Path(_MAC).is_file() else None)


@functools.cache
def _drawer() -> bool:
    """Start kaleido's browser once per process: 0.15 s per picture afterwards instead of 4 s."""
    import kaleido

    path = chrome()
    if path is None:
        return False
    os.environ.setdefault("BROWSER_PATH", path)
    kaleido.start_sync_server(silence_warnings=True, mathjax=False, n=1)
    return True


def png_bytes(figure: Any) -> bytes | None:
    """The figure as a PNG for sharp screens: two pixels for each of its own (`WIDTH` where it names none); None without
    a Chrome."""
    if not _drawer():
        return None
    return _drawn(figure.to_json(), figure.layout.width or WIDTH, figure.layout.height or 450)


def narrow(figure: Any, width: int) -> Any:
    """A copy for a phone, `width` pixels wide: smaller names down the side, title and axis titles wrapped, names along
    the bottom (where the figure sets them level) on end."""
    import plotly.graph_objects as go

    copy = go.Figure(figure)
    heading, *below = str(copy.layout.title.text or "").split("<br>")
    lines = [line for text in below for line in _wrapped(text, width // 7)]
    more = 17 * max(0, len(lines) - len(below))
    copy.update_layout(title={"text": "<br>".join([heading, *lines])}, width=width)
    copy.update_layout(height=(copy.layout.height or 450) + more, margin={"t": (copy.layout.margin.t or 72) + more})
    copy.for_each_xaxis(lambda axis: axis.update(title={"text": "<br>".join(_wrapped(axis.title.text, width // 16))}))
    copy.update_xaxes(selector={"tickangle": 0}, tickangle=-90, tickfont={"size": 11}, automargin=True)
    return copy.update_yaxes(tickfont={"size": 11})


def _wrapped(text: str | None, size: int) -> list[str]:
    """Lines of at most `size` letters; a span around the text stays around every line."""
    inner = re.fullmatch(r"(<span [^>]*>)(.*)(</span>)", text or "", re.DOTALL)
    before, words, after = inner.groups() if inner else ("", text or "", "")
    return [f"{before}{line}{after}" for line in textwrap.wrap(words, size)] or [""]


@functools.lru_cache(maxsize=64)
def _drawn(figure: str, width: int, height: int) -> bytes:
    """Drawn once per process: the same picture goes into a file, a notebook and the report."""
    import kaleido
    import plotly.io

    parsed = plotly.io.from_json(figure)
    opts = {"format": "png", "scale": 2, "width": width, "height": height}
    return lighter(bytes(kaleido.calc_fig_sync(parsed, opts=opts)))


def lighter(picture: bytes, shrink: int = 1) -> bytes:
    """A PNG of at most 256 colours, `shrink` times smaller: charts look the same at a third of the size in bytes."""
    from PIL import Image

    image, small = Image.open(io.BytesIO(picture)).convert("RGB").reduce(shrink), io.BytesIO()
    few = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(small, format="PNG", optimize=True)
    return small.getvalue()


def save_figure(figure: Any, table: pd.DataFrame, folder: str | Path, stem: str) -> Saved:
    """Write `stem`.html, .json (Plotly), .csv (the table it was drawn from) and, with a Chrome, .png.

    The pages of a folder share one `plotly.min.js` beside them, so they open offline and stay small.
    """
    folder = Path(folder)
    paths = {kind: folder / f"{stem}.{kind}" for kind in ("html", "json", "csv", "png")}
    _write_script(folder)
    page = figure.to_html(include_plotlyjs="directory", full_html=True, config=CONFIG, div_id=stem)
    write_bytes(paths["html"], page.encode())
    write_bytes(paths["json"], figure.to_json().encode())
    write_csv(paths["csv"], table)
    picture = png_bytes(figure)
    if picture is None:
        return Saved(paths["html"], paths["json"], paths["csv"], None, NO_CHROME)
    write_bytes(paths["png"], picture)
    return Saved(paths["html"], paths["json"], paths["csv"], paths["png"])


CONFIG: Final = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


def show(figure: Any, table: pd.DataFrame | None = None) -> None:
    """Display a figure in a notebook: interactive with a PNG beside it; without Chrome interactive, then the table."""
    from IPython.display import HTML, display

    bundle: dict[str, Any] = {"application/vnd.plotly.v1+json": json.loads(figure.to_json())}
    picture = png_bytes(figure)
    if picture is None:
        display(bundle, raw=True)
        if table is not None:
            display(HTML(table_html(table)))
        print(NO_CHROME, file=sys.stderr)
        return
    small = lighter(picture, 2)  # a notebook stays small; the file beside it has the full resolution
    display(bundle | {"image/png": base64.b64encode(small).decode()}, raw=True)


def table_html(table: pd.DataFrame, *, digits: int = 3) -> str:
    """A plain, escaped HTML table: figures to `digits` places, gaps as a dash."""
    head = "".join(f"<th>{html.escape(str(name).replace('_', ' '))}</th>" for name in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td{_kind(cell)}>{html.escape(cell_text(cell, digits))}</td>" for cell in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def cell_text(value: object, digits: int = 3) -> str:
    """What a table shows for one value: a dash for a gap, ∞ for never, a fixed number of digits for a fraction."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, (bool, str)):
        return {True: "yes", False: ""}.get(value, str(value)) if isinstance(value, bool) else value
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = float(value)  # type: ignore[arg-type]
        if math.isinf(number):
            return "∞" if number > 0 else "−∞"
        return f"{number:.0f}" if number.is_integer() and abs(number) >= 10 else f"{number:.{digits}f}"
    return str(value)


def _kind(value: object) -> str:
    return ' class="number"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _write_script(folder: Path) -> None:
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    script, stamp = folder / "plotly.min.js", f"plotly.js v{get_plotlyjs_version()}".encode()
    if not script.is_file() or stamp not in script.read_bytes()[:400]:
        write_bytes(script, get_plotlyjs().encode())


def show_or_say(draw: Callable[[], Any], table: pd.DataFrame, folder: Path, stem: str) -> None:
    """In a notebook: draw, save beside its table, and show; print the reason where there is nothing to draw."""
    from flowstudy.review.drawing import NothingToDraw

    try:
        figure = draw()
    except NothingToDraw as reason:
        print(reason)
        return
    save_figure(figure, table, folder, stem)
    show(figure, table)
