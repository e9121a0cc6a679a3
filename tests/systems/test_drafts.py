"""A draft is the nearest example's flow in the prompt's own numbers, the same in training and in use."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.corpus.synthesis import Mix, generate
from flowstudy.corpus.written import shipped_corpus
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Component, Flow, Trigger, structure_faults
from flowstudy.metrics import flow_similarity
from flowstudy.systems.drafts import drafted, expected_likeness, reciprocal_ranks, usable
from flowstudy.systems.pointers import point, resolve
from flowstudy.systems.predict import plan
from flowstudy.systems.prompts import render
from flowstudy.systems.readiness import readiness
from flowstudy.systems.records import Suggestion, SystemSpec
from flowstudy.systems.retrieval import retrieve
from flowstudy.systems.slm.blends import blended, practised, told_likeness
from flowstudy.systems.slm.data import pairs
from flowstudy.systems.slm.guide import read_offers
from flowstudy.systems.slm.judge import Judge
from flowstudy.systems.slm.strange import with_strange_words
from flowstudy.systems.slm.template import render_messages
from flowstudy.systems.uses import catalogue_uses

HR = shipped_catalogue("hr")
SPEC = SystemSpec(name="s", model="slm/tuned", prompt="drafted", shots=1, suggestions=8)


@pytest.fixture(scope="module")
def corpus():
    return [e for e in shipped_corpus() if e.domain == "hr" and e.split == "train"][:48]


def draft_in(prompt):
    """The draft of a prompt, "" for none."""
    return "".join(re.split(r"\nDraft \d+:\n", prompt)[1:]).removesuffix("\nFlow:\n")


def test_the_draft_is_a_near_example_in_the_prompts_own_numbers(corpus):
    seen = 0
    for example in corpus:
        offered = retrieve("lexical", example, HR, 8)
        suggestions, shots = drafted("drafted", example, offered, corpus, HR)
        if not shots:
            assert suggestions == offered
            continue
        seen += 1
        assert shots[0].example.id != example.id, "an example is not its own draft"
        messages = render(SPEC, "whole", example.requirement, suggestions, HR, shots).messages
        text = draft_in(render_messages(messages))
        assert "action " not in text and "subflow " not in text, "every step of a draft can be pointed at"
        told = resolve(text, suggestions, example.requirement, HR)
        assert told == to_outline(shots[0].example.flow.skeleton())
        assert [s for s in suggestions if s in offered] == offered, "what the retriever says keeps its order"
        assert len({(s.kind, s.name) for s in suggestions}) == len(suggestions)
    assert seen > len(corpus) / 4


def test_a_model_is_trained_with_the_prompts_that_it_is_asked_with(corpus):
    """A prompt that differs between training and use is the commonest way to lose what was learnt."""
    train, asked = corpus[:36], corpus[36:]
    shelves = {"hr": HR}
    tasks = plan(SPEC, asked, train, shelves)
    prompts = [
        render_messages(render(SPEC, "whole", *task[2:4], task.catalogue, task.shots).messages) for task in tasks
    ]
    trained = pairs(asked, shelves, k=8, prompt="drafted", complete=False, shown=train)
    judged = Judge(asked, shelves, k=8, retriever="lexical", prompt="drafted", shown=train).asked
    assert prompts == [made.prompt for made in trained] == [render_messages(one.messages) for one in judged]
    drafts = [bool(draft_in(prompt)) for prompt in prompts]
    assert True in drafts and drafts == [bool(task.shots) for task in tasks]


def test_without_a_neighbour_or_a_shot_the_prompt_is_the_plain_one(corpus):
    """A neighbour whose steps this catalogue lacks would teach the model to invent."""
    strange = corpus[0].with_flow(
        Flow(trigger=Trigger(type="unheard_of"), components=[Component(definition="x", order=1)])
    )
    alone = [strange.model_copy(update={"id": "strange"})]
    elsewhere = [e.model_copy(update={"domain": "another"}) for e in corpus]
    shelves, plain = {"hr": HR}, pairs(corpus[:4], {"hr": HR}, k=8, complete=False)
    for train, shots in ((alone, 1), (elsewhere, 1), ([], 1), (corpus, 0)):
        tasks = plan(SPEC.model_copy(update={"shots": shots}), corpus[:4], train, shelves)
        texts = [render_messages(render(SPEC, "whole", *t[2:4], t.catalogue, t.shots).messages) for t in tasks]
        assert texts == [made.prompt for made in plain]


def test_another_draft_is_another_prediction(corpus):
    """The key says what the model saw, so that no answer to another prompt is taken from the journal."""
    task = next(task for task in plan(SPEC, corpus, corpus, {"hr": HR}) if task.shots)
    asked = [example for example in corpus if example.id == task.example]
    others = [e for e in corpus if e.id != task.shots[0].example.id]
    with_another, without = (plan(SPEC, asked, train, {"hr": HR})[0] for train in (others, []))
    assert len({task.key, with_another.key, without.key}) == 3 or not with_another.shots


def test_of_close_examples_the_one_with_suggested_steps_is_taken(corpus):
    """Two training examples are as close; what the retriever is sure of decides, the oracle's equals count alike."""
    asked = corpus[0]
    steps = [c.key for c in asked.flow.components if c.category == "action"]
    other = next(name for name in HR.actions if name not in steps)
    twins = [
        asked.with_flow(Flow(trigger=asked.flow.trigger, components=[Component(definition=name, order=1)]))
        for name in (other, "send_email")
    ]
    twins = [e.model_copy(update={"id": f"twin{n}"}) for n, e in enumerate(twins)]
    trigger = Suggestion(kind="trigger", name=asked.flow.trigger.type)
    for sure, taken in (("send_email", "twin1"), (other, "twin0")):
        offered = [trigger, Suggestion(kind="action", name=sure, score=2.0)]
        offered += [Suggestion(kind="action", name="add_comment")]
        for order in (twins, twins[::-1]):
            assert drafted("drafted", asked, offered, order, HR)[1][0].example.id == taken
    equal = reciprocal_ranks([Suggestion(kind="action", name=name) for name in ("a", "b", "c")])
    assert set(equal.values()) == {1.0}


