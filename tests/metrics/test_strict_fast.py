"""The shortcut for clean texts reads what the complete route reads, and nothing that it would not call `ok`."""

import json

from hypothesis import given, settings

from flowstudy.flows.parse import parse_flow
from flowstudy.metrics.strict import strict_tree
from flowstudy.metrics.strict_fast import plain_flow
from tests.metrics.examples import HOSTILE, flows
from tests.metrics.test_bad_input import TEXTS
from tests.metrics.test_published_vectors import VECTORS


def check(text):
    plain = plain_flow(text)
    if plain is None:
        return False
    parsed = parse_flow(text)
    assert parsed.status == "ok"
    for inputs in (True, False):
        assert strict_tree(plain, inputs=inputs) == strict_tree(parsed.flow, inputs=inputs)
    return True


@settings(max_examples=200, deadline=None)
@given(flows())
def test_clean_flows(flow):
    raw = flow.to_dict()
    inputs = [each for part in [*flow.components, flow.trigger] if part for each in part.inputs]
    nested = any(isinstance(each.value, list | dict | float) for each in inputs)
    assert check(json.dumps(raw)) == (not nested and flow.outputs is None)


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_any_json(value):
    check(json.dumps(value))


def test_vectors_and_bad_texts():
    used = [check(text) for vector in VECTORS for text in (vector["candidate"], vector["reference"])]
    assert sum(used) > 300
    for text in TEXTS.values():
        check(text)
