"""How many known faults the proposed tags find, and what they are taken for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from flowstudy.analysis.errors import propose_tags
from flowstudy.analysis.faults import FaultCase
from flowstudy.flows.catalogue import Catalogue


def recovery(cases: Iterable[FaultCase], catalogues: Mapping[str, Catalogue]) -> pd.DataFrame:
    """How many faults of each kind are found: kind, cases, recovered, share, others.

    `others` is the mean number of further categories proposed for a single fault (0 is best).
    """
    rows = [(kind, kind in proposed, len(proposed - {kind})) for kind, proposed in _proposed(cases, catalogues)]
    table = pd.DataFrame(rows, columns=["kind", "recovered", "others"])
    grouped = table.groupby("kind", sort=False)
    result = grouped.agg(cases=("recovered", "size"), recovered=("recovered", "sum"), others=("others", "mean"))
    return result.assign(share=result["recovered"] / result["cases"]).reset_index()


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
