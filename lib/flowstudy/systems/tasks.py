"""What one prediction is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import Rendered, Shot, Stage, render
from flowstudy.systems.prompts.offering import ENCODED, Conditions
from flowstudy.systems.records import Prediction, Suggestion, SystemSpec

_NAMED: Final = 5


class Task(NamedTuple):
    """A requirement with what a system is offered and shown; `suggestions` and `shots` may be empty."""

    spec: SystemSpec
    example: str
    requirement: str
    suggestions: Sequence[Suggestion]
    shots: Sequence[Shot]
    catalogue: Catalogue
    repeat: int = 0
    key: str = ""
    #: Another system's answer whose outline is taken: only its inputs are asked for.
    outline: Prediction | None = None
    conditions: Conditions = ENCODED
    #: Shots that the prompt had no room for.
    dropped_shots: int = 0


def prompted(task: Task, stage: Stage, **more: Any) -> Rendered:
    """The messages of one stage of a task; `more` is what `prompts.render` takes for it."""
    shown = (task.requirement, task.suggestions, task.catalogue, task.shots)
    return render(task.spec, stage, *shown, conditions=task.conditions, **more)


def some(ids: Sequence[str]) -> str:
    """How many ids there are, and the first of them.

    >>> some(["a", "b"])
    '2 (a, b)'
    """
    return f"{len(ids)} ({', '.join(ids[:_NAMED])}{', ...' if len(ids) > _NAMED else ''})"
