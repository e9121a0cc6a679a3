"""The shortcut for plain flows reads what the complete route reads, and nothing that it would not call `ok`."""

import json

import pytest
from hypothesis import given, settings

from flowstudy.flows.parse import parse_flow
from flowstudy.metrics.desks import StrictDesk
from flowstudy.metrics.kernel import both_distances, tree_distance
from flowstudy.metrics.plain import plain_flow
from flowstudy.metrics.strict import strict_tree
from tests.metrics.examples import HOSTILE, flows
from tests.metrics.test_bad_input import TEXTS
from tests.metrics.test_published_vectors import VECTORS


def check(given):
    """True if the value is plain; then both routes agree on status, lengths and trees (their distance is 0)."""
    if plain_flow(given) is None:
        return False
    parsed, desk = parse_flow(given), StrictDesk()
    assert parsed.status == "ok"
    found = desk.read(given, "r").codes[0]
    for inputs in (True, False):
        complete = desk.reader.encode(strict_tree(parsed.flow, inputs=inputs))
        assert found.lengths[inputs] == complete.lengths[inputs]
        assert tree_distance(found.codes, complete.codes, inputs=inputs) == 0
    return True


@settings(max_examples=200, deadline=None)
@given(flows())
def test_clean_flows(flow):
    inputs = [each for part in [*flow.components, flow.trigger] if part for each in part.inputs]
    nested = any(isinstance(each.value, list | dict | float) for each in inputs)
    for form in (flow.to_json(), flow.to_dict()):
        assert check(form) == (not nested and flow.outputs is None)
    assert plain_flow(flow) == plain_flow(flow.to_dict())


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_any_json(value):
    check(json.dumps(value))


def test_vectors_and_bad_texts():
    used = [check(text) for vector in VECTORS for text in (vector["candidate"], vector["reference"])]
    assert sum(used) > 300
    for text in TEXTS.values():
        check(text)


STEP = '{"trigger": null, "components": [{"definition": "log", "order": 1, "inputs": [{"name": "n", "value": %s}]}]}'


@pytest.mark.parametrize("value", ["1.0", "1e2", "NaN", "1e999", "[]", "{}", '"\\ud800"', "9" * 5_000])
def test_values_that_need_the_complete_route(value):
    assert plain_flow(STEP % value) is None


@pytest.mark.parametrize("value", ["18446744073709551616", "-0", "true", "null", '"\\ud83d\\ude00"', '"```json"'])
def test_values_are_decoded_as_json_does(value):
    ((_, _, inputs),) = plain_flow(STEP % value).steps
    (each,) = inputs.given
    assert repr(each["value"]) == repr(json.loads(value))


def test_true_is_not_one():
    first, second = (StrictDesk().read(STEP % value, "r").codes[0] for value in ("true", "1"))
    assert first.lengths == second.lengths
    desk = StrictDesk()
    first, second = (desk.read(STEP % value, "r").codes[0] for value in ("true", "1"))
    assert both_distances(first.codes, second.codes) == (0, 1)
