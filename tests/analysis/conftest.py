"""Score tables with known properties, without any model."""

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.scores import COLUMNS


def make_scores(means, n=60, noise=0.08, seed=0, costs=None, seconds=None, split=None):
    """Paired scores: a shared difficulty per example, a mean per system; every third example is `ood`."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.1, n)
    rows = []
    for system, mean in means.items():
        values = np.clip(mean + difficulty + rng.normal(0, noise, n), 0, 1)
        for i, value in enumerate(values):
            where = split or ("ood" if i % 3 == 0 else "test")
            head = (system, f"e{i}", 0, where, f"d{i % 4}", "ok")
            measures = {"answered": 1.0, PRIMARY: value, OUTLINE: value}
            measures |= {"api_usd": (costs or {}).get(system, 0.0), "local_s": (seconds or {}).get(system, 0.0)}
            measures |= {"latency_s": 1.0 + i / n}
            rows += [(*head, name, number, "" if number == number else "unknown") for name, number in measures.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def scores_of():
    return make_scores
