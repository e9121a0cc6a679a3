"""The pictures of what fine-tuning depends on protect: every point has its interval, and chance is drawn."""

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.question_figures import effects, learning_curve


def curve(splits=("test", "ood"), sizes=(0, 50, 200, 1200)):
    rows = [
        (size, split, measure, 24, 0.1 + n / 10, 0.05 + n / 10, 0.2 + n / 10, False, "", 2 if size == 50 else 1,
         0.08 + n / 10, 0.12 + n / 10, "slm-x")
        for split in splits for measure in (PRIMARY, OUTLINE) for n, size in enumerate(sizes)
    ]  # fmt: skip
    columns = ["training_examples", "split", "measure", "n", "mean", "low", "high", "few", "reason", "trainings",
               "lowest", "highest", "systems"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def forest():
    row = {"system": "slm-<i>few", "differs": "50 examples", "training_examples": 50, "other": "slm-tuned",
           "measure": PRIMARY, "n": 84, "difference": -0.1, "low": -0.15, "high": -0.05, "few": False}  # fmt: skip
    return pd.DataFrame([row, {**row, "differs": "seed 8", "difference": 0.01, "low": np.nan, "high": np.nan}])


def points(figure, bars):
    return [trace for trace in figure.data if trace[bars].array is not None]


def test_every_size_has_a_point_with_its_interval_and_only_single_trainings_have_no_strokes():
    figure = learning_curve(curve())
    drawn = points(figure, "error_y")
    assert len(drawn) == 4 and all(len(trace.x) == 4 for trace in drawn), "two splits, two measures, four sizes"
    assert np.array(drawn[0].error_y.array) == pytest.approx([0.1] * 4)
    strokes = [trace for trace in figure.data if trace.marker.symbol == "line-ew-open"]
    assert [len(trace.y) for trace in strokes] == [2] * 4
    assert list(figure.layout.xaxis.ticktext) == ["0", "50", "200", "1,200"] and min(figure.layout.xaxis.tickvals) > 0
    assert "0: untrained" in figure.layout.xaxis2.title.text
    assert "0: untrained" not in learning_curve(curve(("test",), (50, 200))).layout.xaxis.title.text


def test_a_variant_is_drawn_with_its_interval_and_chance_as_a_band():
    chance = pd.DataFrame({"training_examples": [50, 1200], "apart": [0.1, 0.02]})
    figure = effects(forest(), chance)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(-0.02, 0.02), (0, 0)]
    assert len(effects(forest(), chance[:0]).layout.shapes) == 1
    assert [trace.marker.symbol for trace in points(figure, "error_x")] == ["circle", "circle-open"]
    assert "&lt;i&gt;" in figure.data[0].y[0] and "<i>" not in figure.data[0].y[0], "names are escaped"


def test_nothing_was_run():
    nothing = pd.DataFrame()
    for draw in (learning_curve, lambda table: effects(table, nothing)):
        with pytest.raises(NothingToDraw, match=r"not run: .*PROFILE=experiments"):
            draw(nothing)
