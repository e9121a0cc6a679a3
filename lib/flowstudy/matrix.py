"""The `matrix` of study.yaml: axes whose values are combined into the cells of a sweep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flowstudy.systems.records import RetrieverName, Strategy

T = TypeVar("T")
#: Values of an axis; a single one may stand without brackets.
OneOrMore = Annotated[list[T], BeforeValidator(lambda value: [value] if isinstance(value, str | int) else value)]
Whole = Annotated[int, Field(strict=True, ge=0)]
#: Axis to the word that stands before its value in the name of a cell.
AXES: Final = {
    "corpora": "", "systems": "", "models": "", "strategies": "", "retrievers": "", "shots": "shots",
    "training_sizes": "train", "seeds": "seed",
}  # fmt: skip
Values = dict[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Axes(_Section):
    """Values per axis; an empty axis leaves what the study says."""

    corpora: OneOrMore[str] = []
    systems: OneOrMore[str] = []
    models: OneOrMore[str] = []
    strategies: OneOrMore[Strategy] = []
    retrievers: OneOrMore[RetrieverName] = []
    shots: OneOrMore[Whole] = []
    training_sizes: OneOrMore[Whole] = []
    seeds: OneOrMore[Whole] = []

    def axes(self) -> dict[str, list[Any]]:
        """The axes that have values, in the order of `AXES`."""
        return {name: values for name in AXES if (values := getattr(self, name))}

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
        kept = [cell for cell in self._base() if not any(corner.matches(cell) for corner in self.exclude)]
        kept += [cell for corner in self.include for cell in corner.product() if corner.axes()]
        return list({json.dumps(cell, sort_keys=True): cell for cell in kept}.values())

    def idle(self) -> list[Axes]:
        """The rules of `exclude` that leave nothing out."""
        return [corner for corner in self.exclude if not any(map(corner.matches, self._base()))]

    def _base(self) -> list[Values]:
        return list(self.product()) if self.axes() else []
