"""The published convention gives the published numbers, to the last bit."""

import json
from pathlib import Path

import pytest

from flowstudy.metrics import published_scores

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "flowsim-vectors.jsonl").open(encoding="utf-8")]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['id']}-{'+'.join(v['codes']) or v['kind'].split(':')[0]}")
def test_scores_of_the_published_code(vector):
    scores = published_scores(vector["candidate"], vector["reference"])
    assert scores == {name: vector[name] for name in scores}
