"""Tags in and out: JSON Lines and CSV of our own, and Label Studio's JSON for teams that annotate there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from flowstudy.review.tags import Tag

_LISTS: Final = ("categories", "proposed")


class ExchangeError(ValueError):
    """A file of tags that cannot be read; the message names file, line and rule."""


def export_tags(tags: Iterable[Tag], path: str | Path) -> Path:
    """Write tags to `path`: JSON Lines for .jsonl, CSV (lists joined by a space) for .csv. Returns the path."""
    path = Path(path)
    if path.suffix == ".csv":
        text = _to_csv(tags)
    elif path.suffix == ".jsonl":
        text = "".join(tag.model_dump_json() + "\n" for tag in tags)
    else:
        raise ExchangeError(f"export {path}: expected a name ending in .jsonl or .csv, got {path.suffix!r}; rename it")
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)
    return path


def import_tags(path: str | Path) -> list[Tag]:
    """Read what `export_tags` wrote; adding them to a store twice changes nothing, as ids stay.

    Raises ExchangeError naming every broken line.
    """
    path = Path(path)
    if path.suffix == ".csv":
        raws = _csv_rows(path)
    elif path.suffix == ".jsonl":
        raws = [(n, line) for n, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1) if line.strip()]
    else:
        raise ExchangeError(f"import {path}: expected a name ending in .jsonl or .csv, got {path.suffix!r}; rename it")
    tags, faults = [], []
    for number, raw in raws:
        try:
            tags.append(Tag.model_validate_json(raw) if isinstance(raw, str) else Tag.model_validate(raw))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            faults.append(f"{path}:{number}: {where}: {first['msg']}")
    if faults:
        raise ExchangeError("tags: expected one verdict per line; " + "; ".join(faults[:20]))
    return tags


def _to_csv(tags: Iterable[Tag]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(Tag.model_fields), lineterminator="\n")
    writer.writeheader()
    for tag in tags:
        row = tag.model_dump()
        writer.writerow({name: " ".join(value) if name in _LISTS else value for name, value in row.items()})
    return buffer.getvalue()


def _csv_rows(path: Path) -> list[tuple[int, Any]]:
    rows: list[tuple[int, Any]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            raw: dict[str, Any] = {name: row.get(name) for name in Tag.model_fields if row.get(name) not in (None, "")}
            raw |= {name: (row.get(name) or "").split() for name in _LISTS}
            rows.append((number, raw))
    return rows


def to_label_studio(tags: Iterable[Tag]) -> list[dict[str, Any]]:
    """Label Studio's JSON (one task per prediction, one `choices` result per annotator).

    Format: https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks.
    """
    tasks: dict[tuple[str, str, int], dict[str, Any]] = {}
    for tag in tags:
        data = {"system": tag.system, "example": tag.example, "repeat": tag.repeat}
        task = tasks.setdefault(tag.place, {"data": data, "annotations": []})
        cancelled = tag.state == "skipped"
        choice = {"from_name": "categories", "to_name": "flow", "type": "choices", "value": {"choices": tag.categories}}
        note = {"from_name": "note", "to_name": "flow", "type": "textarea", "value": {"text": [tag.note]}}
        task["annotations"].append(
            {
                "unique_id": tag.id, "completed_by": {"email": tag.annotator}, "was_cancelled": cancelled,
                "created_at": tag.created_at, "lead_time": tag.seconds,
                "result": [choice, note] if tag.note else [choice],
            }
        )  # fmt: skip
    return list(tasks.values())


def from_label_studio(text: str) -> list[Tag]:
    """Tags from Label Studio's JSON export of tasks whose data names system, example and repeat."""
    tags = []
    for number, task in enumerate(json.loads(text)):
        data = task.get("data", {})
        if not {"system", "example"} <= set(data):
            raise ExchangeError(f"Label Studio task {number}: expected data with system and example, got {[*data]}")
        for annotation in task.get("annotations", []):
            tags.append(_from_annotation(data, annotation))
    return tags


def _from_annotation(data: dict[str, Any], annotation: dict[str, Any]) -> Tag:
    values = [result.get("value", {}) for result in annotation.get("result", [])]
    by = annotation.get("completed_by")
    known = {"id": annotation.get("unique_id"), "created_at": annotation.get("created_at")}
    return Tag(
        annotator=str(by.get("email", by.get("id")) if isinstance(by, dict) else by),
        system=data["system"],
        example=data["example"],
        repeat=int(data.get("repeat", 0)),
        state="skipped" if annotation.get("was_cancelled") else "done",
        categories=[choice for value in values for choice in value.get("choices", [])],
        note=" ".join(text for value in values for text in value.get("text", [])),
        seconds=annotation.get("lead_time"),
        **{name: value for name, value in known.items() if value},
    )


def save_label_studio(tags: Iterable[Tag], path: str | Path) -> Path:
    """Write `to_label_studio(tags)` as a JSON file that Label Studio imports."""
    path = Path(path)
    path.write_text(json.dumps(to_label_studio(tags), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
