"""Executed notebooks for people who only read: PNG pictures, no script, no widget, no time, no path of this machine."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flowstudy.files import write_text

#: Largest committed notebook: code hosts show no larger ones.
LARGEST: Final = 500_000
_KEPT: Final = ("image/png", "text/html", "text/markdown", "text/plain")
_TAGS: Final = frozenset((
    "a", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del", "details", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "li", "mark", "ol", "p", "pre", "s", "small", "span",
    "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
))  # fmt: skip
_ATTRIBUTES: Final = {"*": ["class", "style", "title"], "a": ["href"], "td": ["colspan", "rowspan"],
                      "th": ["colspan", "rowspan", "scope"], "details": ["open"]}  # fmt: skip
#: Their text is no text for people; what else is not allowed loses its tag and keeps its words.
_UNREAD: Final = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


def readable(notebook: Mapping[str, Any], root: Path, note: str = "") -> dict[str, Any]:
    """A copy of an executed notebook (nbformat 4) that reads well on a code host, safe to show anywhere.

    Of a figure its PNG stays; HTML and Markdown are cleaned of scripts, handlers and links that run
    something; outputs that only a widget or Plotly could show are dropped, as is what libraries print to stderr;
    places of the machine lose their path (`root` becomes `.`, then environment, temporary files and home); execution
    times go. `note` is Markdown for a first cell.
    """
    copy: dict[str, Any] = _without_places(notebook, _places(root))
    copy["metadata"] = {k: v for k, v in copy["metadata"].items() if k in ("kernelspec", "language_info")}
    copy["cells"] = [_cell(cell) for cell in copy["cells"]]
    if note:
        first = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": note.splitlines(keepends=True)}
        copy["cells"].insert(0, first)
    return copy


def to_html(notebook: Mapping[str, Any], title: str) -> str:
    """One HTML page of what `readable` returned: no script, no request, the look of the report."""
    import jinja2
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(nbformat.reads(json.dumps(notebook), as_version=4))
    page = Path(__file__).with_name("review") / "notebook.html.j2"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    styles = HtmlFormatter(style="default").get_style_defs(".highlight")
    return environment.from_string(page.read_text(encoding="utf-8")).render(title=title, body=body, styles=styles)


def write_page(source: Path, root: Path) -> Path | None:
    """An HTML page beside an executed notebook; None when there is no notebook."""
    if not source.is_file():
        return None
    page = source.with_suffix(".html")
    write_text(page, to_html(readable(json.loads(source.read_text(encoding="utf-8")), root), source.stem))
    return page


def clean_html(text: str) -> str:
    """HTML that shows and does nothing else: known tags and attributes, harmless styles, http(s) and local links.

    >>> clean_html('<b onclick="x()">a<script>b()</script></b>')
    '<b>a</b>'
    """
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    return bleach.clean(
        _UNREAD.sub("", text), tags=_TAGS, attributes=_ATTRIBUTES, css_sanitizer=CSSSanitizer(), strip=True,
        protocols=["http", "https"],
    )  # fmt: skip


def _places(root: Path) -> dict[str, str]:
    """What each place of this machine is called in a reading copy, the longest path first."""
    named = {str(Path.home()): "~", tempfile.gettempdir(): "tmp", sys.prefix: "environment", str(root): "."}
    real = {os.path.realpath(place): name for place, name in named.items()} | named
    return {place: real[place] for place in sorted(real, key=len, reverse=True) if len(place) > 1}


def _without_places(value: Any, places: Mapping[str, str]) -> Any:
    """`value` with every path in its texts named as in `places`; pictures stay."""
    if isinstance(value, Mapping):
        return {k: v if k == "image/png" else _without_places(v, places) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_places(part, places) for part in value]
    if not isinstance(value, str):
        return value
    for place, name in places.items():
        value = re.sub(rf"(?<![\w.~<]){re.escape(place)}(?![\w-])", name, value)
    return value


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in cell["metadata"].items() if k == "tags"}
    if cell["cell_type"] != "code":
        return cell | {"metadata": metadata, "source": _lines(clean_html("".join(cell["source"])))}
    outputs = [shown for output in cell["outputs"] if (shown := _output(output)) is not None]
    return cell | {"metadata": metadata, "outputs": outputs}


def _output(output: dict[str, Any]) -> dict[str, Any] | None:
    """The output as a reader may see it; None when nothing of it can be shown."""
    if "data" not in output:
        return None if output.get("name") == "stderr" else output
    data = output["data"]
    if any("widget" in kind for kind in data):
        return None
    kept = {kind: data[kind] for kind in _KEPT if kind in data}
    for kind in ("text/html", "text/markdown"):
        if kind in kept:
            kept[kind] = _lines(clean_html("".join(kept[kind])))
    if "image/png" in kept:
        kept = {"image/png": kept["image/png"]}
    return output | {"data": kept, "metadata": {}} if kept else None


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
