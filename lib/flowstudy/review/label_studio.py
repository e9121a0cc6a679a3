"""Label Studio's JSON: tasks to annotate there, annotations back as tags, and the labelling interface they need.

Formats: https://labelstud.io/guide/task_format (tasks, annotations, results), https://labelstud.io/guide/predictions
(pre-annotations), https://labelstud.io/tags/choices (a `Choice` with an alias is stored under the alias).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from flowstudy.analysis.explained import explain_answer
from flowstudy.analysis.taxonomy import Taxonomy
from flowstudy.analysis.verdicts import fingerprint
from flowstudy.flows import to_outline
from flowstudy.review.sampling import Item
from flowstudy.review.tags import Tag, standing


class FormatError(ValueError):
    """A file that is not Label Studio's export of our tasks; the message names the task."""


def labelling_config(taxonomy: Taxonomy) -> str:
    """The labelling interface, as XML to paste into a project's settings: flows, categories with hotkeys, a note."""
    lines = ["<View>", '  <Header value="Requirement"/>', '  <Text name="requirement" value="$requirement"/>']
    for name in ("expected", "generated"):
        lines += [f'  <Header value="{name.capitalize()}"/>', f'  <Text name="{name}" value="${name}"/>']
    lines.append('  <Choices name="categories" toName="generated" choice="multiple">')
    for name, category in taxonomy.categories.items():
        hotkey = f" hotkey={quoteattr(category.key)}" if category.key else ""
        hint = quoteattr(f"{category.definition} {category.rule}".strip())
        lines.append(f"    <Choice value={quoteattr(category.title)} alias={quoteattr(name)}{hotkey} hint={hint}/>")
    lines += ["  </Choices>", '  <TextArea name="note" toName="generated" placeholder="Note"/>', "</View>"]
    return "\n".join(lines) + "\n"


def to_annotate(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Tasks for Label Studio: requirement and both flows as outlines, the proposed tags as a prediction."""
    tasks = []
    for item in items:
        prediction = item.prediction
        proposed = [tag.category for tag in explain_answer(prediction, item.example, item.catalogue).tags]
        generated = to_outline(prediction.flow) if prediction.flow is not None else prediction.text
        shown = {"requirement": item.example.requirement, "expected": to_outline(item.example.flow)}
        data = _data(item.place, fingerprint(prediction)) | shown | {"generated": generated}
        pre = {"model_version": "flowstudy", "result": [_choices(list(dict.fromkeys(proposed)))]}
        tasks.append({"data": data, "predictions": [pre]})
    return tasks


def to_tasks(tags: Iterable[Tag]) -> list[dict[str, Any]]:
    """Standing verdicts as annotated tasks: one per prediction, one annotation per person; drafts are left out."""
    tasks: dict[tuple[str, str, int], dict[str, Any]] = {}
    for tag in standing(tags):
        if tag.state == "draft":
            continue
        task = tasks.setdefault(tag.place, {"data": _data(tag.place, tag.answer), "annotations": []})
        task["annotations"].append(_annotation(tag))
    return list(tasks.values())


def _data(place: tuple[str, str, int], answer: str | None) -> dict[str, Any]:
    system, example, repeat = place
    return {"system": system, "example": example, "repeat": repeat, "answer": answer}


def _choices(categories: Sequence[str]) -> dict[str, Any]:
    value = {"choices": list(categories)}
    return {"from_name": "categories", "to_name": "generated", "type": "choices", "value": value}


def _annotation(tag: Tag) -> dict[str, Any]:
    note = {"from_name": "note", "to_name": "generated", "type": "textarea", "value": {"text": [tag.note]}}
    return {
        "unique_id": tag.id, "completed_by": {"email": tag.annotator}, "was_cancelled": tag.state == "skipped",
        "ground_truth": tag.role == "adjudicator", "created_at": tag.created_at, "lead_time": tag.seconds,
        "result": [_choices(tag.categories), *([note] if tag.note else [])],
    }  # fmt: skip


def from_tasks(text: str) -> list[dict[str, Any]]:
    """The fields of one `Tag` per annotation of a Label Studio JSON export; raises FormatError for other files."""
    tasks = json.loads(text)
    if not isinstance(tasks, list):
        raise FormatError(f"expected a list of tasks (export as JSON), got {type(tasks).__name__}")
    found: list[dict[str, Any]] = []
    for number, task in enumerate(tasks, start=1):
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict) or not {"system", "example"} <= set(data):
            raise FormatError(f"task {number}: expected data with system and example, got {str(data)[:80]}")
        for annotation in task.get("annotations") or []:
            if not isinstance(annotation, dict):
                raise FormatError(f"task {number}: expected annotations with results, got {str(annotation)[:80]}")
            found.append(_fields(data, annotation))
    return found


def _fields(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, Any]:
    values = [result.get("value") or {} for result in annotation.get("result") or [] if isinstance(result, dict)]
    texts = [text if isinstance(text, list) else [text] for value in values if (text := value.get("text"))]
    by = annotation.get("completed_by")
    id, created_at = annotation.get("unique_id") or _own_id(data, annotation), annotation.get("created_at")
    corrected = annotation.get("updated_at")
    if corrected and corrected != created_at:  # a correction keeps the id there; here it is a later tag
        id, created_at = uuid.uuid5(uuid.NAMESPACE_OID, f"{id} {corrected}").hex, corrected
    known = {"id": id, "created_at": created_at}
    return {
        "annotator": str(by.get("email") or by.get("id") if isinstance(by, dict) else by),
        "system": data["system"], "example": data["example"], "repeat": data.get("repeat", 0),
        "answer": data.get("answer"), "state": "skipped" if annotation.get("was_cancelled") else "done",
        "role": "adjudicator" if annotation.get("ground_truth") else "annotator",
        "categories": [choice for value in values for choice in value.get("choices", [])],
        "note": "\n".join(str(line) for lines in texts for line in lines),
        "seconds": annotation.get("lead_time"), **{name: value for name, value in known.items() if value},
    }  # fmt: skip


def _own_id(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> str:
    """An id made of the annotation where an older version gave none: read twice, it is the same tag."""
    return uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([data, annotation], sort_keys=True)).hex
