"""Synthetic examples are flows that the catalogue allows, and their texts say what the flows do."""

from collections import Counter

import pytest

from flowstudy.corpus.environments import shipped_catalogue, shipped_domains
from flowstudy.corpus.references import reference_faults, underived_values
from flowstudy.corpus.synthesis import Mix, generate, invent_catalogue
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import FLOW_LOGIC, Flow, structure_faults


@pytest.fixture(scope="module")
def examples():
    return list(generate(shipped_catalogue("it_service"), 800, seed=3))


def test_every_flow_is_valid_and_uses_only_what_exists(examples):
    catalogue = shipped_catalogue("it_service")
    for example in examples:
        flow = Flow.model_validate(example.flow.model_dump())
        faults = [*structure_faults(flow), *map(str, catalogue.check(flow)), *reference_faults(flow, catalogue)]
        assert not faults, (example.id, example.requirement, faults)


def test_every_value_follows_from_the_text_or_the_catalogue(examples):
    catalogue = shipped_catalogue("it_service")
    known = ["last", "approved", "rejected"]
    faulty = [e for e in examples if underived_values(e.flow, e.requirement, catalogue, known)]
    assert len(faulty) / len(examples) < 0.02, [
        (e.requirement, underived_values(e.flow, e.requirement, catalogue)) for e in faulty[:3]
    ]


def test_annotations_are_words_of_the_requirement_and_only_unsaid_steps_have_none(examples):
    for example in examples:
        unsaid = {int(note.partition(":")[0]) for note in example.features["implicit_step"] or []}
        for component in example.flow.components:
            if component.annotation is not None:
                assert component.annotation in example.requirement
            elif component.definition != "BRANCH":
                assert component.order in unsaid


def test_the_same_seed_gives_the_same_examples_and_a_shorter_run_is_a_prefix():
    catalogue = invent_catalogue(5)
    first = [e.model_dump_json() for e in generate(catalogue, 30, seed=1)]
    assert first[:10] == [e.model_dump_json() for e in generate(catalogue, 10, seed=1)]
    assert first[0] != next(generate(catalogue, 1, seed=2)).model_dump_json()


def test_no_requirement_repeats():
    small = generate(shipped_catalogue("hr"), 4000, seed=0, mix=Mix(sizes=(1, 3)))
    texts = Counter(e.requirement.lower() for e in small)
    assert max(texts.values()) == 1


def test_all_constructs_and_features_occur(examples):
    seen = {c.definition for e in examples for c in e.flow.components if c.is_logic}
    assert seen >= FLOW_LOGIC - {"END", "DEFAULT", "BLOCK"}
    assert 0.05 < sum(bool(e.features["implicit_step"]) for e in examples) / len(examples) < 0.6
    assert {e.flow.trigger.type for e in examples if e.flow.trigger} >= {"record_create", "daily", "email"}


def test_sizes_are_controlled_up_to_two_hundred():
    sizes = [e.flow.steps for e in generate(invent_catalogue(1), 4, seed=0, mix=Mix(sizes=(180, 200)))]
    assert all(175 <= size <= 215 for size in sizes)


@pytest.mark.parametrize("domain", shipped_domains())
def test_every_shipped_domain_can_be_synthesised(domain):
    catalogue = shipped_catalogue(domain)
    for example in generate(catalogue, 40, seed=1):
        assert not catalogue.check(example.flow)


def test_a_bare_catalogue_is_enough():
    bare = Catalogue.model_validate({"name": "bare", "actions": {"sendMail": {}, "crm.sync": {"inputs": {"note": {}}}}})
    assert len(list(generate(bare, 20, seed=0))) == 20


def test_a_catalogue_without_steps_and_one_that_runs_out_are_errors():
    with pytest.raises(ValueError, match="expected at least one action or subflow"):
        next(generate(Catalogue(name="none"), 1))
    tiny = Catalogue.model_validate({"name": "tiny", "actions": {"ping": {}}})
    with pytest.raises(ValueError, match="expected 5000 different requirements"):
        list(generate(tiny, 5000, mix=Mix(sizes=(1, 1), logic=0, chatter=0, negations=0, typos=0)))


def test_texts_to_avoid_do_not_come_out():
    catalogue = invent_catalogue(2)
    first = [e.requirement for e in generate(catalogue, 5, seed=0)]
    assert not set(first) & {e.requirement for e in generate(catalogue, 5, seed=0, avoid=first)}


def test_invented_environments_share_no_names_with_the_shipped_ones():
    core = shipped_catalogue("core")
    shipped = {n for d in shipped_domains() for n in (*shipped_catalogue(d).steps(), *shipped_catalogue(d).tables)}
    shipped -= {*core.steps(), *core.tables}
    for seed in range(40):
        invented = invent_catalogue(seed)
        assert not shipped & {*invented.steps(), *invented.tables}
        assert invented == invent_catalogue(seed)
        assert len(invented.groups) >= 4
