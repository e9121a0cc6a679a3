"""What is decoded in one step is what `parse_flow` reads."""

import json

import pytest
from hypothesis import given, settings

from flowstudy.flows.parse import parse_flow
from flowstudy.metrics import explain, flow_similarity
from flowstudy.metrics.reader import _plain, read
from tests.metrics.examples import HOSTILE, flows
from tests.metrics.test_bad_input import TEXTS
from tests.metrics.test_published_vectors import VECTORS


def plainly(outline):
    """An outline in which inputs are pairs and true is not 1."""
    if outline is None:
        return None
    places = [outline.trigger and (outline.trigger[0], 0, outline.trigger[1]), *outline.steps]
    parts = [part and (*part[:2], [(each.name, repr(each.value)) for each in part[2]]) for part in places]
    return parts, outline.signatures


def check(given):
    parsed, found = parse_flow(given), read(given)
    assert (found.status, found.repairs) == (parsed.status, parsed.repairs)
    assert plainly(found.outline) == plainly(parsed.flow and read(parsed.flow).outline)


@settings(max_examples=200, deadline=None)
@given(flows())
def test_clean_flows(flow):
    inputs = [each for part in [*flow.components, flow.trigger] if part for each in part.inputs]
    nested = any(isinstance(each.value, list | dict | float) for each in inputs)
    for form in (flow.to_json(), flow.to_dict()):
        check(form)
        assert (_plain(form) is not None) == (not nested and flow.outputs is None)


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_any_json(value):
    check(json.dumps(value))


def test_vectors_and_bad_texts():
    texts = [text for vector in VECTORS for text in (vector["candidate"], vector["reference"])]
    assert sum(_plain(text) is not None for text in texts) > 300
    for text in [*texts, *TEXTS.values()]:
        check(text)


def test_an_object_with_a_lone_surrogate_is_repaired_as_its_text_is():
    odd = {"trigger": None, "components": [{"definition": "a\ud800", "order": 1}]}
    check(odd)
    assert explain(odd, odd).status == "repaired" and flow_similarity(odd, json.dumps(odd)) == 1


STEP = '{"trigger": null, "components": [{"definition": "log", "order": 1, "inputs": [{"name": "n", "value": %s}]}]}'


@pytest.mark.parametrize("value", ["1.0", "1e2", "NaN", "1e999", "[]", "{}", '"\\ud800"', "9" * 5_000])
def test_values_that_need_more_than_one_step(value):
    assert _plain(STEP % value) is None


@pytest.mark.parametrize("value", ["18446744073709551616", "-0", "true", "null", '"\\ud83d\\ude00"', '"```json"'])
def test_values_are_decoded_as_json_does(value):
    ((_, _, (found,)),) = read(STEP % value).outline.steps
    assert repr(found.value) == repr(json.loads(value))
