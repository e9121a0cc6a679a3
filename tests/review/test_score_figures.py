"""The gap between the conventions is that of the same answer, and the figure shows every answer in both."""

import pandas as pd
import pytest

from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.figures import convention_gaps, conventions


def scores(*rows):
    columns = ["system", "example", "repeat", "split", "status", "measure", "value"]
    return pd.DataFrame(rows, columns=columns)


TABLE = scores(
    ("<b>s</b>", "e1", 0, "test", "ok", "flow_sim_with_inputs", 0.75),
    ("<b>s</b>", "e1", 0, "test", "ok", "strict_first_reference", 0.5),
    ("<b>s</b>", "e2", 0, "test", "ok", "flow_sim_with_inputs", 1.0),
    ("<b>s</b>", "e2", 0, "test", "ok", "strict_first_reference", 0.5),
    ("t", "e1", 0, "test", "ok", "flow_sim_with_inputs", float("nan")),
    ("t", "e1", 0, "test", "ok", "strict_first_reference", 0.5),
)


def test_gap_of_each_answer_largest_first():
    gaps = convention_gaps(TABLE)
    assert gaps[["example", "gap"]].to_records(index=False).tolist() == [("e2", 0.5), ("e1", 0.25)]


def test_every_answer_is_a_dot_in_both_conventions_and_names_are_escaped():
    figure = conventions(convention_gaps(TABLE))
    assert [list(trace.x) for trace in figure.data] == [[1.0, 0.75], [0.5, 0.5]]
    assert set(figure.data[0].y) == {"&lt;b&gt;s&lt;/b&gt;"}


def test_nothing_to_draw():
    assert convention_gaps(TABLE.iloc[:0]).empty
    with pytest.raises(NothingToDraw):
        conventions(convention_gaps(TABLE.iloc[:0]))
