"""An explanation as a readable diff: plain text, and escaped HTML side by side."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from flowstudy.metrics.explanation import Edit, Explanation, Place

_SIGNS: Final = {"matched": " ", "relabelled": "~", "inserted": "+", "deleted": "-"}
#: Blue and orange stay apart for all common kinds of colour blindness; signs and lines say the same without colour.
_STYLES: Final = {
    "matched": "",
    "relabelled": "background:#fff3c4;text-decoration:underline dotted",
    "inserted": "background:#d6e6f5;text-decoration:underline",
    "deleted": "background:#fbe0cc;text-decoration:line-through",
    "moved": "background:#eeeeee;font-style:italic",
}
_LONGEST: Final = 300


class _Row(NamedTuple):
    style: str
    sign: str
    candidate: str
    reference: str
    note: str


def diff_text(explanation: Explanation) -> str:
    """One line per edit, indented by depth: `-` only in the candidate, `+` missing from it, `~` changed, `>` moved.

    >>> from flowstudy.metrics import explain
    >>> daily, weekly = ({"trigger": {"type": t}, "components": []} for t in ("daily", "weekly"))
    >>> print(diff_text(explain(daily, weekly)))
    similarity 0.0000, distance 2, ok
    - trigger daily
    + trigger weekly
    """
    lines = [_headline(explanation)]
    for row in _rows(explanation):
        if row.style == "relabelled" or (row.candidate and row.reference and row.candidate != row.reference):
            lines += [f"{row.sign} {row.candidate}", f"{row.sign} {row.reference}{row.note}"]
        else:
            lines.append(f"{row.sign} {row.candidate or row.reference}{row.note}")
    return "\n".join(line.rstrip() for line in lines)


def diff_html(explanation: Explanation) -> str:
    """A table, candidate left and reference right, as HTML without scripts; all text from flows is escaped."""
    head = "<tr><th></th><th>candidate</th><th>reference</th><th>edit</th></tr>"
    body = "".join(_html_row(row) for row in _rows(explanation))
    return (
        '<table class="flow-diff" style="border-collapse:collapse;font:13px monospace;color:#111;background:#fff">'
        f'<caption style="text-align:left;color:#111;background:#fff">{escape(_headline(explanation))}</caption>'
        f"<thead>{head}</thead><tbody>{body}</tbody></table>"
    )


def _headline(explanation: Explanation) -> str:
    return f"similarity {explanation.similarity:.4f}, distance {explanation.distance:g}, {explanation.status}"


def _rows(explanation: Explanation) -> Iterator[_Row]:
    for edit in explanation.edits:
        moved = edit.moved is not None
        style = "moved" if moved else edit.kind
        sign = ">" if moved else _SIGNS[edit.kind]
        yield _Row(style, sign, _line(edit.candidate), _line(edit.reference), _note(edit, explanation))


def _note(edit: Edit, explanation: Explanation) -> str:
    if edit.moved is not None:
        other = explanation.edits[edit.moved]
        place = other.reference or other.candidate
        where = " / ".join(place.path[:-1]) if place and len(place.path) > 1 else "the top level"
        return f"  (moved {'to' if edit.kind == 'deleted' else 'from'}: {_short(where)})"
    return f"  (cost {edit.cost:.4g})" if edit.kind == "relabelled" else ""


def _line(place: Place | None) -> str:
    if place is None:
        return ""
    return "  " * (len(place.path) - 1) + _short(place.text)


def _short(text: str) -> str:
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _html_row(row: _Row) -> str:
    style = _STYLES[row.style]
    cell = '<td style="padding:1px 8px;white-space:pre-wrap;{}">{}</td>'
    left = cell.format(style if row.candidate else "", _safe(row.candidate))
    right = cell.format(style if row.reference else "", _safe(row.reference))
    note = cell.format("color:#444", _safe(row.note.strip()))
    return f"<tr>{cell.format('', _safe(row.sign))}{left}{right}{note}</tr>"


def _safe(text: str) -> str:
    """Escaped, and without lone surrogates, which no file can hold."""
    return escape(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
