"""What fine-tuning depends on: the models of one run that were trained on fewer examples or in another way.

Each is one of `fine_tune.variants`, compared with `slm/tuned` on the same examples. Intervals are over examples: how
much two trainings differ by chance is no part of them and stands beside them (`chance_in_training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from flowstudy.analysis.comparison import Sources, compare, summarise, wide
from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.questions import side_arms
from flowstudy.analysis.statistics import RESAMPLES
from flowstudy.systems.capabilities import UNTUNED
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.slm.variants import PREFIX, TUNED, Variant, asks_variant

NOT_RUN: Final = (
    "not run: it needs answers of slm/tuned and of another model fine-tuned in this run; "
    "`make study PROFILE=experiments` trains and asks them"
)
#: What two points of one learning curve may differ in.
_CURVE: Final = frozenset({"train", "seed"})
_ABOUT: Final = ["system", "differs", "training_examples", "training_ended"]
_PAIRED: Final = [
    "n", "mean", "mean_other", "difference", "low", "high", "percent", "p_holm", "wins", "ties", "losses", "detectable",
    "few", "reason",
]  # fmt: skip


class Training(NamedTuple):
    """A system that asks the small model: on how many examples and with which seed it was trained, and how it differs
    from `slm/tuned`.

    `settings` names what differs, in training or in asking, and `differs` says it; both are empty for `slm/tuned` and
    for the untrained model (0 examples). `ended` says why training ended: with all steps done, or by the clock.
    """

    system: str
    training_examples: int
    seed: int | None = None
    settings: frozenset[str] = frozenset()
    differs: str = ""
    ended: str = ""


def trainings(specs: Sequence[SystemSpec], models: Mapping[str, Mapping[str, Any]]) -> list[Training]:
    """`slm/tuned` first, the untrained model where it was asked, then the variants: sizes, other ways, other seeds.

    `models` is what notebook 02 tells of each model it trained: the fields of its `Variant`, `training_examples` and
    those of its report. Empty where no system asks `slm/tuned` or none asks a variant.
    """
    aside = side_arms(specs)
    base = next((s for s in specs if s.model == PREFIX + TUNED and s.name not in aside), None)
    arms = [s for s in specs if asks_variant(s) and s.model.removeprefix(PREFIX) in models]
    if base is None or TUNED not in models or not arms:
        return []
    usual = models[TUNED]
    first = [Training(base.name, int(usual["training_examples"]), usual.get("seed"))]
    first += [Training(s.name, 0) for s in specs if s.model == UNTUNED and s.name not in aside][:1]
    others = [_training(s, base, models[s.model.removeprefix(PREFIX)], usual) for s in arms]
    return first + sorted(others, key=_place)


def _place(one: Training) -> tuple[int, int]:
    return (0, one.training_examples) if "train" in one.settings else (2 if one.settings == {"seed"} else 1, 0)


def _training(spec: SystemSpec, base: SystemSpec, own: Mapping[str, Any], usual: Mapping[str, Any]) -> Training:
    size = int(own["training_examples"])
    trained = {name: _trained(name, own.get(name), size)
               for name in Variant.model_fields if own.get(name) != usual.get(name)}  # fmt: skip
    asked = {
        f"asked {name}": f"asked with {name.replace('_', ' ')} {value}"
        for name, (value, _) in spec.differs_from(base).items()
        if name != "model" and not (name in trained and own[name] == value)
    }
    words = trained | asked
    differs, ended = ", ".join(words.values()), own.get("stopped", "")
    return Training(spec.name, size, own.get("seed"), frozenset(words), differs, ended)


def _trained(name: str, value: Any, size: int) -> str:
    """A setting of a training in words; the number of examples is the one there really was."""
    if name == "train":
        return f"{size:,} examples" + (f" ({value:,} asked for)" if value not in (None, size) else "")
    if name == "without":
        return f"no {value.replace('_', ' ')} in training" if value else "all labels"
    known = {
        ("retriever", "none"): "trained without suggestions",
        ("strategy", "decomposed"): "outline, then inputs",
        ("strategy", "whole"): "whole flow at once",
    }
    return known.get((name, value), f"{name} {value}")


def learning_curve(
    scores: pd.DataFrame, found: Sequence[Training], measures: Sequence[str] = (PRIMARY, OUTLINE), *,
    sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """Quality against the number of training examples: one row per split, measure and number.

    Columns: training_examples, split, measure, n, mean, low, high, few, reason as in `comparison.summarise`, trainings
    (models of that size, whose answers are averaged), lowest and highest (of their means), systems. Empty below two
    sizes that were trained and asked.
    """
    sizes = {one.system: one.training_examples for one in _answered(scores, found)}
    if len(set(sizes.values()) - {0}) < 2:
        return pd.DataFrame()
    own = scores[scores["system"].isin(list(sizes)) & scores["measure"].isin(list(measures))]
    keys = ["training_examples", "split", "measure"]
    joined = own.assign(system=own["system"].map(sizes))
    table = summarise(joined, measures, ("split",), sources=sources, seed=seed, resamples=resamples)
    each = own.groupby(["system", *keys[1:], "example"], observed=True)["value"].mean()
    means = each.groupby(level=[0, 1, 2]).mean().reset_index()
    spread = means.assign(training_examples=means["system"].map(sizes)).groupby(keys)
    about = spread["value"].agg(trainings="count", lowest="min", highest="max")
    about["systems"] = spread["system"].agg(", ".join)
    return table.rename(columns={"system": keys[0]}).merge(about.reset_index(), on=keys)


def training_effects(
    scores: pd.DataFrame, found: Sequence[Training], measure: str = PRIMARY, *, sources: Sources | None = None,
    seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """Every variant against `slm/tuned`, paired by example: system, differs, training_examples, training_ended, and the
    columns of `comparison.compare`. Holm's correction is over these rows. Empty where nothing can be compared."""
    told = [(one.system, one.differs, one.training_examples, one.ended) for one in found if one.settings]
    arms = pd.DataFrame(told, columns=_ABOUT)
    if arms.empty:
        return pd.DataFrame()
    own = scores[scores["system"].isin([found[0].system, *arms["system"]])]
    options: dict[str, Any] = {"sources": sources, "seed": seed, "resamples": resamples}
    pairs = compare(own, measure, against=found[0].system, **options)
    return arms.merge(pairs, on="system")[[*_ABOUT, "other", "measure", *_PAIRED]]


