"""The catalogue that imported workflows imply: the triggers, actions and subflows seen, with their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowstudy.corpus.importers.records import Imported
from flowstudy.flows.catalogue import Catalogue, catalogue_from_flows
from flowstudy.flows.schema import Flow


class Seen:
    """A catalogue that grows record by record; refused records add nothing.

    A step is described by the first annotation seen on it, so that retrieval has words to find it by.
    """

    def __init__(self, name: str = "imported") -> None:
        self.catalogue = Catalogue(name=name, title=name)

    def add(self, record: Imported) -> None:
        """Add the steps of a record."""
        if record.example is None:
            return
        found = catalogue_from_flows(self.catalogue.name, record.example.references)
        for name in ("triggers", "actions", "subflows"):
            known = getattr(self.catalogue, name)
            for key, step in getattr(found, name).items():
                held = known.setdefault(key, step)
                held.inputs.update({given: kind for given, kind in step.inputs.items() if given not in held.inputs})
        for key, table in found.tables.items():
            self.catalogue.tables.setdefault(key, table).columns.update(table.columns)
        for key, words in _described(record.example.references):
            shelf = self.catalogue.actions if key in self.catalogue.actions else self.catalogue.subflows
            if key in shelf and not shelf[key].description:
                shelf[key].description = words


def _described(flows: Iterable[Flow]) -> Iterator[tuple[str, str]]:
    for flow in flows:
        for component in flow.components:
            if not component.is_logic and component.annotation:
                yield component.key, component.annotation[:200]