EXAMPLES = list(generate(HR, 24, seed=5, mix=Mix(sizes=(2, 14))))


@given(st.integers(0, 10**6))
def test_a_blend_is_a_well_formed_outline_made_of_both_flows(seed):
    rng = random.Random(seed)
    one, other = rng.sample(EXAMPLES, 2)
    blend = blended(one.flow, other.flow, rng)
    assert structure_faults(blend) == [] and blend == blend.skeleton()
    known = {c.key for flow in (one.flow, other.flow) for c in flow.components}
    assert {c.key for c in blend.components} <= known


def test_blends_reach_from_the_flow_itself_to_another(corpus):
    one, other = corpus[0].flow, corpus[1].flow
    blends = [blended(one, other, random.Random(seed)) for seed in range(60)]
    assert one.skeleton() in blends and other.skeleton() in blends and len({b.to_json() for b in blends}) > 10


def test_what_is_said_of_a_draft_is_about_true(corpus):
    """A number that means nothing would teach the model to follow bad drafts, or none. Said of drafts in use: more of
    those that are more like the reference; in training: right on average, whatever the blend."""
    found = [(e, drafted("drafted", e, retrieve("lexical", e, HR, 8), corpus, HR)[1]) for e in corpus]
    told = [(shots[0].likeness, flow_similarity(shots[0].example.flow, e.references, inputs=False))
            for e, shots in found if shots]  # fmt: skip
    assert all(0.3 <= said <= 1 and said == round(said, 1) for said, _ in told), "ENOUGH is 0.3 told"
    cut = sorted(said for said, _ in told)[len(told) // 2]
    surer, others = ([like for said, like in told if (said > cut) == more] for more in (True, False))
    assert sum(surer) / len(surer) > sum(others) / len(others)
    one, other = EXAMPLES[0].flow, EXAMPLES[1].flow
    blends = [blended(one, other, random.Random(n)) for n in range(300)]
    off = [told_likeness(b, one, random.Random(n)) - flow_similarity(b, [one], inputs=False)
           for n, b in enumerate(blends)]  # fmt: skip
    assert abs(sum(off) / len(off)) < 0.08 and 0.1 < (sum(x * x for x in off) / len(off)) ** 0.5 < 0.25
    assert expected_likeness(2.8) == 1.0 and expected_likeness(0.6) == 0.3


def test_the_prompt_says_how_good_the_draft_is_and_the_key_knows(corpus, monkeypatch):
    task = next(task for task in plan(SPEC, corpus, corpus, {"hr": HR}) if task.shots)
    told = [task.shots[0]._replace(likeness=likeness) for likeness in (0.3, 0.8)]
    texts = [render_messages(render(SPEC, "whole", *task[2:4], task.catalogue, [shot]).messages) for shot in told]
    assert "\nDraft 3:\n" in texts[0] and "\nDraft 8:\n" in texts[1]
    assert texts[0].replace("Draft 3:", "Draft 8:") == texts[1]
    before = plan(SPEC, corpus, corpus, {"hr": HR})
    monkeypatch.setattr("flowstudy.systems.drafts.expected_likeness", lambda promised: 0.95)
    after = plan(SPEC, corpus, corpus, {"hr": HR})
    assert [a.key != b.key for a, b in zip(after, before, strict=True)] == [bool(task.shots) for task in before]


def test_half_of_the_drafts_in_training_are_good_ones_and_none_when_judged(corpus):
    """Practice must not reach what a model is asked, or judged on: there nobody knows the answer."""
    shelves = {"hr": HR}
    trained = {made.id: made.prompt for made in pairs(corpus, shelves, k=8, prompt="drafted")}
    asked = {made.id: made.prompt for made in pairs(corpus, shelves, k=8, prompt="drafted", complete=False)}
    better, same = 0, 0
    for example in corpus:
        good, shots = practised(example, [], corpus, HR, random.Random(0))
        fit = usable(example, corpus, HR)
        assert bool(shots) == bool(fit)
        if not fit:
            continue
        like = [flow_similarity(near.flow, example.references, inputs=False) for near in fit]
        draws = [practised(example, [], corpus, HR, random.Random(n))[1][0].example.flow for n in range(40)]
        whole = [flow for flow in draws if flow in [near.flow for near in fit]]
        assert len(whole) > 10, "half of them are drafts of real examples, the others blends"
        assert {flow_similarity(flow, example.references, inputs=False) for flow in whole} == {max(like)}
        assert catalogue_uses(shots[0].example.flow.skeleton()) <= {(s.kind, s.name) for s in good}
        better += draft_steps(trained[example.id]) != draft_steps(asked[example.id])
        same += draft_steps(trained[example.id]) == draft_steps(asked[example.id])
    assert better > len(corpus) / 8 and same > len(corpus) / 4


def draft_steps(prompt):
    """A draft with the names of its steps, whose numbers depend on what else is offered."""
    offers = {f"<s{n}>": offer for n, offer in enumerate(line.partition(" ")[2] for line in prompt.split("\n"))}
    return [offers.get(part, "").rpartition(">")[2][:24] for line in draft_in(prompt).split("\n")
            for part in line.split() if part.startswith("<s")]  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_strange_words_change_nothing_that_an_answer_points_at(share):
    """An invented requirement with strange words has the same answer, to the last pointer but for what it spells."""
    changed = 0
    for example in EXAMPLES:
        strange = with_strange_words(example, share, random.Random(1))
        offered = retrieve("lexical", example.requirement, HR, 8)
        assert len(strange.requirement.split()) == len(example.requirement.split())
        assert strange.flow.skeleton() == example.flow.skeleton()
        assert [c.inputs for c in strange.flow.components] == [c.inputs for c in example.flow.components]
        one, other = (point(e.flow, offered, e.requirement, HR) for e in (example, strange))
        assert one == other
        changed += strange.requirement != example.requirement
    assert changed == (0 if share == 0 else len(EXAMPLES))


def test_a_draft_does_not_change_what_may_be_pointed_at(corpus):
    """Guided decoding reads suggestions and words from the prompt; a draft must not be taken for either."""
    from tests.systems.test_slm_guide import VOCABULARY

    from flowstudy.systems.slm.guide import Guide

    tasks = [task for task in plan(SPEC, corpus, corpus, {"hr": HR}) if task.shots]
    assert tasks
    for task in tasks:
        prompt = render_messages(render(SPEC, "whole", *task[2:4], task.catalogue, task.shots).messages)
        bare = render_messages(render(SPEC, "whole", *task[2:4], task.catalogue).messages)
        with_draft, without = Guide(prompt, VOCABULARY), Guide(bare, VOCABULARY)
        assert draft_in(prompt) and with_draft.active
        assert (with_draft.offers, with_draft.words) == (without.offers, without.words)
        assert len(read_offers(prompt)) == len(task.suggestions)


def test_a_prompt_file_of_ones_own_may_show_drafts_to_a_large_model(corpus, tmp_path):
    (tmp_path / "mine.md").write_text(
        "---\nreads: json\ndrafts: true\n---\n## whole / user\n{{ requirement }}\nDraft: {{ draft }}\n"
    )
    spec = SPEC.model_copy(update={"model": "openai/gpt-4o", "prompt": str(tmp_path / "mine.md")})
    task = next(task for task in plan(spec, corpus, corpus, {"hr": HR}) if task.shots)
    text = render(spec, "whole", *task[2:4], task.catalogue, task.shots).messages[0]["content"]
    assert Flow.model_validate_json(text.partition("Draft: ")[2]) == task.shots[0].example.flow.skeleton()


def test_more_than_one_draft_is_refused_before_anything_is_asked():
    """Three shots asked for and one shown would be a difference that nobody sees."""
    found = readiness(SPEC.model_copy(update={"model": "openai/gpt-4o", "shots": 3}))
    assert not found.ready and "3 are asked for" in found.reason and "shots: 1" in found.fix
