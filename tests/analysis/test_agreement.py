"""Agreement: published worked examples, the `krippendorff` package, and undefined cases."""

import math

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.analysis.agreement import agreement_table, cohen_kappa, disagreements, jaccard, krippendorff_alpha, masi

f = frozenset


def test_alpha_of_krippendorffs_worked_example():
    # Krippendorff (2011), section C: four observers, twelve units, missing data; nominal alpha = 0.743.
    rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    result = krippendorff_alpha(list(zip(*rows, strict=True)))
    assert result.value == pytest.approx(0.743, abs=0.0005)
    assert result.items == 11  # the twelfth unit has one rating only


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, None]), min_size=3, max_size=3), min_size=2, max_size=12))
def test_alpha_is_the_reference_librarys(rows):
    ours = krippendorff_alpha(rows)
    if math.isnan(ours.value):
        assert ours.reason
        return
    data = np.array([[np.nan if r is None else r for r in row] for row in rows], dtype=float).T
    theirs = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal", value_domain=[0, 1, 2])
    assert ours.value == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.none() | st.frozensets(st.sampled_from("abc")), min_size=3, max_size=3), min_size=2, max_size=10
    ),
    st.sampled_from([masi, jaccard]),
)
def test_set_valued_alpha_with_missing_ratings_is_the_reference_librarys(rows, distance):
    ours = krippendorff_alpha(rows, distance)
    if math.isnan(ours.value):
        assert ours.reason
        return
    sets = sorted({cell for row in rows for cell in row if cell is not None}, key=sorted)
    data = np.array([[np.nan if c is None else sets.index(c) for c in row] for row in rows], dtype=float).T

    def metric(v1, v2, **_):
        return np.vectorize(lambda a, b: distance(sets[int(a)], sets[int(b)]))(v1, v2)

    domain = np.arange(len(sets), dtype=float)
    theirs = krippendorff.alpha(reliability_data=data, level_of_measurement=metric, value_domain=domain)
    assert ours.value == pytest.approx(theirs, abs=1e-9)


def test_masi_known_values():
    # Passonneau (2006): equal 0; subset: 1 - J * 2/3; overlap: 1 - J * 1/3; disjoint 1.
    assert masi(f("ab"), f("ab")) == masi(f(), f()) == 0
    assert masi(f("a"), f("ab")) == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert masi(f("ab"), f("bc")) == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert masi(f("a"), f("b")) == masi(f("a"), f()) == 1
    assert jaccard(f("ab"), f("bc")) == pytest.approx(2 / 3)


def test_undefined_is_nan_with_a_reason():
    for ratings, reason in (([], "two ratings"), ([("a", None)], "two ratings"), ([("a", "a")], "the same")):
        result = krippendorff_alpha(ratings)
        assert math.isnan(result.value) and reason in result.reason
    assert "both" in cohen_kappa(["a", None], [None, "b"]).reason
    assert "the same" in cohen_kappa(["a"], ["a"]).reason


def test_kappa_by_hand():
    # 10 items: agree on 7; marginals 6/4 and 5/5: pe = .6*.5 + .4*.5 = .5; kappa = (.7 - .5) / .5 = .4.
    a = ["x"] * 6 + ["y"] * 4
    b = ["x"] * 4 + ["y"] * 2 + ["x"] * 1 + ["y"] * 3
    assert cohen_kappa(a, b).value == pytest.approx(0.4)


def test_tables_from_tags():
    rows = [
        ("ana", "e1", "done", ["m"]), ("bo", "e1", "done", ["m"]), ("ana", "e2", "done", ["t"]),
        ("bo", "e2", "done", ["m", "t"]), ("ana", "e3", "done", []), ("bo", "e3", "skipped", ["m"]),
    ]  # fmt: skip
    tags = pd.DataFrame(rows, columns=["annotator", "example", "state", "categories"])
    tags = tags.assign(system="s", repeat=0, role="annotator", match="same")
    table = agreement_table(tags, {"m": "missing step"})
    assert list(table["what"]) == [*["all categories"] * 3, "missing step", "t", "ana and bo"]
    assert list(table["measure"][:3]) == ["alpha (nominal)", "alpha (jaccard)", "alpha (masi)"]
    assert set(table["items"]) == {2}
    assert disagreements(tags)["example"].tolist() == ["e2"]
    last_word = tags[tags["example"] == "e2"].head(1).assign(role="adjudicator", annotator="cy")
    earlier = tags[tags["example"] == "e1"].assign(match="changed")
    assert agreement_table(pd.concat([tags, last_word, earlier])).equals(agreement_table(tags))
