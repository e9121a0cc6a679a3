"""Answers that one already has (of a product, a vendor, an old run) take part as a system, and nobody is called.

A model that ends in `.jsonl` is the path of such a file: a line for each answer with the `id` of the example and either
`text`, as it was written, or `flow`, a JSON object; where they are known, also `repeat` (from 0), `cost_usd`,
`latency_s` and `model`. Texts go through the same parser as everybody's.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flowstudy.flows.outline import to_outline
from flowstudy.systems.journal import read_lines
from flowstudy.systems.readers import read_flow
from flowstudy.systems.records import Call, Prediction
from flowstudy.systems.tasks import Task, some


class Recorded(BaseModel):
    """One line of the file; None means not known, never zero."""

    model_config = ConfigDict(extra="forbid")

    id: str
    text: str | None = None
    flow: dict[str, Any] | None = None
    repeat: int = Field(default=0, ge=0)
    cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    latency_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    model: str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Recorded:
        if (self.text is None) == (self.flow is None):
            raise ValueError("expected either `text` or `flow`")
        return self


def read_recorded(path: str | Path) -> dict[tuple[str, int], Recorded]:
    """The answers of a file by example and repeat. Raises ValueError naming the file, and the line that is broken or
    the example that has two answers."""
    if not Path(path).is_file():
        raise ValueError(f"recorded answers {path}: expected a file, got none; check the path")
    found: dict[tuple[str, int], Recorded] = {}
    for number, line in enumerate(read_lines(path), start=1):
        try:
            one = Recorded.model_validate(line)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise ValueError(f"recorded answers {path}: answer {number}: {where} {fault['msg']}; mend it") from None
        if (one.id, one.repeat) in found:
            raise ValueError(
                f"recorded answers {path}: expected one answer for {one.id}, got two; "
                "delete one, or number them with `repeat`"
            )
        found[one.id, one.repeat] = one
    return found


def recorded_prediction(task: Task, answer: Recorded) -> Prediction:
    """A recorded answer, read like one that was just given."""
    text = json.dumps(answer.flow, ensure_ascii=False) if answer.text is None else answer.text
    parsed = read_flow(text, "json", task)
    call = Call(
        stage="recorded", model=answer.model or task.spec.model, cost_usd=answer.cost_usd, latency_s=answer.latency_s
    )
    return Prediction(
        example=task.example, system=task.spec.name, repeat=task.repeat, text=text, flow=parsed.flow,
        status="repaired" if parsed.flow is not None and parsed.repairs else parsed.status, calls=[call],
        outline=None if parsed.flow is None else to_outline(parsed.flow), repairs=list(parsed.repairs),
        error=parsed.error, key=task.key, started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def mismatches(path: str, wanted: Collection[str]) -> list[str]:
    """Requirements without a recorded answer, and answers to what is none of the requirements, a line each."""
    given = dict.fromkeys(name for name, _ in read_recorded(path))
    found = {
        "no recorded answer to": [name for name in wanted if name not in given],
        "recorded answers to what is not asked here:": [name for name in given if name not in wanted],
    }
    return [f"{path}: {what} {some(ids)}" for what, ids in found.items() if ids]
