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
