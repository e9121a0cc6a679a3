"""Prompt files: versioned, hashed, safe from what a requirement says; schemas accept what was offered only."""

from __future__ import annotations

import json

import jsonschema
import pytest

from flowstudy.corpus import shipped_corpus
from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.systems import SystemSpec, prompts, retrieve, schemas
from flowstudy.systems.pipeline import constraint
from flowstudy.systems.predict import shown_to
from flowstudy.systems.prices import Price
from flowstudy.systems.prompts import PromptError, Shot, load_prompt, render, stage_answer
from flowstudy.systems.prompts.offering import ENCODED, conditions_of, step_definition
from flowstudy.systems.readers import read_flow, read_inputs
from flowstudy.systems.room import fitted, notices, sized
from flowstudy.systems.tasks import Task

SPEC = SystemSpec(name="a", model="m")
SCHEMA = SPEC.model_copy(update={"decoding": "schema"})


def task(example, catalogue, suggestions, **more) -> Task:
    return Task(SPEC, example.id, example.requirement, suggestions, [], catalogue, **more)


@pytest.mark.parametrize("family", ["json", "reasoning", "outline"])
def test_every_family_renders_its_stages(family, examples, train, catalogue, flow):
    suggestions = retrieve("lexical", examples[0], catalogue, k=3)
    shots = [Shot(train[0], suggestions)]
    for stage in load_prompt(family).stages():
        made = render(
            SPEC.model_copy(update={"prompt": family}), stage, examples[0].requirement, suggestions, catalogue, shots,
            flow=flow, step=flow.components[0], faults=["component 1: no"],
        )  # fmt: skip
        text = "\n".join(message["content"] for message in made.messages)
        assert made.prompt.startswith(f"{family}/v") and len(made.prompt_hash) == 64 and "{%" not in text
        if stage in ("whole", "outline"):
            assert "page_rota" in text and train[0].requirement in text and examples[0].requirement in text


def test_a_requirement_is_only_ever_text(examples, catalogue):
    nasty = "{{ 7*7 }} {% for x in y %} {{ ''.__class__ }}"
    made = render(SPEC, "whole", nasty, [], catalogue)
    assert nasty in made.messages[-1]["content"]


def test_prompt_files_of_ones_own(tmp_path, catalogue):
    path = tmp_path / "mine.md"
    path.write_text("---\nreads: outline\n---\n## whole / user\nDo: {{ requirement }}\n")
    spec = SPEC.model_copy(update={"prompt": str(path)})
    before = render(spec, "whole", "x", [], catalogue)
    assert before.messages == [{"role": "user", "content": "Do: x"}] and before.reads == "outline"
    path.write_text("---\nreads: outline\n---\n## whole / user\nPlease do: {{ requirement }}\n")
    assert render(spec, "whole", "x", [], catalogue).prompt_hash != before.prompt_hash
    for text, rule in (("no front", "front matter"), ("---\nreads: xml\n---\n## whole / user\n", "one of json")):
        path.write_text(text)
        with pytest.raises(PromptError, match=rule):
            load_prompt(str(path))
    for name in ("nope", "json/v99", "../json", "missing.md"):
        with pytest.raises(PromptError):
            load_prompt(name)
    path.write_text("---\nreads: outline\n---\n## whole / user\nDo: {{ requirement }}\n")
    with pytest.raises(PromptError, match="stage 'repair'"):
        render(spec, "repair", "x", [], catalogue)


def test_shots_carry_their_own_suggestions_where_an_outline_is_asked_for(tmp_path, examples, train, catalogue):
    for reads in ("json", "outline"):
        path = tmp_path / f"{reads}.md"
        body = "{% for shot in shots %}{{ shot.offers.actions | join(';') }}|{{ shot.answer }}{% endfor %}"
        path.write_text(f"---\nreads: {reads}\n---\n## whole / user\n{body}\n")
        spec = SPEC.model_copy(update={"prompt": str(path), "shots": 1, "retriever": "oracle"})
        (shot,) = shots = shown_to(spec, examples[0], train, {"office": catalogue})
        assert bool(shot.suggestions) == (reads == "outline")
        said = render(spec, "whole", "x", [], catalogue, shots).messages[0]["content"]
        shown = to_outline(shot.example.flow, numbered=True) in said
        assert shown == ("x_acme.page_rota(" in said) == (reads == "outline")


