"""What people have in hand is opened or named (remarks, zips, envelopes, rows, side files), and no import overwrites
anybody's work."""

from __future__ import annotations

import json
import zipfile

import pytest

from flowstudy.__main__ import main
from flowstudy.corpus import check_corpus, load_corpus
from flowstudy.corpus.importers import import_corpus, load_workflows
from flowstudy.corpus.prepare import prepare

SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
TRIGGERS = {"Daily": {"type": "Recurrence", "recurrence": {"frequency": "Day", "interval": 1}}}
SEND = {"type": "Http", "inputs": {"method": "POST", "uri": "https://shop.example.com/mail"}}
LOGIC_APP = {
    "definition": {
        "$schema": SCHEMA,
        "description": "Mail the list each morning.",
        "triggers": TRIGGERS,
        "actions": {"Send": SEND},
    }
}
N8N = {
    "name": "Tell sales about each order",
    "nodes": [{"name": "t", "type": "n8n-nodes-base.webhook"}, {"name": "a", "type": "n8n-nodes-base.slack"}],
    "connections": {"t": {"main": [[{"node": "a", "type": "main", "index": 0}]]}},
}
FLOW = {"trigger": {"type": "daily", "inputs": []}, "components": [{"definition": "log", "order": 1}]}
WISH = "Log the open tickets each day."


def read(tmp_path, content, name="x.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list(load_workflows(path))


TEXT = json.dumps(LOGIC_APP, indent=1)


@pytest.mark.parametrize(
    "text",
    [
        "// who: platform team\n" + TEXT.replace('"actions"', '/* the steps */ "actions"'),
        TEXT.replace("\n }\n}", "\n },\n}"),
        f"Our flow:\n```json\n{TEXT}\n```\n",
        TEXT + "\n# made by hand",
    ],
    ids=["remarks", "last comma", "fence", "words behind"],
)
def test_json_as_the_tools_of_platforms_take_it_is_read_with_a_note(tmp_path, text):
    [record] = read(tmp_path, text)
    assert record.status == "converted" and record.notes
    assert record.example.flow.components[0].input("uri") == "https://shop.example.com/mail"


def test_several_values_in_a_row_are_all_read(tmp_path):
    assert [r.status for r in read(tmp_path, f"{TEXT}\n{json.dumps(N8N)}")] == ["converted", "converted"]


@pytest.mark.parametrize("junk", ['"\\' * 50_000, "/*" * 50_000, "," * 50_000, '{"a": ' + "[1," * 50_000])
def test_broken_text_is_refused_in_time(tmp_path, junk):
    assert read(tmp_path, junk)[0].status == "refused"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"data": [N8N, N8N], "nextCursor": None}, 2),
        ({"value": [{"name": "Mail", "properties": LOGIC_APP}, {"name": "Mail 2", "properties": LOGIC_APP}]}, 2),
        ({"properties": {"files": {"workflow.json": LOGIC_APP}}, "type": "Microsoft.Web/sites/workflows"}, 1),
        ({"value": [{"name": "Mail", "clientdata": json.dumps({"properties": LOGIC_APP})}]}, 1),
        ({"workflow": {"workflow": N8N, "description": "Tell sales at once."}}, 1),
        ([N8N, LOGIC_APP], 2),
    ],
    ids=["n8n", "power automate", "standard", "dataverse", "gallery", "mixed"],
)
def test_workflows_in_envelopes_and_as_text_are_found(tmp_path, answer, found):
    records = read(tmp_path, answer)
    assert [r.status for r in records] == ["converted"] * found
    assert len({r.id for r in records}) == found


def test_the_name_and_text_of_an_envelope_are_used_and_what_is_no_workflow_in_a_list_is_told(tmp_path):
    bare = {"nodes": N8N["nodes"], "connections": N8N["connections"]}
    [record] = read(tmp_path, {"name": "Orders", "description": "Tell sales at once.", "workflow": bare})
    assert record.example.requirement == "Tell sales at once." and record.example.features["title"] == "Orders"
    assert [r.status for r in read(tmp_path, [N8N, {"a": 1}])] == ["converted", "refused"]


def test_the_text_of_a_note_is_called_a_note(tmp_path):
    note = {"name": "n", "type": "n8n-nodes-base.stickyNote", "parameters": {"content": "Paste the key first."}}
    [record] = read(tmp_path, {**N8N, "nodes": [*N8N["nodes"], note]})
    assert record.example.features["requirement_from"] == "sticky notes"


