"""What a sweep would do, before anything runs: its cells counted, what they share, and what the calls would cost.

Prompts are built for a few requirements of each corpus and scaled up; the notebook of each cell makes its own, exact
estimate before its first call, and the ledger keeps the whole sweep within `prompting.max_cost_usd`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flowstudy.corpus.example import JUDGED, Example
from flowstudy.corpus.prepare import prepare
from flowstudy.flows.catalogue import Catalogue
from flowstudy.sharing import Member
from flowstudy.study import NOTEBOOKS, Study
from flowstudy.sweep import Cell, expand, is_fixed, members, not_run
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.estimate import estimate
from flowstudy.systems.mixed import split_parts
from flowstudy.systems.predict import plan
from flowstudy.systems.records import SystemSpec

#: Requirements per corpus for which prompts are built.
SAMPLE: Final = 12


class Price(NamedTuple):
    """`cost_usd` is to be expected, `worst_usd` the limit; None when a model has no known price."""

    calls: int
    cost_usd: float | None
    worst_usd: float | None


def describe(study: Study) -> str:
    """The plan in words: a line per cell, then the totals. Raises StudyError for a matrix that cannot be expanded."""
    cells = expand(study)
    runs = members(cells)
    prices = {cell.name: price_cell(runs[f"cells/{cell.name}/"]) for cell in cells if not cell.skipped}
    width = max(len(cell.name) for cell in cells)
    rows = [f"  {cell.name:{width}}  {_words(cell, prices)}" for cell in cells]
    return "\n".join([*_head(study, cells, runs), *rows, _total(study, list(prices.values()))])


def price_cell(cell: Member) -> Price:
    """What the systems of a cell would take that can run here and that no other cell answers for."""
    others = {*cell.borrows, *not_run(cell.study)}
    asked = [_called(cell.study, spec) for name, spec in cell.study.systems.items() if name not in others]
    limits = json.dumps({**cell.study.examples.model_dump(), "train": 0}, sort_keys=True)
    data = (cell.study.corpus, limits, cell.study.sealed)
    return _sum([price_system(_plain(spec), *data) for spec in asked if spec is not None])


def _called(study: Study, spec: SystemSpec) -> SystemSpec | None:
    """Who is asked for a system, None when nobody is. A split asks its second part for inputs where that one goes step
    by step; its outlines are not there yet, so it is priced as if it wrote its own."""
    if split := split_parts(spec):
        filler = study.systems[split[1]]
        return _called(study, filler) if filler.strategy == "decomposed" else None
    return None if is_fixed(spec) else spec


def _plain(spec: SystemSpec) -> str:
    """A specification without what does not change a price."""
    retriever = "lexical" if spec.retriever == "trained" else spec.retriever
    return spec.model_copy(update={"name": "system", "seed": 0, "retriever": retriever}).model_dump_json()


@functools.cache
def price_system(spec: str, corpus: str, limits: str, sealed: bool = False) -> Price:
    """What one system (as JSON) would take on a corpus; what runs on this machine costs nothing."""
    system = SystemSpec.model_validate_json(spec)
    judged, catalogues = _judged(corpus, limits, sealed)
    if not judged:
        return Price(0, 0.0, 0.0)
    sample = judged[:: max(1, len(judged) // SAMPLE)]
    found = estimate(system, plan(system, sample, judged, catalogues))
    scale = len(judged) / len(sample)
    family = family_of(system.model)
    if family is not None and family.local:
        return Price(round(found.calls * scale), 0.0, 0.0)
    if found.cost_usd is None or found.worst_usd is None:
        return Price(round(found.calls * scale), None, None)
    return Price(round(found.calls * scale), found.cost_usd * scale, found.worst_usd * scale)


@functools.cache
def _judged(corpus: str, limits: str, sealed: bool) -> tuple[list[Example], Mapping[str, Catalogue]]:
    prepared = prepare(corpus, json.loads(limits), seed=0, sealed=sealed)
    return prepared.split("validation", *JUDGED), prepared.catalogues


def _sum(prices: Sequence[Price]) -> Price:
    costs, worst = [price.cost_usd for price in prices], [price.worst_usd for price in prices]
    return Price(
        sum(price.calls for price in prices),
        None if None in costs else sum(cost or 0.0 for cost in costs),
        None if None in worst else sum(cost or 0.0 for cost in worst),
    )


def _head(study: Study, cells: Sequence[Cell], runs: Mapping[str, Member]) -> list[str]:
    axes = " x ".join(f"{len(values)} {name.replace('_', ' ')}" for name, values in study.matrix.axes().items())
    skipped = sum(bool(cell.skipped) for cell in cells)
    planned = sum(len(run.notebooks) for run in runs.values())
    apart = len(NOTEBOOKS) * (len(cells) - skipped)
    corpora = sum(name.startswith("shared/data-") for name in runs)
    tuned = sum(_fine_tunes(run) for name, run in runs.items() if name.startswith("shared/model-"))
    borrowed = sum(len(run.borrows) for run in runs.values())
    return [
        f"{len(cells)} cells ({axes or 'no axis'}, "
        f"{len(study.matrix.exclude)} exclude and {len(study.matrix.include)} include rules), {skipped} skipped",
        f"{planned} notebooks to execute instead of {apart}: {corpora} corpora and {tuned} fine-tuned models "
        f"are shared, {borrowed} sets of answers are asked once",
        *(f"exclude {rule.axes()} leaves nothing out" for rule in study.matrix.idle()),
    ]


def _fine_tunes(run: Member) -> bool:
    return any(spec.model == "slm/tuned" for spec in run.study.systems.values())


def _words(cell: Cell, prices: Mapping[str, Price]) -> str:
    if cell.skipped:
        return f"skipped: {cell.skipped}"
    absent = ", ".join(not_run(cell.study))
    return _money(prices[cell.name]) + (f"; without {absent}: not ready here" if absent else "")


def _money(price: Price) -> str:
    if price.cost_usd is None or price.worst_usd is None:
        return f"{price.calls} calls, cost unknown (no price)"
    return f"{price.calls} calls, about {price.cost_usd:.2f} USD, at most {price.worst_usd:.2f}"


def _total(study: Study, prices: Sequence[Price]) -> str:
    limit = study.prompting.max_cost_usd
    held = "no limit on the cost" if limit is None else f"the sweep never spends more than {limit:.2f} USD"
    known = _sum([price for price in prices if price.cost_usd is not None])
    known = known._replace(calls=sum(price.calls for price in prices))
    unknown = len(prices) - sum(price.cost_usd is not None for price in prices)
    return f"in all: {_money(known)}{f'; {unknown} cells without a price' if unknown else ''}; {held}"
