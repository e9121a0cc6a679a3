"""What known faults are taken for by the proposed tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from flowstudy.analysis.errors import propose_tags
from flowstudy.analysis.faults import FaultCase
from flowstudy.flows.catalogue import Catalogue


def confusion(cases: Iterable[FaultCase], catalogues: Mapping[str, Catalogue]) -> pd.DataFrame:
    """Injected kind (rows) against proposed category (columns): the share of cases in which it was proposed."""
    found = list(_proposed(cases, catalogues))
    sizes = pd.Series([kind for kind, _ in found]).value_counts()
    rows = [(kind, category) for kind, proposed in found for category in proposed or {"nothing proposed"}]
    table = pd.DataFrame(rows, columns=["injected", "proposed"])
    counts = pd.crosstab(table["injected"], table["proposed"])
    return counts.div(sizes.reindex(counts.index), axis=0)


def _proposed(cases: Iterable[FaultCase], catalogues: Mapping[str, Catalogue]) -> Iterator[tuple[str, set[str]]]:
    for case in cases:
        tags = propose_tags(case.example, case.prediction, catalogues.get(case.example.domain))
        yield case.kind, {tag.category for tag in tags}
