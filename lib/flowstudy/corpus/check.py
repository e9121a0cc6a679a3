"""Every check on a corpus, and a verdict that fits on one page."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus import features
from flowstudy.corpus.environments import SHIPPED_SOURCE, catalogues_for, corpus_path
from flowstudy.corpus.example import JUDGED, Example
from flowstudy.corpus.prepare import LEAST_TO_SPLIT
from flowstudy.corpus.references import dangling, reference_faults
from flowstudy.corpus.splits import Leak, find_leaks, near_duplicates
from flowstudy.corpus.store import LineFault, iter_corpus
from flowstudy.corpus.written import shipped_corpus
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import FLOW_LOGIC, Flow

#: Slices with fewer examples than this say little; they are flagged, not hidden.
SMALL_SLICE: Final = 10
_SHOWN: Final = 5
_INDENTED: Final[dict[str, Any]] = {"initial_indent": "  ", "subsequent_indent": "    "}


@dataclass
class CorpusReport:
    """What `check_corpus` found. `ok`: no broken line, no leak that matters, no fault of a flow.

    str() shows five of each kind, `text(every=True)` all.
    """

    name: str
    examples: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    slices: dict[str, Counter[str]] = field(default_factory=dict)
    broken: list[LineFault] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    shared_skeletons: list[Leak] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.broken or self.leaks or self.faults)

    @property
    def small_slices(self) -> dict[str, dict[str, int]]:
        """Per split, the slices with fewer than ten examples (those with none are absent)."""
        found = {s: {n: c for n, c in by.items() if c < SMALL_SLICE} for s, by in self.slices.items() if s != "train"}
        return {split: small for split, small in sorted(found.items()) if small}

    def __str__(self) -> str:
        return self.text()

    def text(self, *, every: bool = False) -> str:
        """The report as text: a page, or with `every` each fault."""
        shown = None if every else _SHOWN
        lines = [f"Corpus {self.name}: {'OK' if self.ok else 'NOT OK'} ({self.examples:,} examples)", ""]
        for title, counter in self.counts.items():
            lines.append(f"  {title:<8} " + ", ".join(f"{name} {n:,}" for name, n in counter.most_common(20)))
        lines.append("")
        lines += _section("broken lines", self.broken, shown)
        lines += _section("leaks between splits", self.leaks, shown)
        lines += _section("faults of flows", self.faults, shown)
        lines += _section("blocks without a step, flows without a trigger (a warning)", self.odd, shown)
        lines += _section("skeletons shared between splits (a warning)", self.shared_skeletons, shown)
        lines += _section("near-duplicates inside a split (a warning)", self.repeats, shown)
        for split, small in self.small_slices.items():
            few = ", ".join(f"{name} {n}" for name, n in sorted(small.items()))
            lines.append(textwrap.fill(f"slices under {SMALL_SLICE} in {split}: {few}", 120, **_INDENTED))
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def _section(title: str, items: Sequence[object], most: int | None) -> list[str]:
    shown = [f"      {item}" for item in items[:most]]
    more = [f"      ... and {len(items) - len(shown):,} more (--all)"] if len(items) > len(shown) else []
    return [f"  {title}: {len(items) or 'none'}", *shown, *more]


def check_corpus(
    corpus: str | Path | Iterable[Example] | None = None, catalogues: dict[str, Catalogue] | None = None
) -> CorpusReport:
    """Check a corpus file (or one shipped under a name), some examples, or (None) the shipped corpus.

    `catalogues` (by domain) replaces those that `catalogues_for` finds. A broken line gives a fault, not an error, and
    the other lines are checked; a file without an example is a fault too. One that cannot be opened raises OSError.
    """
    path = corpus_path(corpus) if isinstance(corpus, (str, Path)) else None
    broken: list[LineFault] = []
    if path is not None:
        examples = list(iter_corpus(path, broken))
        if not examples and not broken:
            fix = "write one JSON object per line"
            broken.append(LineFault(str(path), 0, "at least one example", "an empty file", fix))
    else:
        examples = shipped_corpus() if corpus is None else list(corpus)  # type: ignore[arg-type]
    report = CorpusReport(
        str(corpus if path else "shipped" if corpus is None else "in memory"), len(examples), broken=broken
    )
    _count(report, examples)
    _check_catalogues(report, examples, catalogues or catalogues_for(examples, path))
    _check_leaks(report, examples)
    return report


def _count(report: CorpusReport, examples: list[Example]) -> None:
    columns = {"split": "split", "domain": "domain", "source": "source", "licence": "licence"}
    report.counts = {title: Counter(getattr(e, name) or "none" for e in examples) for title, name in columns.items()}
    splits = report.counts["split"]
    without = sum("split" not in e.model_fields_set for e in examples)
    if without >= LEAST_TO_SPLIT:
        splits.subtract(e.split for e in examples if "split" not in e.model_fields_set)
        report.counts["split"] = +splits + Counter(none=without)
        report.notes.append(f"{without} examples have no split: the study divides them, duplicates kept together")
        return
    if "train" not in splits:
        report.notes.append("no train split: systems that learn from examples are not run")
    if not any(splits[name] for name in JUDGED):
        report.notes.append(f"no split {', '.join(JUDGED)}: there is nothing to score")


def _check_catalogues(report: CorpusReport, examples: list[Example], catalogues: dict[str, Catalogue]) -> None:
    for example in examples:
        catalogue = catalogues.get(example.domain)
        if catalogue is None:
            report.faults.append(f"example {example.id}: expected a catalogue for domain {example.domain!r}, got none")
            continue
        for flow in example.references:
            report.faults += map(str, catalogue.check(flow, example.id))
            written = example.source == SHIPPED_SOURCE
            wrong = reference_faults(flow, catalogue) if written else dangling(flow)
            report.faults += (f"flow {example.id}: {fault}" for fault in wrong)
            report.odd += (f"flow {example.id}: {odd}" for odd in _odd(flow))
        by_slice = report.slices.setdefault(example.split, Counter())
        by_slice.update(features.slices(features.compute(example, catalogue)))


#: Flow logic that is there for the steps inside it; a CATCH without one passes over failures.
_BLOCKS: Final = FLOW_LOGIC - {"END", "WAIT", "DEFAULT", "CATCH"}


def _odd(flow: Flow) -> Iterator[str]:
    """What is well formed and yet seldom meant."""
    if flow.trigger is None:
        yield "no trigger"
    filled = {component.block for component in flow.components}
    for component in flow.components:
        if component.is_logic and component.definition in _BLOCKS and component.order not in filled:
            yield f"component {component.order}: {component.definition} without a step in it"


def _check_leaks(report: CorpusReport, examples: list[Example]) -> None:
    leaks = find_leaks(examples)
    report.leaks = [leak for leak in leaks if leak.kind != "same_skeleton"]
    report.shared_skeletons = [leak for leak in leaks if leak.kind == "same_skeleton"]
    by_split: dict[str, list[Example]] = {}
    for example in examples:
        by_split.setdefault(example.split, []).append(example)
    for split, members in by_split.items():
        if split != "train":
            for a, b, similarity in near_duplicates([e.requirement for e in members]):
                report.repeats.append(f"{members[a].id} and {members[b].id} ({split}, {similarity:.2f})")