def chance_in_training(scores: pd.DataFrame, found: Sequence[Training], measure: str = PRIMARY) -> pd.DataFrame:
    """How far models lie apart that were trained alike but for the seed: one row per number of training examples.

    Columns: training_examples, trainings, n (examples that all of them have), mean, sd (of the models' means),
    lowest, highest, apart (their distance). Empty where no two models differ in the seed alone.
    """
    groups: dict[int, dict[int | None, str]] = {}
    for one in _answered(scores, found):
        if one.training_examples:
            groups.setdefault(one.training_examples, {}).setdefault(one.seed, one.system)
    rows = []
    for size, by_seed in sorted(groups.items()):
        alike = wide(scores, measure)[list(by_seed.values())].dropna()
        if len(alike) and len(by_seed) > 1:
            means = alike.mean()
            rows.append((size, len(means), len(alike), means.mean(), means.std(), means.min(), means.max()))
    columns = ["training_examples", "trainings", "n", "mean", "sd", "lowest", "highest"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(apart=table["highest"] - table["lowest"])


def chance_text(chance: pd.DataFrame) -> str:
    """`chance_in_training` in words, for the largest number of training examples."""
    if chance.empty:
        return "One training each: how much two trainings differ by chance is not known; let a variant name a `seed`."
    row = chance.iloc[-1]
    return (
        f"{row['trainings']:.0f} trainings on {row['training_examples']:,.0f} examples that differ in their seed alone "
        f"score {row['lowest']:.3f} to {row['highest']:.3f} (standard deviation {row['sd']:.3f}, a rough guess from so "
        f"few): a difference of {row['apart']:.3f} between two models may be chance of training, whatever its interval."
    )


def _answered(scores: pd.DataFrame, found: Sequence[Training]) -> list[Training]:
    """Those of one learning curve that have scores."""
    answered = set(wide(scores).columns)
    return [one for one in found if one.settings <= _CURVE and one.system in answered]