ASKED = {"role": "user", "content": [{"type": "text", "text": WISH}]}
ANSWERED = {"role": "assistant", "content": json.dumps(FLOW)}
ROWS = [
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": WISH}, ANSWERED]},
    {"conversations": [{"from": "human", "value": WISH}, {"from": "gpt", "value": json.dumps(FLOW)}]},
    {"prompt": [ASKED], "completion": [ANSWERED]},
    {"instruction": "Write the flow as JSON.", "input": WISH, "output": FLOW},
    {"question": "Which flow?", "context": WISH, "answer": FLOW},
    {"requirement": WISH, "workflow": N8N},
    {"requirement": WISH, "workflow": json.dumps(N8N)},
    {"prompt": WISH, "completion": TEXT},
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row) for row in ROWS])
def test_a_row_is_known_and_its_wish_is_kept_whatever_its_form(tmp_path, row):
    [record] = read(tmp_path, json.dumps(row), "rows.jsonl")
    assert record.status == "converted", record.reason
    assert record.example.requirement.endswith(WISH)
    assert set(record.example.features["requirement_from"].split(" and ")) <= {*row, "requirement"}


@pytest.mark.parametrize(
    ("label", "category", "name", "status"),
    [
        ("Do the following until", "flowlogic", "DOUNTIL", "converted"),
        ("Do the following in parallel", "flowlogic", "PARALLEL", "converted"),
        ("Wait for a duration of time", "flowlogic", "WAIT", "converted"),
        ("Set Flow Variables", "action", "set_flow_variables", "converted"),
        ("Exit Loop", "action", "exit_loop", "partly"),
        ("Something new", "action", "something_new", "partly"),
    ],
)
def test_an_unknown_name_of_flow_logic_does_not_cost_the_flow(tmp_path, label, category, name, status):
    step = {"category": "flowlogic", "definition": label, "order": 2}
    row = {"requirement": WISH, "flow": {**FLOW, "components": [*FLOW["components"], step]}}
    [record] = read(tmp_path, json.dumps(row), "rows.jsonl")
    made = record.example.flow.components[1]
    assert (made.category, made.definition, record.status) == (category, name, status)
    assert (label in record.reason) == (status == "partly")


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".json", content)
    return path


def test_a_zip_is_read_without_being_unpacked_and_a_broken_one_is_refused(tmp_path):
    path = zipped(tmp_path / "package.zip", flows__1__definition=TEXT, manifest="{}", bad="{")
    found = {r.id: r.status for r in load_workflows(tmp_path)}
    assert found == {
        "package.zip/bad.json": "refused",
        "package.zip/flows/1/definition.json": "converted",
        "package.zip/manifest.json": "passed_over",
    }
    path.write_bytes(path.read_bytes()[:200])
    [record] = load_workflows(path)
    assert record.status == "refused" and "not a zip file" in record.reason


def test_files_beside_workflows_are_no_failures_and_an_import_of_nothing_fails(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "pipeline.yml").write_text("on: push")
    (folder / "template.yaml").write_text("a: !Ref b")
    (folder / "connections.json").write_text('{"shared": "x"}')
    assert main(["import", str(folder), "--to", str(tmp_path / "none")]) == 1
    assert "0 workflows, 0 converted, 0 partly, 0 refused; 3 other files passed over" in capsys.readouterr().out
    (folder / "definition.json").write_text(TEXT)
    assert main(["import", str(folder), "--to", str(tmp_path / "out")]) == 0
    assert "1 workflows, 1 converted, 0 partly, 0 refused; 3 other files passed over" in capsys.readouterr().out


def test_an_import_may_be_repeated_but_never_over_what_a_person_edited(tmp_path):
    rows = "\n".join(json.dumps({"requirement": f"{WISH} {n}", "flow": FLOW}) for n in range(30))
    (tmp_path / "rows.jsonl").write_text(rows)
    for _ in range(2):
        import_corpus(tmp_path / "rows.jsonl", tmp_path / "out")
    corpus = tmp_path / "out" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace(WISH, "In my own words", 1))
    with pytest.raises(FileExistsError, match="edited"):
        import_corpus(tmp_path / "rows.jsonl", tmp_path / "out")
    assert "In my own words" in corpus.read_text()


def test_imported_examples_have_no_split_so_that_the_study_divides_them(tmp_path):
    rows = [{"requirement": f"Do the job number {n} of {n * 7} for team {n * n}.", "flow": FLOW} for n in range(40)]
    for n, row in enumerate(rows):
        row["flow"] = {**FLOW, "components": [{"definition": f"log_{n}", "order": 1}]}
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    import_corpus(tmp_path / "rows.jsonl", tmp_path / "out")
    corpus = tmp_path / "out" / "corpus.jsonl"
    assert not any("split" in e.model_fields_set for e in load_corpus(corpus))
    assert "40 examples have no split: the study divides them" in str(check_corpus(corpus))
    assert {"train", "test"} <= {e.split for e in prepare(str(corpus), {}, 7).examples}
