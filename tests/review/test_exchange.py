"""Tags leave and come back unchanged, in our own formats and in Label Studio's; broken files are named."""

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.analysis.taxonomy import load_taxonomy
from flowstudy.desk import STORE_VARIABLE, carry_tags
from flowstudy.review.exchange import ExchangeError, export_tags, import_tags
from flowstudy.review.label_studio import from_tasks, labelling_config, to_annotate, to_tasks
from flowstudy.review.tags import Tag, TagStore, standing


def tag(**over) -> Tag:
    return Tag(**({"annotator": "ana", "system": "s", "example": "e1"} | over))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
tags = st.builds(
    Tag, annotator=texts.filter(bool), system=texts.filter(bool), example=texts.filter(bool), note=texts,
    repeat=st.integers(0, 3), categories=st.lists(texts, max_size=3), proposed=st.lists(texts, max_size=2),
    state=st.sampled_from(["draft", "done", "skipped"]), seconds=st.none() | st.floats(0, 999),
    role=st.sampled_from(["annotator", "adjudicator"]), answer=st.none() | st.just("0123456789ab"),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(tags, max_size=5), st.sampled_from(["jsonl", "csv"]))
def test_export_and_import_give_back_the_same(tmp_path_factory, batch, kind):
    path = tmp_path_factory.mktemp("x") / f"tags.{kind}"
    assert import_tags(export_tags(batch, path)) == batch


@settings(max_examples=40, deadline=None)
@given(st.lists(tags.filter(lambda t: t.state != "draft"), max_size=4, unique_by=lambda t: (t.role, t.annotator)))
def test_label_studio_gives_back_what_it_can_hold(tmp_path_factory, batch):
    path = export_tags(batch, tmp_path_factory.mktemp("x") / "tags.json")
    back = {t.id: t for t in import_tags(path)}
    assert {i: t.model_copy(update={"proposed": []}) for i, t in ((t.id, t) for t in batch)} == back


def test_the_whole_history_moves_to_another_store(tmp_path):
    one, other = TagStore(tmp_path / "one.sqlite"), TagStore(tmp_path / "other.sqlite")
    first = tag(categories=["wrong_step"])
    one.add(first, tag(example="e2"))
    one.add(tag(state="undo", supersedes=first.id))
    for _ in range(2):  # twice changes nothing
        other.add(*import_tags(export_tags(one.history(), tmp_path / "all.jsonl")))
    assert other.history() == one.history() and other.current() == one.current()


def test_label_studio_fields_are_the_documented_ones():
    # https://labelstud.io/guide/task_format: task.data, annotations[].{result, was_cancelled, ground_truth, lead_time,
    # created_at, completed_by}, result[].{from_name, to_name, type, value}.
    task = to_tasks([tag(categories=["wrong_step"], note="why", seconds=4.288)])[0]
    annotation = task["annotations"][0]
    assert {"result", "was_cancelled", "ground_truth", "lead_time", "created_at", "completed_by"} <= set(annotation)
    assert annotation["result"][0] == {"from_name": "categories", "to_name": "generated", "type": "choices",
                                       "value": {"choices": ["wrong_step"]}}  # fmt: skip
    assert annotation["result"][1]["value"] == {"text": ["why"]}


def test_an_export_of_label_studio_itself_is_read():
    # As the server writes it: its own ids and dates, users as numbers or as records, no unique_id in old versions.
    export = [{
        "id": 1, "project": 83, "created_at": "2026-03-09T21:52:49.513742Z",
        "data": {"system": "s", "example": "e1", "repeat": 0, "requirement": "r", "answer": "0123456789ab"},
        "annotations": [
            {"id": 1001, "completed_by": 10, "was_cancelled": False, "ground_truth": False, "lead_time": 4.3,
             "created_at": "2026-03-09T22:16:08.728353Z", "result": [
                 {"id": "Dx", "from_name": "categories", "to_name": "generated", "type": "choices", "origin": "manual",
                  "value": {"choices": ["wrong_step", "wrong_order"]}},
                 {"id": "Dy", "from_name": "note", "to_name": "generated", "type": "textarea",
                  "value": {"text": ["one", "two"]}}]},
            {"id": 1002, "completed_by": {"id": 11, "email": "bo@example.org"}, "was_cancelled": True, "result": []},
        ],
        "predictions": [{"model_version": "flowstudy", "result": []}],
    }]  # fmt: skip
    one, two = (Tag.model_validate(fields) for fields in from_tasks(json.dumps(export)))
    assert (one.annotator, one.categories, one.note) == ("10", ["wrong_step", "wrong_order"], "one\ntwo")
    assert (two.annotator, two.state, two.answer) == ("bo@example.org", "skipped", "0123456789ab")
    assert [fields["id"] for fields in from_tasks(json.dumps(export))] == [one.id, two.id], "read twice, the same tags"
    export[0]["annotations"][0]["result"][1]["value"]["text"] = "one line"
    assert from_tasks(json.dumps(export))[0]["note"] == "one line"