def test_the_schema_takes_offered_steps_only(examples, catalogue, flow):
    suggestions = retrieve("oracle", examples[0], catalogue, k=2)
    schema = schemas.flow_schema(suggestions, catalogue)
    plain = flow.model_dump(exclude_none=True, exclude={"inputs", "outputs"})
    for component in plain["components"]:
        component["block"] = None
    jsonschema.validate(plain, schema)
    for place, name in (("definition", "invented"), ("category", "subflow"), ("scope", "x_other")):
        wrong = {**plain, "components": [{**plain["components"][0], place: name}]}
        assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
    assert jsonschema.Draft202012Validator(schemas.flow_schema([], catalogue)).is_valid(plain)
    wrong = {**plain, "components": [{**plain["components"][0], "inputs": [{"name": "invented", "value": "x"}]}]}
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong), "an input that the step does not have"
    inputs = schemas.inputs_schema(flow.components[1], catalogue)
    jsonschema.validate({"to": "Ann", "body": None}, inputs)
    assert not jsonschema.Draft202012Validator(inputs).is_valid({"to": None, "body": None})
    assert schemas.inputs_schema(flow.components[1].model_copy(update={"definition": "x"}), catalogue) is None


@pytest.mark.parametrize("outline", [False, True])
def test_what_people_wrote_is_valid_where_it_was_offered(outline):
    """The schema must not forbid the right answer: lists, flow logic, steps that take no inputs."""
    written = [e for e in shipped_corpus() if e.source == "written"]
    lists = [e for e in written if any(isinstance(i.value, list) for c in e.flow.components for i in c.inputs)]
    for example in [*written[::50], *lists[:4]]:
        here, flow = shipped_catalogue(example.domain), example.flow
        answer = flow.to_dict()
        for part, step in zip(
            [answer["trigger"], *answer["components"]], [flow.trigger, *flow.components], strict=True
        ):
            known = step_definition(step, here)
            if outline or known is None or not known.inputs:
                assert outline or not part["inputs"]
                del part["inputs"]
        schema = schemas.flow_schema(retrieve("oracle", example, here, k=3), here, outline=outline)
        jsonschema.validate(answer, schema)
        assert not schemas.rules_out(example, retrieve("oracle", example, here, k=3), here)


def test_an_answer_that_the_schema_cannot_hold_is_known_before_anybody_is_asked(examples, catalogue):
    offered = retrieve("oracle", examples[0], catalogue, k=2)
    assert not schemas.rules_out(examples[0], offered, catalogue) and not schemas.rules_out(examples[0], [], catalogue)
    without = [s for s in offered if s.name != "x_acme.page_rota"]
    assert schemas.rules_out(examples[0], without, catalogue)
    (line,) = notices([task(examples[0], catalogue, without)._replace(spec=SCHEMA)], {examples[0].id: examples[0]})
    assert "rules out every reference of 1 (test-0) of 1 requirements" in line


def test_what_earlier_steps_return_stands_beside_their_numbers(train, catalogue, flow):
    """Named after 71 % of references that name a step by its number, which the prompt for their inputs did not show."""
    returning = catalogue.model_copy(deep=True)
    returning.triggers["record_create"].outputs = ["record"]
    returning.actions["x_acme.page_rota"].outputs = ["reply", "page"]
    loop = Component(category="flowlogic", definition="FOREACH", order=3)
    longer = flow.model_copy(update={"components": [*flow.components, loop]})
    said = render(SPEC, "inputs", "x", [], returning, [Shot(train[0])], flow=longer, step=flow.components[1])
    asked = said.messages[-1]["content"]
    steps = [
        "trigger record_create -> {{trigger.record}}",
        "1 action x_acme.page_rota -> {{step.1.reply}}, {{step.1.page}}",
        "2 action send_email",
    ]
    assert asked.count("\n".join(steps)) == 2, "the flow asked about, and that of the example"
    assert "3 FOREACH -> {{step.3.item}}" in asked and "component 2, send_email" in asked
    assert "Number the components" not in said.messages[0]["content"]


