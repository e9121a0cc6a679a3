"""The corpus file is loss-free, whole or absent, and names every broken line."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstudy.corpus import CorpusError, Example, iter_corpus, load_corpus, shipped_corpus, write_corpus
from flowstudy.flows.outline import from_outline

GOOD = {"id": "a", "requirement": "Do it", "flow": "trigger daily\naction log_message | message = hi"}


def lines(tmp_path, *rows, encoding="utf-8"):
    path = tmp_path / "corpus.jsonl"
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_bytes(text.encode(encoding))
    return path


def test_the_shipped_examples_survive_the_file(tmp_path):
    examples = shipped_corpus()
    assert write_corpus(tmp_path / "c.jsonl", examples) == len(examples)
    assert load_corpus(tmp_path / "c.jsonl") == examples


TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT.filter(str.strip), value=TEXT)
def test_any_text_survives_the_file(tmp_path, text, value):
    flow = from_outline("action a")
    flow.components[0].inputs.append({"name": "x", "value": value})
    flow = type(flow).model_validate(flow.model_dump(warnings=False))
    example = Example(id="a", requirement=text, references=[flow], split="train")
    write_corpus(tmp_path / "c.jsonl", [example])
    assert load_corpus(tmp_path / "c.jsonl") == [example]


def test_a_line_of_a_user_may_be_short(tmp_path):
    flow = {"components": [{"definition": "a", "order": 1}]}
    path = lines(tmp_path, GOOD, {"id": "b", "requirement": "x", "references": [flow, "action b"]}, "")
    first, second = load_corpus(path)
    assert (first.split, first.domain, first.licence, first.features) == ("test", "unknown", "", {})
    assert first.flow.trigger.type == "daily" and [f.steps for f in second.references] == [1, 1]


BROKEN = [
    ("{nonsense", "one JSON object", "column 2"),
    ("[1, 2]", "one JSON object", "list"),
    ({**GOOD, "schema": "flowstudy/corpus/99"}, "schema 'flowstudy/corpus/1'", "flowstudy/corpus/99"),
    ({**GOOD, "id": ""}, "`id` as non-empty text", "''"),
    ({**GOOD, "requirement": None}, "`requirement`", "None"),
    ({**GOOD, "split": "devel"}, "`split`", "'devel'"),
    ({**GOOD, "colour": "red"}, "`colour`", "red"),
    ({**GOOD, "references": []}, "either `flow` or `references`", "both"),
    ({"id": "a", "requirement": "b"}, "either `flow` or `references`", "neither"),
    ({"id": "a", "requirement": "b", "references": []}, "at least one flow", "[]"),
    ({**GOOD, "flow": "nonsense"}, "well-formed flow as reference 0", "outline line 1"),
    ({**GOOD, "flow": {}}, "well-formed flow", "empty"),
    ({**GOOD, "flow": {"components": [{"definition": "a", "order": 3}]}}, "well-formed flow", "order 3, expected 1"),
    ({**GOOD, "flow": "ELSE"}, "well-formed flow", "ELSE does not follow"),
    ({**GOOD, "flow": {"steps": 1}}, "well-formed flow", "steps"),
    ('{"id": "a", "requirement": "b \\ud800", "flow": "action a"}', "lone surrogates", "half"),
    ('{"id": "a", "requirement": "b", "flow": {"components": [], "trigger": NaN}}', "plain JSON", "NaN"),
    ("[" * 100_000, "plain JSON", ""),
]


@pytest.mark.parametrize(("row", "rule", "got"), BROKEN)
def test_a_broken_line_names_file_line_rule_and_fix(tmp_path, row, rule, got):
    path = lines(tmp_path, {**GOOD, "id": "first"}, row)
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    (fault,) = caught.value.faults
    assert fault.line == 2 and rule in fault.rule and got in fault.got and fault.fix
    assert f"{path}:2: expected " in str(caught.value)


def test_all_broken_lines_are_collected(tmp_path):
    path = lines(tmp_path, *(row for row, _, _ in BROKEN), GOOD, GOOD)
    with pytest.raises(CorpusError, match="broken line") as caught:
        load_corpus(path)
    assert [f.line for f in caught.value.faults] == [*range(1, len(BROKEN) + 1), len(BROKEN) + 2]
    assert "also on line" in caught.value.faults[-1].got


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "byte order mark"),
        (json.dumps(GOOD).encode("utf-16"), "UTF-8 text"),
        ('{"id": "caf\u00e9"}'.encode("latin-1"), "UTF-8 text"),
        (b"", "at least one example"),
        (b"\n \n", "at least one example"),
    ],
)
def test_wrong_encodings_and_empty_files(tmp_path, raw, rule):
    path = tmp_path / "c.jsonl"
    path.write_bytes(raw)
    with pytest.raises(CorpusError, match=rule):
        load_corpus(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "c.jsonl"
    examples = shipped_corpus()[:2]
    write_corpus(path, examples)

    def broken():
        yield examples[0]
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError):
        write_corpus(path, broken())
    assert load_corpus(path) == examples and [p.name for p in tmp_path.iterdir()] == ["c.jsonl"]


def test_reading_streams(tmp_path):
    path = lines(tmp_path, *({**GOOD, "id": str(n)} for n in range(50)))
    stream = iter_corpus(path, [])
    assert next(stream).id == "0" and next(stream).id == "1"
