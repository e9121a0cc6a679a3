"""One answer as HTML: requirement, expected and generated flow side by side, differences marked, text escaped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from flowstudy.analysis.alignment import Pair, align
from flowstudy.analysis.errors import ProposedTag, anchors
from flowstudy.analysis.rightness import VERDICTS
from flowstudy.analysis.taxonomy import Taxonomy
from flowstudy.flows.render import show_value, title
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.metrics import Explanation, FlowTooLarge, explain
from flowstudy.review.sampling import Item
from flowstudy.review.tags import Tag

#: A sign and words for each kind of edit: colour alone says nothing to some readers.
_MARKS: Final = {
    "missing": "− missing", "extra": "+ not asked for", "replaced": "≠ another step", "moved": "↕ moved",
    "changed": "inputs differ", "same": "",
}  # fmt: skip
_LONGEST: Final = 4000


class Row(NamedTuple):
    """One line of the comparison: a component on the left, on the right, or on both."""

    left: Component | None
    right: Component | None
    mark: str
    note: str = ""


def item_html(
    item: Item,
    taxonomy: Taxonomy,
    proposals: Sequence[ProposedTag] | None,
    *,
    blind: bool = False,
    inputs: bool = False,
    opinions: Sequence[Tag] = (),
    script: Explanation | None = None,
) -> str:
    """The whole view of one answer. `blind` hides the system's name and the score, `inputs` opens all inputs.

    `proposals` is None while they are hidden.

    `script` is `metrics.explain` of the answer, if it is at hand.

    `opinions` are the annotators' verdicts, for the adjudicator: who ticked what, where they differ, their notes.
    """
    head = _head(item, blind)
    asked = f'<p class="fs-asked" dir="auto" tabindex="0">{escape(item.example.requirement)}</p>'
    body = _flows(item, inputs, script) if item.prediction.flow is not None else _no_flow(item)
    said = _opinions(taxonomy, opinions) if opinions else ""
    below = f"{_evidence(taxonomy, proposals)}{_suggestions(item)}"
    return f'<div class="fs-item">{head}{asked}{"" if blind else _difference(item)}{body}{said}{below}</div>'


def definitions_html(taxonomy: Taxonomy) -> str:
    """What the categories mean, folded in: the page that an annotator reads once, at hand while tagging."""
    groups = []
    for name, group in taxonomy.groups.items():
        entries = "".join(
            f"<dt><kbd>{escape(c.key or '·')}</kbd> {escape(c.title)}</dt>"
            f"<dd>{escape(c.definition)} <i>{escape(c.example)}</i> {escape(c.rule)}</dd>"
            for c in taxonomy.of_group(name).values()
        )
        groups.append(f"<h4>{escape(group.title)}</h4><dl>{entries}</dl>")
    return f'<details class="fs-definitions"><summary>What the categories mean (?)</summary>{"".join(groups)}</details>'


def _head(item: Item, blind: bool) -> str:
    system = "system hidden" if blind else item.prediction.system
    score = "" if item.score is None or blind else f"FlowSim {item.score:.2f}"
    verdict = "" if blind else VERDICTS.get(item.verdict, "")
    words = [system, item.prediction.status.replace("_", " "), verdict, score, item.example.domain, item.example.split]
    chips = "".join(f"<span>{escape(word)}</span>" for word in words if word)
    repairs = "".join(f"<span>repaired: {escape(repair)}</span>" for repair in item.prediction.repairs)
    return f'<div class="fs-chips"><b>{escape(item.example.id)}</b>{chips}{repairs}</div>'


def _difference(item: Item) -> str:
    """The first situation in which the answer does something else than the reference."""
    if not item.difference:
        return ""
    told = "Whether it does the same" if item.verdict == "unknown" else "It does something else"
    return f'<p class="fs-difference"><b>{told}:</b> {escape(item.difference)}</p>'


def _opinions(taxonomy: Taxonomy, opinions: Sequence[Tag]) -> str:
    """A table of who ticked what; rows on which annotators differ are marked."""
    ticked = {name for tag in opinions for name in taxonomy.resolve_all(tag.categories)[0]}
    names = "".join(f"<th>{escape(tag.annotator)}</th>" for tag in opinions)
    rows = []
    for name in (name for name in taxonomy.categories if name in ticked):
        votes = [name in taxonomy.resolve_all(tag.categories)[0] for tag in opinions]
        cells = "".join(f"<td>{'✓' if vote else '–'}</td>" for vote in votes)
        mark = "" if all(votes) else ' class="fs-disputed"'
        rows.append(f"<tr{mark}><th>{escape(taxonomy.title(name))}</th>{cells}</tr>")
    notes = "".join(f"<li><b>{escape(t.annotator)}</b> {escape(t.note)}</li>" for t in opinions if t.note)
    body = f"<table><tr><th></th>{names}</tr>{''.join(rows)}</table>"
    return f'<div class="fs-opinions">{body}{f"<ul>{notes}</ul>" if notes else ""}</div>'


def _no_flow(item: Item) -> str:
    text = item.prediction.text
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
    why = escape(item.prediction.error or item.prediction.status)
    expected = "".join(_line(c, "", "", depth, False) for c, depth in _depths(item.example.flow))
    left = f'<div class="fs-half"><h4>Expected</h4>{_trigger(item.example.flow.trigger, [])}{expected}</div>'
    got = f'<h4>Answer without a flow</h4><p class="fs-why">{why}</p><pre>{escape(shown)}</pre>'
    right = f'<div class="fs-half">{got}</div>'
    return f'<div class="fs-raw" tabindex="0">{left}{right}</div>'


def _flows(item: Item, opened: bool, script: Explanation | None) -> str:
    flow = item.prediction.flow or Flow()
    try:
        script = script or explain(flow, item.example.references, record=item.example.id)
    except FlowTooLarge as error:
        return f'<p class="fs-why">{escape(str(error))}</p>'
    reference = item.example.references[script.reference_best]
    rows = comparison_rows(reference, flow, align(reference, flow, anchors(script)))
    levels = [dict(_levels(side)) for side in (reference, flow)]
    lines = [_trigger_row(reference.trigger, flow.trigger, opened)]
    lines += [_row_html(row, levels[0], levels[1], opened) for row in rows]
    head = '<div class="fs-head">Expected</div><div class="fs-head">Generated</div>'
    return f'<div class="fs-pair" tabindex="0">{head}{"".join(lines)}</div>'


def comparison_rows(reference: Flow, flow: Flow, pairs: Sequence[Pair]) -> list[Row]:
    """Both flows in document order, what belongs together on one line; what moved stands on both lines."""
    partner = {p.reference.order: p for p in pairs if p.reference and p.candidate}
    spine = _longest_run([(a, p.candidate.order) for a, p in sorted(partner.items()) if p.candidate and _stays(p)])
    expected_at = {p.candidate.order: a for a, p in partner.items() if p.candidate}
    rows: list[Row] = []
    done = 0

    def generated_before(order: int) -> Iterator[Row]:
        for component in flow.components[done : order - 1]:
            origin = expected_at.get(component.order)
            note = f"expected as step {origin}" if origin else ""
            yield Row(None, component, "moved" if origin else "extra", note)

    for component in reference.components:
        pair = partner.get(component.order)
        if component.order in spine and pair and pair.candidate:
            rows += generated_before(pair.candidate.order)
            done = pair.candidate.order
            rows.append(Row(component, pair.candidate, _mark(pair)))
        elif pair and pair.candidate:
            rows.append(Row(component, None, "moved", f"generated as step {pair.candidate.order}"))
        else:
            rows.append(Row(component, None, "missing"))
    rows += generated_before(flow.steps + 1)
    return rows


def _stays(pair: Pair) -> bool:
    return pair.relation in ("same", "replaced")


def _mark(pair: Pair) -> str:
    if pair.relation == "replaced":
        return "replaced"
    same = pair.reference and pair.candidate and _values(pair.reference.inputs) == _values(pair.candidate.inputs)
    return "same" if same else "changed"


def _longest_run(pairs: list[tuple[int, int]]) -> set[int]:
    """Left numbers of the longest part of `pairs` (sorted by the left) whose right numbers rise."""
    tails: list[int] = []
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for left, right in pairs:
        place = bisect_left(tails, right)
        before[left] = ends[place - 1] if place else None
        tails[place : place + 1] = [right]
        ends[place : place + 1] = [left]
    run: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        run.add(last)
        last = before[last]
    return run


def _row_html(row: Row, left_levels: dict[int, int], right_levels: dict[int, int], opened: bool) -> str:
    left_differs, right_differs = _differing(row)
    left = _cell(row.left, row, left_levels, left_differs, opened)
    return left + _cell(row.right, row, right_levels, right_differs, opened)


def _cell(component: Component | None, row: Row, levels: dict[int, int], differs: set[str], opened: bool) -> str:
    if component is None:
        word = "" if row.mark in ("extra", "moved") else _MARKS[row.mark]
        return f'<div class="fs-cell fs-gap">{escape(word)}</div>'
    note = row.note or ("" if row.left and row.right and row.mark == "changed" else _MARKS[row.mark])
    return _line(component, row.mark, note, levels.get(component.order, 0), opened, differs)


def _line(component: Component, mark: str, note: str, level: int, opened: bool, differs: Iterable[str] = ()) -> str:
    kind = "fs-logic" if component.is_logic else "fs-step"
    told = f'<span class="fs-note">{escape(note)}</span>' if note else ""
    words = f'<span class="fs-words">{escape(component.annotation)}</span>' if component.annotation else ""
    given = _inputs(component.inputs, set(differs), opened or bool(differs))
    return (
        f'<div class="fs-cell fs-{mark or "same"}" style="--level:{min(level, 12)}">'
        f'<span class="fs-n">{component.order}</span><span class="{kind}">{escape(title(component))}</span>'
        f"{told}{words}{given}</div>"
    )


def _inputs(inputs: list[Input], differs: set[str], opened: bool) -> str:
    if not inputs:
        return ""
    marks = ["fs-differs" if given.name in differs else "" for given in inputs]
    lines = "".join(
        f'<div class="{mark}"><i>{escape(given.name)}</i> {escape(show_value(given.value))}</div>'
        for given, mark in zip(inputs, marks, strict=True)
    )
    count = f"{len(inputs)} input{'s' if len(inputs) != 1 else ''}"
    # tagger.js opens it: 600 <details> elements would make a flow of 300 steps three times as slow to show
    more = f'<button type="button" tabindex="-1">{count}</button>'
    return f'<div class="fs-inputs{" fs-open" if opened else ""}">{more}{lines}</div>'


def _differing(row: Row) -> tuple[set[str], set[str]]:
    if row.left is None or row.right is None or row.mark == "replaced":
        return set(), set()
    left, right = _values(row.left.inputs), _values(row.right.inputs)
    return {n for n in left if left[n] != right.get(n)}, {n for n in right if right[n] != left.get(n)}


def _values(inputs: list[Input]) -> dict[str, str]:
    return {i.name: show_value(i.value) for i in inputs}


def _trigger_row(left: Trigger | None, right: Trigger | None, opened: bool) -> str:
    one, two = (_values(t.inputs) if t else {} for t in (left, right))
    same = (left and left.type) == (right and right.type)
    differ = {n for n in {*one, *two} if one.get(n) != two.get(n)}
    mark = "fs-replaced" if not same else "fs-changed" if differ else ""
    return _trigger(left, differ, mark, opened) + _trigger(right, differ, mark, opened)


def _trigger(trigger: Trigger | None, differs: Iterable[str], mark: str = "", opened: bool = False) -> str:
    kind = escape(trigger.type) if trigger else "none"
    given = _inputs(trigger.inputs, set(differs), opened or bool(differs)) if trigger else ""
    return f'<div class="fs-cell {mark}"><span class="fs-n">▸</span><span class="fs-logic">{kind}</span>{given}</div>'


def _evidence(taxonomy: Taxonomy, proposals: Sequence[ProposedTag] | None) -> str:
    if proposals is None:
        return '<p class="fs-quiet">What is proposed is shown after your first choice.</p>'
    if not proposals:
        return '<p class="fs-quiet">No error is proposed.</p>'
    lines = "".join(
        f"<li><b>{escape(taxonomy.title(tag.category))}</b> {escape(tag.evidence)}</li>" for tag in proposals
    )
    return f'<ul class="fs-evidence">{lines}</ul>'


def _suggestions(item: Item) -> str:
    shown = item.prediction.suggestions
    if not shown:
        return ""
    needed = {(c.category, c.key) for c in item.example.flow.components}
    marks = "".join(
        f'<span class="{"fs-needed" if (s.kind, s.name) in needed else ""}">{escape(s.kind)} {escape(s.name)}</span>'
        for s in shown
    )
    count = f"{len(shown)} suggestions that the model saw"
    return f'<details class="fs-suggestions"><summary>{count}</summary><div class="fs-chips">{marks}</div></details>'


def _levels(flow: Flow) -> Iterator[tuple[int, int]]:
    level: dict[int | None, int] = {None: -1}
    for component in flow.components:
        level[component.order] = level.get(component.block, -1) + 1
        yield component.order, level[component.order]


def _depths(flow: Flow) -> Iterator[tuple[Component, int]]:
    return zip(flow.components, (level for _, level in _levels(flow)), strict=True)
