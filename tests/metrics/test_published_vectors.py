"""The published convention gives the published numbers, to the last bit."""

import json
from pathlib import Path

import pytest

from flowstudy.metrics import published_scores

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "flowsim-vectors.jsonl").open(encoding="utf-8")]


def name(vector):
    return f"{vector['id']}-{'+'.join(vector['codes']) or vector['kind'].split(':')[0]}"


@pytest.mark.parametrize("vector", VECTORS, ids=name)
def test_scores_of_the_published_code(vector):
    scores = published_scores(vector["candidate"], vector["reference"])
    assert scores == {name: vector[name] for name in scores}


QUIRKS = {code: vector for vector in VECTORS for code in vector["codes"] if vector["tag"] == "quirk"}
QUIRKS |= {v["kind"].split()[0].removeprefix("catalogue:"): v for v in VECTORS if v["kind"].startswith("catalogue:")}
#: Published scores of flow_sim without / with inputs, from the quirk table.
TABLE = {
    "P1": (0, 0), "P2": (0, 0), "P3": (0, 0), "P3b": (0, 0), "P3c": (0, 0), "P4": (1, 1), "P5": (1, 1), "P6": (1, 1),
    "P6b": (0, 0), "P6c": (0, 0), "P6d": (1, 1), "T1": (1, 1), "T1b": (0.8, 0.8), "T2": (0.75, 0.75), "T3": (0.8, 0.8),
    "T3b": (1, 1), "T4": (1, 1), "T5b": (0, 0), "T6": (0.6667, 0.6667), "T6b": (1, 1), "T7": (1, 1), "T7b": (0.5, 0.5),
    "T7c": (0.5, 0.5), "T8": (0.6667, 0.6667), "T8b": (0, 0), "T8c": (0.5, 0.5), "T10": (0, 0), "T11": (1, 0),
    "T11b": (0, 0), "T11c": (1, 0), "T12": (1, 0.8333), "T12b": (1, 1), "T12c": (1, 0.8333), "T13": (1, 1),
    "T15": (1, 1), "T16": (1, 0.8), "E0": (1, 0.875), "E1": (1, 1), "E1b": (1, 0.5), "E2": (1, 1), "E3": (1, 1),
    "E4": (1, 1), "E4b": (1, 1), "E5": (1, 1), "E6": (1, 1), "E7": (1, 1), "E8": (1, 0.875), "E9": (1, 1),
    "E10": (1, 0.875), "E10b": (0, 0.25), "E11": (1, 1), "E11b": (0, 0.75), "E12": (1, 0.75), "E12b": (1, 0.75),
    "E12c": (1, 0.6667), "E13": (1, 1), "E15": (1, 1), "L1": (-1.5, -1.5), "L1b": (0, -2), "L2": (1, 0.875),
    "L3": (1, 1),
    "L4": (1, 1), "L5": (0, 0), "L6": (0, 0.3), "L7": (0.5, 0.5), "L7b": (1, 1), "B1": (1, 1), "B2": (0.5455, 0.6154),
    "B2b": (0.6667, 0.6667), "B3": (0.5, 0.5), "M1": (1, 1), "M2": (1, 1), "M2c": (1, 0), "M3": (0.5, 0.5),
    "M4": (1, 0.75),
}  # fmt: skip


@pytest.mark.parametrize("code", TABLE)
def test_quirk_of_the_published_code(code):
    vector = QUIRKS[code]
    scores = published_scores(vector["candidate"], vector["reference"])
    found = (scores["flow_sim_no_inputs"], scores["flow_sim_with_inputs"])
    assert found == pytest.approx(TABLE[code], abs=5e-5)
