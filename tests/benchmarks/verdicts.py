"""How often intervals miss and the decision's rules are wrong, by simulation: `python -m tests.benchmarks.verdicts`.

Writes `verdicts.md` beside this file. Both tables are about what the library computes: the studentised intervals of
`analysis.statistics` on skewed scores, and `analysis.decision.contest` on systems that are equally good (or of which
the cheaper kind is worse by exactly the margin).
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from flowstudy.analysis.decision import MARGIN, Kind, contest
from flowstudy.analysis.statistics import _studentised

OUT = Path(__file__).with_name("verdicts.md")
SIZES = (15, 24, 60, 120)
PER_KIND = (1, 2, 3, 4, 5, 6)
KINDS: tuple[Kind, ...] = ("tuned", "prompted", "hybrid")
Draw = npt.NDArray[np.float64]


PAGE = """# How often the statistics are wrong

Made by `python -m tests.benchmarks.verdicts` in {took:.0f} s of processor time; `make bench` runs it too.

## Intervals

{intervals:,} studies each, {resamples} resamples: studentised bootstrap intervals, nominal 95 %.

{covered}

## Verdicts

{studies:,} studies each of 60 judged examples (and 12 of validation where they choose), {resamples} resamples.
Tuned, prompted and hybrid systems, as many of each, with skewed scores that share their examples' difficulty
(correlation about 0.6). False verdicts: all systems are equally good, and the rules name one as better. False “good
enough”: every tuned system is cheaper and worse by exactly the margin of {margin:g}, and the rules say “fine-tune”.
At most 5 % are aimed at.

{wrong}
"""


def zeros(rng: np.random.Generator, shape: tuple[int, int]) -> Draw:
    """Three in ten answers without a workflow, the others good."""
    return np.where(rng.random(shape) < 0.3, 0.0, rng.beta(5, 2, shape))


#: What is drawn, and its true mean.
SCORES = {
    "good answers, beta(5, 2)": (lambda rng, shape: rng.beta(5, 2, shape), 5 / 7),
    "bad answers, beta(1, 6)": (lambda rng, shape: rng.beta(1, 6, shape), 1 / 7),
    "three in ten are 0, else beta(5, 2)": (zeros, 0.7 * 5 / 7),
    "six in ten differences are 0, else beta(2, 5)": (
        lambda rng, shape: np.where(rng.random(shape) < 0.6, 0.0, rng.beta(2, 5, shape)), 0.4 * 2 / 7),
    "difference of two systems, three in ten are 0": (lambda rng, shape: zeros(rng, shape) - zeros(rng, shape), 0.0),
}  # fmt: skip


def coverage(studies: int, resamples: int) -> pd.DataFrame:
    """Share of intervals, nominal 95 %, that hold the true mean, and how often it lies below and above them (%)."""
    rows = []
    for n, (name, (draw, true)) in itertools.product(SIZES, SCORES.items()):
        values = draw(np.random.default_rng(n), (n, studies))
        values = values[:, np.ptp(values, axis=0) > 0]
        mean, error, deviations = _studentised(values, np.ones_like(values), resamples, 0)
        low, high = mean - error * np.quantile(deviations, [0.975, 0.025], axis=0)
        below, above = 100 * (true < low).mean(), 100 * (true > high).mean()
        rows.append((name, n, round(100 - below - above, 1), round(below, 1), round(above, 1)))
    return pd.DataFrame(rows, columns=["scores", "examples", "covered, %", "mean below, %", "mean above, %"])


def verdicts(studies: int, resamples: int, examples: int = 60, validation: int = 12) -> pd.DataFrame:
    """False verdicts (%) on systems with correlated scores, one to six of each kind.

    `equal`: all are equally good and cost the same unknown amount, so that any verdict is a false one. `worse by the
    margin`: every tuned system is cheaper and worse by exactly the margin, so that "fine-tune" is a false one.
    """
    rows = []
    for chosen, per_kind in itertools.product((True, False), PER_KIND):
        names = [f"{kind}{n}" for kind in KINDS for n in range(per_kind)]
        kinds = {name: next(kind for kind in KINDS if name.startswith(kind)) for name in names}
        year = {name: 1.0 if name.startswith("tuned") else 2.0 for name in names}
        rng = np.random.default_rng([per_kind, chosen])
        false = {"equal": 0, "worse by the margin": 0}
        for _ in range(studies):
            rows_of, count = examples + validation, len(names)
            hard, own = rng.normal(size=(rows_of, 1)), rng.normal(size=(rows_of, count))
            table = pd.DataFrame(1 / (1 + np.exp(-(0.8 + 0.9 * hard + 0.7 * own))), columns=names)
            parts = table.iloc[validation:], table.iloc[: validation if chosen else 0]
            false["equal"] += contest(*parts, kinds, resamples=resamples).answer != "cannot tell yet"
            worse = table - [MARGIN * name.startswith("tuned") for name in names]
            parts = worse.iloc[validation:], worse.iloc[: validation if chosen else 0]
            found = contest(*parts, kinds, year_usd=year, resamples=resamples)
            false["worse by the margin"] += found.answer == "fine-tune"
        how = "on validation" if chosen else "on the judged examples"
        rows.append((how, per_kind, *(round(100 * count / studies, 1) for count in false.values())))
    columns = ["chosen", "of each kind", "false verdicts, %", "false “good enough”, %"]
    return pd.DataFrame(rows, columns=columns)


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--intervals", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=499)
    options = parser.parse_args()
    started = time.process_time()
    covered = coverage(options.intervals, options.resamples)
    wrong = verdicts(options.studies, options.resamples)
    page = PAGE.format(
        took=time.process_time() - started, **vars(options), margin=MARGIN, covered=_markdown(covered),
        wrong=_markdown(wrong),
    )  # fmt: skip
    OUT.write_text(page, encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