def test_words_that_a_step_covers_are_asked_for_only_where_an_example_shows_some(train, catalogue, flow):
    noted = [flow.components[0].model_copy(update={"annotation": "page the rota"}), *flow.components[1:]]
    shot = Shot(train[0].model_copy(update={"references": [flow.model_copy(update={"components": noted})]}))
    for shots, wanted in (([Shot(train[0])], False), ([shot], True)):
        text = render(SPEC, "outline", "x", [], catalogue, shots).messages
        assert ("annotation" in text[0]["content"]) == wanted == ("page the rota" in text[1]["content"])
        made = json.dumps(constraint(task(train[0], catalogue, [])._replace(spec=SCHEMA, shots=shots), outline=True))
        assert ("annotation" in made) == wanted


def test_conditions_are_taught_as_the_corpus_writes_them(catalogue, flow):
    own = conditions_of([with_condition(flow, f"$json.level > {n}") for n in range(9)], [flow])
    assert own.operators == () and own.samples == ("$json.level > 0", "$json.level > 1", "$json.level > 2")
    assert conditions_of([], [with_condition(flow, "a b")] * 2).samples == (), "what is judged is never shown"
    encoded = conditions_of([with_condition(flow, "state=1^urgency>=2"), flow, with_condition(flow, "{{trigger.x}}")])
    assert encoded.operators == ("=", ">=") and conditions_of([]) == ENCODED
    for family in ("json", "reasoning", "outline-instructed"):
        spec = SPEC.model_copy(update={"prompt": family})
        texts = [render(spec, "whole", "x", [], catalogue, conditions=c).messages[0]["content"] for c in (own, encoded)]
        assert "`$json.level > 0` or `$json.level > 1`" in texts[0] and "priority=1^active" not in texts[0]
        assert "(=, >=)" in texts[1] and "{{step.3.item}}" in texts[0]


def test_no_reference_is_cut_by_the_limit_on_answers(examples, catalogue, flow):
    long = flow.model_copy(update={"components": [
        Component(definition="send_email", order=n, inputs=[Input(name="body", value="x" * 50)]) for n in range(1, 90)
    ]})  # fmt: skip
    example = examples[0].model_copy(update={"references": [flow, long]})
    spec = SystemSpec(name="a", model="openai/gpt-4o")
    most = sized(spec, [example]).max_tokens
    assert most > len(json.dumps(long.to_dict(), indent=2)) / 3 and most % 512 == 0
    assert sized(spec.model_copy(update={"model": "openai/gpt-6"}), [example]).max_tokens == most + 8192
    assert sized(spec.model_copy(update={"max_tokens": 9}), [example]).max_tokens == 9
    short = task(example, catalogue, [])._replace(spec=spec.model_copy(update={"max_tokens": 9}))
    (line,) = notices([short], {example.id: example})
    assert "max_tokens 9 is too short for a reference of 1 (test-0) of 1 requirements" in line


def test_as_many_shots_are_shown_as_fit(monkeypatch, examples, train, catalogue):
    price = Price(context=4000, source="test", date="2026-01-01")
    monkeypatch.setattr("flowstudy.systems.room.price_of", lambda model: price)
    near, far = Shot(train[0]), Shot(train[1].model_copy(update={"requirement": "far away " * 3000}))
    one = task(examples[0], catalogue, [])._replace(shots=[far, near])
    kept = fitted(one)
    assert kept.shots == [near] and kept.dropped_shots == 1
    (line,) = notices([kept], {examples[0].id: examples[0]})
    assert "shots were left out" in line
    (line,) = notices([fitted(one._replace(requirement="far away " * 3000))], {examples[0].id: examples[0]})[:1]
    assert "does not fit" in line


def test_shots_are_written_by_people(examples, train, catalogue):
    said = [e.model_copy(update={"source": "generated"}) for e in train[:1]]
    spec = SPEC.model_copy(update={"shots": 3})
    assert {s.example.id for s in shown_to(spec, examples[0], [*said, *train[1:]], {})} == {"train-1", "train-2"}


