"""Tags in and out of files: JSON Lines and CSV of our own, and Label Studio's JSON for teams that annotate there."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from flowstudy.files import write_text
from flowstudy.review import label_studio
from flowstudy.review.tag_schema import LISTS
from flowstudy.review.tags import Tag

_KNOWN: Final = ".jsonl, .csv or .json (Label Studio)"


class ExchangeError(ValueError):
    """A file of tags that cannot be read; the message names file, line and rule."""


def export_tags(tags: Iterable[Tag], path: str | Path) -> Path:
    """Write tags to `path` and return it; the name says the format.

    `.jsonl`: one tag per line. `.csv`: the same fields, lists as JSON. `.json`: Label Studio's tasks (see
    `label_studio`), without drafts and undone verdicts, which it has no words for.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix) or _refuse("export", path)
    return write_text(path, write(list(tags)))


def import_tags(path: str | Path) -> list[Tag]:
    """Read what `export_tags` wrote, also after a spreadsheet saved it with a byte order mark; adding the tags to a
    store twice changes nothing, as ids stay.

    Raises ExchangeError naming every broken line (CSV, JSON Lines) or task (Label Studio).
    """
    path = Path(path)
    read = _READERS.get(path.suffix) or _refuse("import", path)
    tags, faults = [], []
    for where, raw in _numbered(read, path):
        try:
            tags.append(Tag.model_validate_json(raw) if isinstance(raw, str) else Tag.model_validate(raw))
        except ValidationError as error:
            first = error.errors()[0]
            faults.append(f"{path}:{where}: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}")
    if faults:
        raise ExchangeError("tags: expected one verdict per line; " + "; ".join(faults[:20]))
    return tags


def _numbered(read: Callable[[Path], Sequence[tuple[int, Any]]], path: Path) -> Sequence[tuple[int, Any]]:
    try:
        return read(path)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error, label_studio.FormatError) as error:
        raise ExchangeError(f"tags: expected a readable {path.suffix} file; {path}: {error}") from None


def _refuse(verb: str, path: Path) -> NoReturn:
    raise ExchangeError(f"{verb} {path}: expected a name ending in {_KNOWN}, got {path.suffix!r}; rename it")


def _to_jsonl(tags: Sequence[Tag]) -> str:
    return "".join(tag.model_dump_json() + "\n" for tag in tags)


def _from_jsonl(path: Path) -> list[tuple[int, Any]]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _to_csv(tags: Sequence[Tag]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(Tag.model_fields), lineterminator="\r\n")
    writer.writeheader()
    for tag in tags:
        lists = {name: json.dumps(getattr(tag, name), ensure_ascii=False) for name in LISTS}
        writer.writerow(tag.model_dump() | lists)
    return buffer.getvalue()


def _from_csv(path: Path) -> list[tuple[int, Any]]:
    """The rows of a table, whatever list separator and encoding a spreadsheet saved it with."""
    rows: list[tuple[int, Any]] = []
    data = path.read_bytes()
    text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    mark = re.match(r"sep=(.)\r?\n", text)
    text = text[mark.end() :] if mark else text
    separator = mark[1] if mark else max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    for number, row in enumerate(lines, start=3 if mark else 2):
        raw: dict[str, Any] = {name: value for name, value in row.items() if value not in (None, "")}
        raw |= {name: _list(row.get(name) or "[]") for name in LISTS}
        if separator != "," and "seconds" in raw:
            raw["seconds"] = raw["seconds"].replace(",", ".")  # the decimal sign where `;` separates
        rows.append((number, raw))
    return rows


def _list(text: str) -> Any:
    """A list in a CSV cell; what is not JSON stays text, and the tag's own check says what was expected."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _from_label_studio(path: Path) -> list[tuple[int, Any]]:
    return list(enumerate(label_studio.from_tasks(path.read_text(encoding="utf-8-sig")), start=1))


def _to_label_studio(tags: Sequence[Tag]) -> str:
    return json.dumps(label_studio.to_tasks(tags), ensure_ascii=False, indent=1) + "\n"


_WRITERS: Final = {".jsonl": _to_jsonl, ".csv": _to_csv, ".json": _to_label_studio}
_READERS: Final = {".jsonl": _from_jsonl, ".csv": _from_csv, ".json": _from_label_studio}
