"""What the tagger would show, for a place where nobody can click: how far tagging has come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from flowstudy.analysis.agreement import agreement_table
from flowstudy.analysis.taxonomy import Taxonomy, load_taxonomy
from flowstudy.review.sampling import Item
from flowstudy.review.tags import Tag, TagStore


def stored_tags(path: Path) -> pd.DataFrame:
    """The standing verdicts of a tag file, read only; an empty table where nobody has tagged yet."""
    if not path.exists():
        return pd.DataFrame(columns=[name for name in Tag.model_fields if name not in ("id", "supersedes")])
    store = TagStore(path, read_only=True)
    try:
        return store.table()
    finally:
        store.close()


def coverage(tags: pd.DataFrame, items: Sequence[Item]) -> pd.DataFrame:
    """Per system of the queue: queued, tagged (confirmed by anyone), twice (by two or more), skipped, drafts, open."""
    rows = []
    by_place = dict(iter(tags.groupby(["system", "example", "repeat"])))
    for system in sorted({item.prediction.system for item in items}):
        own = [by_place.get(item.place) for item in items if item.prediction.system == system]
        states = [set() if group is None else set(group["state"]) for group in own]
        done = [0 if group is None else int((group["state"] == "done").sum()) for group in own]
        skipped = sum("skipped" in s and "done" not in s for s in states)
        drafts = sum(s == {"draft"} for s in states)
        tagged = sum(n > 0 for n in done)
        left = len(own) - tagged - skipped - drafts
        rows.append((system, len(own), tagged, sum(n > 1 for n in done), skipped, drafts, left))
    return pd.DataFrame(rows, columns=["system", "queued", "tagged", "twice", "skipped", "drafts", "open"])


def coverage_text(tags: pd.DataFrame, items: Sequence[Item], taxonomy: Taxonomy | None = None) -> str:
    """The same as text, with who tagged, tags whose answer is no longer there, and agreement."""
    if not items:
        return "Nothing to tag: no system has an answer yet."
    table = coverage(tags, items)
    known = {item.place for item in items}
    places = list(zip(tags["system"], tags["example"], tags["repeat"], strict=True))
    strangers = sum(place not in known for place in places)
    people = ", ".join(f"{name} ({count})" for name, count in tags["annotator"].value_counts().sort_index().items())
    lines = [table.to_string(index=False), "", f"Annotators: {people or 'nobody yet'}."]
    if strangers:
        lines.append(f"{strangers} tags belong to answers outside this queue: kept, not counted here.")
    if tags["annotator"].nunique() > 1:
        names = {name: category.title for name, category in (taxonomy or load_taxonomy()).categories.items()}
        lines += ["", agreement_table(tags, names).round(3).to_string(index=False)]
    return "\n".join(lines)
