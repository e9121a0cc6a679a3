"""The training examples that are most like a requirement: shots for prompts, and the nearest-example baseline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.words import WordIndex, words


class ExampleIndex:
    """BM25 over the requirements of training examples. Build once, ask often."""

    def __init__(self, train: Sequence[Example]) -> None:
        self.examples = list(train)
        self._index = WordIndex([words(example.requirement) for example in self.examples])

    def nearest(self, requirement: str, k: int, exclude: str | None = None) -> list[Example]:
        """The k closest examples, closest first; fewer when there are fewer. `exclude` is an example id left out."""
        ranked = (self.examples[place] for place, _ in self._index.ranked(words(requirement)))
        return list(islice((example for example in ranked if example.id != exclude), max(0, k)))


_KEPT: Final[dict[tuple[int, ...], ExampleIndex]] = {}


def example_index(train: Sequence[Example]) -> ExampleIndex:
    """The index over these very examples, built once (the last four are kept)."""
    key = tuple(map(id, train))
    if key not in _KEPT:
        if len(_KEPT) >= 4:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = ExampleIndex(train)
    return _KEPT[key]


def nearest_examples(requirement: str, train: Sequence[Example], k: int, exclude: str | None = None) -> list[Example]:
    """The k training examples with the closest requirements (BM25), closest first.

    Pass `exclude=example.id` when the requirement itself belongs to `train`.
    """
    return example_index(train).nearest(requirement, k, exclude)


def learnable(spec: SystemSpec, train: Sequence[Example]) -> Sequence[Example]:
    """The training examples that a system may look at: all, or those that lack the feature `spec.without`.

    Raises ValueError for a feature that no example knows.
    """
    if not spec.without:
        return train
    known = {name for example in train for name in example.features}
    if train and spec.without not in known:
        raise ValueError(f"system {spec.name}: expected `without` to be a feature of {sorted(known)}, "
                         f"got {spec.without!r}; check the name")  # fmt: skip
    return [example for example in train if not example.features.get(spec.without)]