def test_a_variant_has_the_sections_of_what_it_extends_and_its_own_in_their_place(tmp_path, catalogue):
    path = tmp_path / "mine.md"
    path.write_text("---\nreads: json\nextends: json\nchanges: x\n---\n## only / text\nAnswer in gold\n")
    spec = SPEC.model_copy(update={"prompt": str(path)})
    mine, base = (render(one, "whole", "x", [], catalogue) for one in (spec, SPEC))
    assert mine.messages[0]["content"].replace("Answer in gold", base_only()) == base.messages[0]["content"]
    assert mine.prompt_hash != base.prompt_hash
    for extends in (str(path), "outline"):
        other = tmp_path / "other.md"
        other.write_text(f"---\nreads: json\nextends: {extends}\n---\n## only / text\nx\n")
        with pytest.raises(PromptError, match="extends none"):
            load_prompt(str(other))


def base_only() -> str:
    return load_prompt("json").sections["only", "text"]


def with_condition(flow: Flow, text: str) -> Flow:
    trigger = Trigger(type="record_create", inputs=[Input(name="condition", value=text)])
    return flow.model_copy(update={"trigger": trigger})


def test_inputs_are_read_from_what_models_write(examples, catalogue, flow):
    one, step = task(examples[0], catalogue, []), flow.components[1]
    good = {"to": "Ann", "body": 3}
    for text in ('{"to": "Ann", "body": 3, "cc": null}', 'Here:\n```json\n{"to": "Ann", "body": 3}\n```',
                 '{"inputs": {"to": "Ann", "body": 3}}',
                 '{"inputs": [{"name": "to", "value": "Ann"}, {"name": "body", "value": 3}]}'):  # fmt: skip
        assert {i.name: i.value for i in read_inputs(text, "json", step, one)} == good
    assert read_inputs("{}", "json", step, one) == []
    wrapped: list[str] = []
    assert read_inputs('```json\n{"arguments": {"to": "Ann", "body": 3,}}\n```', "json", step, one, wrapped)
    assert {"json_syntax", "unwrapped"} <= set(wrapped)
    plain: list[str] = []
    catalogue_with = one.catalogue.model_copy(deep=True)
    catalogue_with.step(step).inputs["arguments"] = catalogue_with.step(step).inputs["to"]
    own = read_inputs('{"arguments": "-x", "to": "Ann"}', "json", step, one._replace(catalogue=catalogue_with), plain)
    assert {i.name: i.value for i in own} == {"arguments": "-x", "to": "Ann"} and plain == []
    for text in ("", "none", "[1]", '{"inputs": [1]}', "{" * 5000):
        assert read_inputs(text, "json", step, one) is None


def test_an_empty_answer_is_invalid_and_an_outline_is_read(examples, catalogue, flow):
    one = task(examples[0], catalogue, [])
    assert read_flow(to_outline(flow), "outline", one).flow == flow
    bad = read_flow(" \n", "outline", one)
    assert bad.status == "invalid_output" and bad.error


def test_all_prompt_files_are_packaged():
    found = {path.parent.name: path.read_text() for path in prompts.HERE.glob("*/v*.md")}
    assert found.keys() >= {"json", "reasoning", "outline"}
    assert all("\nchanges: " in text or "\ntitle: " in text for text in found.values()), "a line on what it changes"


def test_a_prompt_may_show_its_examples_as_earlier_turns(examples, train, catalogue):
    """What small models continue: the same question as theirs, and an answer as theirs should be."""
    shots = [Shot(one, ()) for one in train[:2]]
    for name in ("outline", "outline-instructed"):
        spec = SPEC.model_copy(update={"prompt": name})
        for stage in ("whole", "outline", "inputs"):
            step = train[0].flow.trigger if stage == "inputs" else None
            more = {"flow": examples[0].flow, "step": step}
            alone = render(spec, stage, examples[0].requirement, [], catalogue, **more).messages
            said = render(spec, stage, examples[0].requirement, [], catalogue, shots, **more).messages
            assert [said[0], said[-1]] == alone, "the question itself is the same with examples and without"
            roles = [message["role"] for message in said[1:-1]]
            assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
            assert train[0].requirement in said[1]["content"] and examples[0].requirement not in said[1]["content"]
            assert said[2]["content"] == stage_answer("outline", stage, shots[0], step)
