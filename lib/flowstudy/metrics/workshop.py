"""The flows of many pairs, read once for both conventions and set side by side for the kernels."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flowstudy.metrics.desks import PublishedDesk, PublishedFlow, StrictDesk, StrictFlow
from flowstudy.metrics.kernel import Shelf
from flowstudy.metrics.limits import FlowTooLarge, UnreadableFlow
from flowstudy.metrics.plain import plain_flow
from flowstudy.metrics.reader import Coded
from flowstudy.metrics.similarity import checked

MODES: Final = ("no_inputs", "with_inputs")
_MOST_REFERENCES: Final = 20_000


class Side(NamedTuple):
    """One flow of a pair as both conventions read it, and the places of its trees on the shelf, mode by mode.

    `published` is None where the published code would stop; `published_error` says why.
    """

    strict: StrictFlow
    strict_places: tuple[int, int] | None
    published: PublishedFlow | None
    published_places: tuple[int | None, ...]
    published_error: str


class Workshop:
    """Reads flows with codebooks of its own and keeps the references; forgets all when memory grows."""

    def __init__(self, *, trees: bool = False) -> None:
        self._with_trees = trees
        self._start()

    def _start(self) -> None:
        self.shelf = Shelf()
        self._strict, self._published = StrictDesk(), PublishedDesk()
        self._references: dict[Any, Side] = {}

    def tidy(self) -> None:
        """Start afresh when memory has grown; call it between chunks, when no `Side` is needed any more."""
        readers = self._strict.reader, self._published.reader
        if (
            any(reader.is_large for reader in readers)
            or len(self._references) > _MOST_REFERENCES
            or self.shelf.is_large
        ):
            self._start()

    def candidate(self, flow: Any) -> Side:
        """A candidate; failures are in its statuses, never raised."""
        return self._side(flow, "the candidate")

    def reference(self, flow: Any) -> Side:
        """A reference, kept for the next pair with the same text or object."""
        key = flow if isinstance(flow, str) else id(flow)
        if key not in self._references:
            self._references[key] = self._side(flow, "the reference")
        return self._references[key]

    def _side(self, flow: Any, record: str) -> Side:
        plain = None if isinstance(flow, str) and "```" in flow else plain_flow(flow)
        given = flow if plain is None else plain
        strict = self._strict.read(flow if self._with_trees else given, record, trees=self._with_trees)
        places = None if strict.codes is None else self._places(strict.codes)
        try:
            published = self._published.read(given if plain else checked(flow, record), record)
        except (FlowTooLarge, UnreadableFlow) as error:
            return Side(strict, places, None, (), str(error))
        return Side(strict, places, published, self._places(published.codes), "")

    def _places(self, codes: tuple[Coded | None, Coded | None]) -> Any:
        """Places on the shelf; a plain flow needs one tree for both modes."""
        bare, full = codes
        first = None if bare is None else self.shelf.put(bare.codes)
        return first, first if full is bare else None if full is None else self.shelf.put(full.codes)
