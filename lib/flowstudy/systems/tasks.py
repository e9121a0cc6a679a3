"""What one prediction is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import Shot
from flowstudy.systems.records import Prediction, Suggestion, SystemSpec


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
