"""Answers to look at: the shipped corpus with known faults, a hostile one and one without a flow."""

import pytest

from flowstudy.analysis.faults import inject
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.corpus.features import compute
from flowstudy.review.sampling import Item
from flowstudy.systems.records import Prediction

XSS = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def make_items(count=10):
    examples = shipped_corpus()[: count * 2]
    catalogues = catalogues_for(examples)
    kinds = ["wrong_step", "missing_logic", "wrong_order", "invented_step", "wrong_nesting", "missing_step"]
    items = []
    for number, example in enumerate(examples):
        catalogue = catalogues[example.domain]
        full = example.model_copy(update={"features": compute(example, catalogue)})
        case = inject(full, kinds[number % len(kinds)], catalogue)
        if case is not None and len(items) < count - 2:
            prediction = case.prediction.model_copy(update={"system": f"system-{number % 2}"})
            items.append(Item(full, prediction, catalogue, 0.5 + number / 100))
    hostile = examples[-1].model_copy(update={"requirement": f"Do this. {XSS}"})
    flow = hostile.flow.model_copy(deep=True)
    flow.components[0] = flow.components[0].model_copy(update={"definition": XSS, "annotation": XSS})
    items.append(Item(hostile, Prediction(example=hostile.id, system=XSS, status="ok", flow=flow), None, 0.1))
    broken = Prediction(example=examples[-2].id, system="system-0", status="invalid_output", text=XSS, error="no JSON")
    items.append(Item(examples[-2], broken, None, 0.0))
    return items


@pytest.fixture(scope="session")
def items():
    return make_items()


@pytest.fixture(scope="session")
def xss():
    return XSS
