"""Prompt files: versioned, hashed, safe from what a requirement says; schemas accept what was offered only."""

from __future__ import annotations

import jsonschema
import pytest

from flowstudy.corpus import shipped_corpus
from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.flows.outline import to_outline
from flowstudy.systems import SystemSpec, prompts, retrieve, schemas
from flowstudy.systems.predict import shown_to
from flowstudy.systems.prompts import PromptError, Shot, load_prompt, render
from flowstudy.systems.prompts.offering import step_definition
from flowstudy.systems.readers import read_flow, read_inputs
from flowstudy.systems.tasks import Task

SPEC = SystemSpec(name="a", model="m")


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
        for component in answer["components"] if outline else ():
            component.setdefault("annotation", "")
        schema = schemas.flow_schema(retrieve("oracle", example, here, k=3), here, outline=outline)
        jsonschema.validate(answer, schema)


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
    assert {path.parent.name for path in prompts.HERE.glob("*/v*.md")} >= {"json", "reasoning", "outline"}
