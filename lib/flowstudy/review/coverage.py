"""What the tagger would show, for a place where nobody can click: how far tagging has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from flowstudy.analysis.agreement import agreement_table, disagreements
from flowstudy.analysis.explained import PLACE
from flowstudy.analysis.taxonomy import Taxonomy
from flowstudy.analysis.verdicts import counting, match_tags
from flowstudy.review.sampling import Item
from flowstudy.review.tags import TABLE_COLUMNS, TagStore
from flowstudy.systems.records import Prediction


def stored_tags(where: str | Path, predictions: Iterable[Prediction], taxonomy: Taxonomy) -> pd.DataFrame:
    """The standing verdicts of a tag store (file or URL), read only and matched to the answers (`match_tags`).

    An empty table where nobody has tagged yet.
    """
    if "://" not in str(where) and not Path(where).exists():
        return match_tags(pd.DataFrame(columns=TABLE_COLUMNS), predictions, taxonomy)
    store = TagStore(where, read_only=True)
    try:
        return match_tags(store.table(), predictions, taxonomy)
    finally:
        store.close()


def coverage(tags: pd.DataFrame, items: Sequence[Item]) -> pd.DataFrame:
    """Per system: answers (queued here, or tagged in any queue), tagged (confirmed by anyone), twice (by two or more),
    skipped, drafts, open."""
    rows = []
    here = tags[(tags["match"] == "same") & (tags["role"] == "annotator")]
    states: dict[tuple[str, str, int], list[str]] = {}
    for system, example, repeat, state in zip(
        *(here[n] for n in ("system", "example", "repeat", "state")), strict=True
    ):
        states.setdefault((system, example, repeat), []).append(state)
    places = {item.place for item in items} | set(states)
    for system in sorted({place[0] for place in places}):
        own = [states.get(place, []) for place in places if place[0] == system]
        done = [given.count("done") for given in own]
        skipped = sum("skipped" in given and "done" not in given for given in own)
        drafts = sum(set(given) == {"draft"} for given in own)
        tagged = sum(n > 0 for n in done)
        rows.append(
            (system, len(own), tagged, sum(n > 1 for n in done), skipped, drafts, len(own) - tagged - skipped - drafts)
        )
    return pd.DataFrame(rows, columns=["system", "answers", "tagged", "twice", "skipped", "drafts", "open"])


def coverage_text(tags: pd.DataFrame, items: Sequence[Item], taxonomy: Taxonomy) -> str:
    """The same as text, with who tagged, what does not count and why, what is disputed, and agreement.

    `tags` comes from `stored_tags`.
    """
    if not items and tags.empty:
        return "Nothing to tag: no answer is queued."
    people = ", ".join(f"{name} ({count})" for name, count in tags["annotator"].value_counts().sort_index().items())
    lines = [coverage(tags, items).to_string(index=False), "", f"Annotators: {people or 'nobody yet'}."]
    lines += _remarks(tags, taxonomy)
    if tags["annotator"].nunique() > 1:
        names = {name: category.title for name, category in taxonomy.categories.items()}
        lines += ["", agreement_table(tags, names).round(3).to_string(index=False)]
    return "\n".join(lines)


def _remarks(tags: pd.DataFrame, taxonomy: Taxonomy) -> list[str]:
    """Tags that do not count, categories that nobody knows, and answers on which annotators differ."""
    words = {
        "gone": "tags belong to answers that are not in this run: kept, not counted",
        "changed": "tags were given to an earlier answer of the same system: kept, not counted; look at these again",
    }
    counts = tags["match"].value_counts()
    remarks = [f"{counts[match]} {what}." for match, what in words.items() if match in counts]
    unknown = sorted({name for some in tags["categories"] for name in some if taxonomy.resolve(name) is None})
    if unknown:
        remarks.append(f"Categories that the taxonomy does not know, counted as they are: {', '.join(unknown)}.")
    disputed = disagreements(tags)
    if len(disputed):
        last = counting(tags[tags["role"] == "adjudicator"])
        settled = set(map(tuple, last[PLACE].to_numpy().tolist()))
        done = sum(tuple(row) in settled for row in disputed[PLACE].to_numpy().tolist())
        remarks.append(f"Annotators differ on {len(disputed)} answers; {done} of them adjudicated.")
    return remarks