@pytest.mark.parametrize("name", ["tags.csv", "tags.jsonl", "tags.json"])
def test_a_file_that_a_spreadsheet_or_editor_saved_is_read(tmp_path, name):
    path = export_tags([tag(note="ä; why")], tmp_path / name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [read.note for read in import_tags(path)] == ["ä; why"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["", "sep=;\n"])
def test_a_table_with_semicolons_and_decimal_commas_is_read(tmp_path, encoding, head):
    text = 'annotator;system;example;categories;seconds\nann;s;e;"[""missing_step""]";12,5\n'
    (tmp_path / "tags.csv").write_bytes((head + text).encode(encoding))
    [read] = import_tags(tmp_path / "tags.csv")
    assert (read.annotator, read.categories, read.seconds) == ("ann", ["missing_step"], 12.5)


def test_a_correction_in_label_studio_stands_and_a_known_id_with_other_content_is_told(tmp_path, monkeypatch):
    annotation = {"unique_id": "u", "completed_by": 1, "created_at": "2026-03-09T10:00:00Z", "result": []}
    made = []
    for updated, choice in (("2026-03-09T10:00:00Z", "missing_step"), ("2026-03-09T12:00:00Z", "wrong_input")):
        result = [{"type": "choices", "value": {"choices": [choice]}}]
        tasks = [{"data": {"system": "s", "example": "e"},
                  "annotations": [annotation | {"updated_at": updated, "result": result}]}]  # fmt: skip
        made += [Tag.model_validate(fields) for fields in from_tasks(json.dumps(tasks))]
    assert [t.categories for t in standing(made)] == [["wrong_input"]] and made[0].id != made[1].id
    assert made[0].id == "u"
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "tags.sqlite"))
    for note, words in (
        ("a", "1 of 1 tags were new"),
        ("b", "0 of 1 tags were new; 1 with a known id and other content"),
    ):
        path = export_tags([tag(note=note).model_copy(update={"id": "same"})], tmp_path / "t.jsonl")
        assert carry_tags("import", path, tmp_path).startswith(words)


def test_tasks_and_interface_for_label_studio(items, xss):
    config = ElementTree.fromstring(labelling_config(load_taxonomy()))
    fields = {node.get("value", "")[1:] for node in config.iter("Text")}
    choices = {node.get("alias"): node.get("hotkey") for node in config.iter("Choice")}
    assert choices == {name: c.key for name, c in load_taxonomy().categories.items()}
    for task in to_annotate(items):
        assert fields <= set(task["data"])
        assert set(task["predictions"][0]["result"][0]["value"]["choices"]) <= set(choices)
    assert xss in task["data"]["generated"]  # Label Studio shows a Text tag as text


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "tags.jsonl"
    path.write_text(tag().model_dump_json() + '\n{"annotator": ""}\nnonsense\n')
    with pytest.raises(ExchangeError, match=r"(?s)tags\.jsonl:2: annotator.*tags\.jsonl:3"):
        import_tags(path)
    with pytest.raises(ExchangeError, match=r"\.jsonl, \.csv"):
        import_tags(tmp_path / "tags.xlsx")
    for name, text, words in (
        ("a.json", '[{"data": {}}]', "task 1"), ("b.json", "{", "readable"), ("c.json", '{"a": 1}', "list of tasks"),
        ("f.json", '[{"data": {"system": "s", "example": "e"}, "annotations": [5]}]', "task 1: expected annotations"),
        ("d.csv", "annotator,system,example,categories\nana,s,e,wrong_step\n", r"csv:2: categories"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(ExchangeError, match=words):
            import_tags(tmp_path / name)
    (tmp_path / "e.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ExchangeError, match="readable"):
        import_tags(tmp_path / "e.jsonl")
