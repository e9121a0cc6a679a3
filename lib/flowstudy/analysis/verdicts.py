"""Which tags count, and what they say of each answer: the step between stored tags and every number made from them.

A tag counts when it was given to the answer that is there now. The last word on an answer is the adjudicator's, else
what at least half of the annotators said, else what the analysis proposes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from flowstudy.analysis.explained import PLACE, Explained, Place
from flowstudy.analysis.taxonomy import Taxonomy
from flowstudy.systems.records import Prediction

ALL: Final = "all categories"
DISPUTED: Final = "reference_disputable"


def fingerprint(prediction: Prediction) -> str:
    """Twelve hexadecimal digits over what people judge: status, flow, and the text where there is no flow."""
    body = prediction.flow.model_dump_json() if prediction.flow is not None else prediction.text
    return hashlib.sha256(f"{prediction.status}\0{body}".encode()).hexdigest()[:12]


def match_tags(tags: pd.DataFrame, predictions: Iterable[Prediction], taxonomy: Taxonomy) -> pd.DataFrame:
    """`tags` (a `TagStore.table()`) with today's names of categories and a column `match`.

    `same`: the tag was given to the answer that is there now (tags without a fingerprint are taken to be).
    `changed`: the system has answered again and differently. `gone`: there is no such answer any more. Only `same`
    counts; the others are kept in the store. Categories that the taxonomy does not know keep their name.
    """
    now = {(p.system, p.example, p.repeat): fingerprint(p) for p in predictions if p.is_answer}
    places = zip(tags["system"], tags["example"], tags["repeat"], strict=True)
    match = [_match(now.get(place), given) for place, given in zip(places, tags["answer"], strict=True)]
    today = {name: taxonomy.resolve(name) or name for some in tags["categories"] for name in some}
    named = {tuple(some): tuple(dict.fromkeys(today[name] for name in some)) for some in tags["categories"]}
    categories = pd.Series([named[tuple(some)] for some in tags["categories"]], index=tags.index, dtype=object)
    return tags.assign(categories=categories, match=match)


def _match(now: str | None, given: object) -> str:
    if now is None:
        return "gone"
    return "same" if given in (None, now) or given != given else "changed"


def counting(tags: pd.DataFrame) -> pd.DataFrame:
    """The tags that count: confirmed, and given to an answer that is still there (`tags` comes from `match_tags`)."""
    return tags[(tags["state"] == "done") & (tags["match"] == "same")]


def verdicts(answers: Iterable[Explained], tags: pd.DataFrame) -> pd.DataFrame:
    """One row per answer: system, example, repeat, categories (a frozenset), `proposed` (another) and `by`.

    `by` is `adjudicator`, `people` (a category counts when at least half of the annotators gave it) or `proposed`.
    `tags` comes from `match_tags`.
    """
    opinions, last_words = _by_role(counting(tags))
    rows: list[tuple[object, ...]] = []
    for one in answers:
        proposed = frozenset(tag.category for tag in one.tags)
        categories, by = proposed, "proposed"
        if one.place in last_words:
            categories, by = last_words[one.place], "adjudicator"
        elif one.place in opinions:
            categories, by = shared(opinions[one.place]), "people"
        rows.append((*one.place, categories, proposed, by))
    return pd.DataFrame(rows, columns=[*PLACE, "categories", "proposed", "by"])


def without_disputed(answers: pd.DataFrame) -> pd.DataFrame:
    """`answers` (of `verdicts`) without the examples whose reference a verdict calls disputable: what differs from it
    may be no error. All systems lose the same examples."""
    return answers[~answers["example"].isin(answers[_disputed(answers)]["example"])]


def disputed_references(tags: pd.DataFrame) -> pd.DataFrame:
    """For the corpus' authors, the references that anybody called disputable: example, people, and their reasons.

    `tags` comes from `match_tags`; one row per example, empty when nobody did.
    """
    said = counting(tags)
    rows = [
        (example, ", ".join(sorted(set(own["annotator"]))), "; ".join(dict.fromkeys(filter(None, own["note"]))))
        for example, own in said[_disputed(said)].groupby("example")
    ]
    return pd.DataFrame(rows, columns=["example", "people", "reasons"])


def _disputed(table: pd.DataFrame) -> pd.Series:
    return table["categories"].map(lambda categories: DISPUTED in categories).astype(bool)


def judged(answers: pd.DataFrame) -> dict[Place, frozenset[str]]:
    """The verdicts of people (`answers` comes from `verdicts`): prediction to categories."""
    people = answers[answers["by"] != "proposed"]
    places = zip(people["system"], people["example"], people["repeat"], strict=True)
    return dict(zip(places, people["categories"], strict=True))


def _by_role(tags: pd.DataFrame) -> tuple[dict[Place, list[frozenset[str]]], dict[Place, frozenset[str]]]:
    opinions: dict[Place, list[frozenset[str]]] = {}
    last_words: dict[Place, frozenset[str]] = {}
    sets = {some: frozenset(some) for some in set(tags["categories"])}
    columns = (tags[name].tolist() for name in (*PLACE, "role", "categories"))
    for system, example, repeat, role, categories in zip(*columns, strict=True):
        if role == "adjudicator":
            last_words[system, example, repeat] = sets[categories]
        else:
            opinions.setdefault((system, example, repeat), []).append(sets[categories])
    return opinions, last_words


def shared(opinions: Sequence[frozenset[str]]) -> frozenset[str]:
    """The categories that at least half of the annotators gave."""
    return _shared(tuple(opinions))


@functools.lru_cache(maxsize=10_000)
def _shared(opinions: tuple[frozenset[str], ...]) -> frozenset[str]:
    """Of many answers the same was said: it is counted once."""
    every = {name for one in opinions for name in one}
    return frozenset(name for name in every if 2 * sum(name in one for one in opinions) >= len(opinions))


def proposal_quality(answers: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall of the proposals against people's verdicts, per category and for all together.

    `answers` comes from `verdicts`; those nobody tagged do not count. Columns: category, proposed, confirmed, both,
    precision, recall (NaN where nothing was proposed or confirmed). Empty without tags.
    """
    counts: dict[str, list[int]] = {}
    people = answers[answers["by"] != "proposed"]
    for proposed, confirmed in zip(people["proposed"], people["categories"], strict=True):
        for name in proposed | confirmed:
            for key in (name, ALL):
                count = counts.setdefault(key, [0, 0, 0])
                count[0] += name in proposed
                count[1] += name in confirmed
                count[2] += name in proposed & confirmed
    names = sorted(counts, key=lambda name: (name != ALL, name))
    table = pd.DataFrame([(n, *counts[n]) for n in names], columns=["category", "proposed", "confirmed", "both"])
    table["precision"] = table["both"] / table["proposed"].where(table["proposed"] > 0)
    table["recall"] = table["both"] / table["confirmed"].where(table["confirmed"] > 0)
    return table
