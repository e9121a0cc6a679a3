"""The `matrix` of study.yaml: axes whose values are combined into the cells of a sweep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Strategy = Literal["whole", "decomposed"]
Retriever = Literal["none", "lexical", "trained", "oracle"]
#: Axis to the word that stands before its value in the name of a cell.
AXES: Final = {
    "corpora": "", "systems": "", "models": "", "strategies": "", "retrievers": "", "shots": "shots",
    "training_sizes": "train", "seeds": "seed",
}  # fmt: skip
Values = dict[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Axes(_Section):
    """Values per axis; an empty axis leaves what the study says. A single value may stand without brackets."""

    corpora: list[str] | str = []
    systems: list[str] | str = []
    models: list[str] | str = []
    strategies: list[Strategy] | Strategy = []
    retrievers: list[Retriever] | Retriever = []
    shots: list[int] | int = []
    training_sizes: list[int] | int = []
    seeds: list[int] | int = []

    def axes(self) -> dict[str, list[Any]]:
        """The axes that have values, in the order of `AXES`."""
        found = {name: getattr(self, name) for name in AXES}
        lists = {name: value if isinstance(value, list) else [value] for name, value in found.items()}
        return {name: values for name, values in lists.items() if values}

    def product(self) -> Iterator[Values]:
        """Every combination of the values; one empty combination when no axis has any."""
        axes = self.axes()
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True))

    def matches(self, cell: Values) -> bool:
        """Whether a cell has one of the values on every axis given here; a corner without axes matches nothing."""
        axes = self.axes()
        return bool(axes) and all(cell.get(name) in values for name, values in axes.items())


class Matrix(Axes):
    """Axes, combinations to leave out (`exclude`) and more combinations of their own (`include`)."""

    include: list[Axes] = Field(default_factory=list)
    exclude: list[Axes] = Field(default_factory=list)

    def combinations(self) -> list[Values]:
        """The cells: every combination that `exclude` does not match, then those of `include`; each once.

        >>> Matrix(seeds=[1, 2], exclude=[Axes(seeds=2)], include=[Axes(shots=[0])]).combinations()
        [{'seeds': 1}, {'shots': 0}]
        """
        base = list(self.product()) if self.axes() else []
        kept = [cell for cell in base if not any(corner.matches(cell) for corner in self.exclude)]
        kept += [cell for corner in self.include for cell in corner.product() if corner.axes()]
        return list({json.dumps(cell, sort_keys=True): cell for cell in kept}.values())
