"""The importers protect: every construct has its place, and whatever is read, a reason comes back, never a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.corpus import check_corpus, load_corpus
from flowstudy.corpus.importers import MAX_BYTES, Source, import_corpus, load_workflows
from flowstudy.corpus.importers.catalogue import Seen
from flowstudy.corpus.importers.flow_bench import convert_flow_bench, flow_bench_catalogue
from flowstudy.corpus.importers.logic_apps import convert_logic_apps
from flowstudy.corpus.importers.n8n import convert_n8n
from flowstudy.corpus.importers.published import convert_published
from flowstudy.corpus.importers.step_functions import convert_step_functions
from flowstudy.flows import from_outline, load_catalogue, structure_faults, to_outline
from flowstudy.run_folder import project_root

FIXTURES = Path(__file__).parent / "fixtures"
EXTERNAL = project_root(Path(__file__).parent).parent / "shared" / "external"
SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
external = pytest.mark.skipif(
    not EXTERNAL.is_dir(), reason="the public workflow repositories are not beside the project"
)


def definition(actions, triggers=None, **more):
    return {
        "$schema": SCHEMA,
        "description": "Do what the test asks for.",
        "triggers": triggers or {},
        "actions": actions,
        **more,
    }


def act(after=None, kind="Response", **more):
    return {"type": kind, "runAfter": after or {}, **more}


def logic(actions, drop=False, **more):
    [record] = convert_logic_apps(definition(actions, **more), Source("x.json", drop_plumbing=drop))
    return record


def outline(record):
    """The outline without annotations, after the checks that every imported flow must pass."""
    assert record.example is not None, record.reason
    flow = record.example.flow
    assert structure_faults(flow) == []
    assert from_outline(to_outline(flow)) == flow
    bare = flow.model_copy(update={"components": [c.model_copy(update={"annotation": None}) for c in flow.components]})
    return to_outline(bare)


def names(record):
    """Annotations (the names of actions), indented as in the outline; flow logic in capitals where it has no name."""
    depth, lines = {None: 0}, []
    for c in record.example.flow.components:
        depth[c.order] = depth[c.block] + 1
        lines.append("  " * depth[c.block] + (f"{c.definition} " if c.is_logic else "") + (c.annotation or ""))
    outline(record)
    return [line.rstrip() for line in lines]


OK, FAIL, SKIP = ["Succeeded"], ["Failed", "TimedOut"], ["Skipped"]


@pytest.mark.parametrize("name", ["logic_app", "n8n", "n8n_export"])
def test_a_known_workflow_with_every_construct(name):
    [record] = load_workflows(FIXTURES / f"{name}.json")
    assert (record.status, record.lost) == ("converted", [])
    assert to_outline(record.example.flow) + "\n" == (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")
    assert "jo.doe" not in str(record) and "topsecret1" not in str(record) and "abcdefgh12345" not in str(record)
    assert record.redacted == {"logic_app": 3, "n8n": 1, "n8n_export": 0}[name]


def test_plumbing_can_be_dropped_and_references_pass_through_it():
    [record] = load_workflows(FIXTURES / "logic_app.json", drop_plumbing=True)
    text = outline(record)
    assert "parse_json" not in text and "initialize_variable" not in text and "compose" not in text
    assert "FOREACH | items = {{trigger.object.devices}}" in text and "ELSE" not in text


def test_what_only_held_plumbing_goes_with_it():
    note = {"n": act(kind="Compose", inputs="x")}
    actions = {
        "a": act(kind="If", expression={}, actions=note, **{"else": {"actions": {"work": act()}}}),
        "b": act({"a": OK}, kind="If", expression={}, actions=note),
        "c": act({"b": OK}, kind="Foreach", foreach="@x", actions={"d": act(kind="If", expression={}, actions=note)}),
        "e": act({"c": OK}, kind="Switch", expression="@x", cases={"1": {"case": 1, "actions": note}}, default={}),
        "f": act({"e": OK}, kind="SetVariable"),
        "g": act({"f": FAIL}, kind="SetVariable"),
        "h": act({"e": OK}, kind="Scope", actions={"i": act(), "j": act()}),
    }
    assert names(logic(actions, drop=True)) == [
        "IF a",
        "ELSE",
        "  work",
        "PARALLEL",
        "  BRANCH",
        "    i",
        "  BRANCH",
        "    j",
    ]


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ({"b": act({"a": OK}), "a": act()}, ["a", "b"]),
        ({"a": act(), "b": act({"A": ["SUCCEEDED"]})}, ["a", "b"]),
        ({"a": act(), "b": act()}, ["PARALLEL", "  BRANCH", "    a", "  BRANCH", "    b"]),
        (
            {"a": act(), "b": act({"a": OK}), "c": act({"a": OK}), "d": act({"b": OK, "c": OK})},
            ["a", "PARALLEL", "  BRANCH", "    b", "  BRANCH", "    c", "d"],
        ),
        ({"a": act(), "bad": act({"a": FAIL})}, ["TRY", "  a", "CATCH", "  bad"]),
        ({"a": act(), "good": act({"a": OK}), "bad": act({"a": FAIL})}, ["TRY", "  a", "  good", "CATCH", "  bad"]),
        ({"a": act(), "bad": act({"a": FAIL}), "good": act({"bad": SKIP})}, ["TRY", "  a", "  good", "CATCH", "  bad"]),
        (
            {"a": act(), "bad": act({"a": FAIL}), "end": act({"bad": [*OK, *SKIP]})},
            ["TRY", "  a", "CATCH", "  bad", "end"],
        ),
        ({"a": act(), "b": act({"a": OK}), "else": act({"b": SKIP})}, ["TRY", "  a", "  b", "CATCH", "  else"]),
        (
            {"s": act(kind="Scope", actions={"a": act()}), "c": act({"s": FAIL}, kind="Scope", actions={"b": act()})},
            ["TRY s", "  a", "CATCH c", "  b"],
        ),
        (
            {"a": act(), "x": act({"a": ["Failed"]}), "y": act({"a": ["TimedOut"]})},
            ["TRY", "  a", "CATCH", "  x", "CATCH", "  y"],
        ),
        (
            {"a": act(), "bad": act({"a": FAIL}), "worse": act({"bad": FAIL})},
            ["TRY", "  a", "CATCH", "  TRY", "    bad", "  CATCH", "    worse"],
        ),
        ({"s": act(kind="Scope", actions={"a": act()}), "b": act({"s": OK})}, ["a", "b"]),
    ],
)
def test_run_after_becomes_blocks(actions, expected):
    record = logic(actions)
    assert names(record) == expected
    assert record.status == "converted"


def test_a_step_that_runs_after_failure_too_says_so():
    assert "response | run_after = failed, succeeded" in outline(
        logic({"a": act(), "b": act({"a": ["Succeeded", "Failed"]})})
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            {"or": [{"equals": ["@triggerBody()?['a']", True]}, {"greater": ["@triggerBody()['b']", 3]}]},
            "{{trigger.a}}=true^OR{{trigger.b}}>3",
        ),
        ({"and": [{"not": {"contains": ["@triggerBody()?['a']", "x"]}}]}, "{{trigger.a}}NOT LIKEx"),
        ({"and": [{"or": [{"equals": ["@variables('v')", 1]}]}]}, "{{variable.v}}=1"),
        ({"greater": ["@length(triggerBody()?['a'])", 0]}, "length({{trigger.a}}) > 0"),
        (
            "@and(equals(triggerBody()?['a'], 'x'), not(empty(triggerBody()?['b'])))",
            "{{trigger.a}}=x^{{trigger.b}}ISNOTEMPTY",
        ),
        ("@contains('unbalanced(', triggerBody())", "unbalanced( like {{trigger}}"),
        ({"odd": 1}, "odd(1)"),
        (None, "null"),
    ],
)
def test_conditions_become_queries_where_they_can(expression, expected):
    record = logic({"i": act(kind="If", expression=expression, actions={"a": act()})})
    assert record.example.flow.components[0].input("condition") == expected


def test_what_is_lost_is_told():
    record = logic({"a": act(), "b": act(), "c": act({"a": OK}), "d": act({"a": OK, "b": OK})})
    assert record.status == "partly" and "a, b, c, d" in record.reason
    record = logic(
        {"a": act({"ghost": OK}), "z": "nonsense"}, triggers={"t": {"type": "Recurrence"}, "u": {"type": "Request"}}
    )
    assert record.status == "partly" and "ghost" in str(record.lost) and "trigger u" in str(record.lost)
    assert "z" in str(record.lost)
    record = logic({"a": act(kind="Agent", tools={"t": {"actions": {"b": act()}}})})
    assert record.status == "partly" and names(record) == ["a", "b"]


OPEN_API = {"host": {"apiId": "/apis/shared_x", "operationId": "Ask"}, "parameters": {"to": "a"}}
GET = {"method": "GET"}


def child(name):
    return {"host": {"workflowReferenceName": name}}


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        ("Http", {"inputs": GET, "limit": {"timeout": "PT30M"}}, "action http_get | limit.timeout = PT30M"),
        (
            "OpenApiConnection",
            {"inputs": {**OPEN_API, "retryPolicy": {"type": "none"}}},
            "action x.ask | to = a | retryPolicy.type = none",
        ),
        (
            "Http",
            {"inputs": GET, "runtimeConfiguration": {"paginationPolicy": {"minimumItemCount": 9}}},
            "action http_get | paginationPolicy.minimumItemCount = 9",
        ),
        (
            "Wait",
            {"inputs": {"interval": {"count": 2}}, "limit": {"count": 3}},
            "WAIT | duration = 2 | limit.count = 3",
        ),
        (
            "Foreach",
            {"foreach": "x", "operationOptions": "Sequential"},
            "FOREACH | items = x | operationOptions = Sequential",
        ),
        ("Workflow", {"inputs": child("archive-flow")}, "subflow archive_flow"),
        (
            "Workflow",
            {"inputs": child("8d3f1c9a-0000-4f00-9000-0123456789ab")},
            "subflow workflow | workflow = 8d3f1c9a-0000-4f00-9000-0123456789ab",
        ),
    ],
)
def test_what_stands_beside_the_inputs_and_changes_what_runs_is_kept(kind, parts, expected):
    record = logic({"a": act(kind=kind, **parts)})
    assert (outline(record), record.status) == (expected, "converted")


def test_settings_of_a_scope_and_of_a_trigger_are_told_or_kept():
    assert (
        "limit.timeout of the scope s"
        in logic({"s": act(kind="Scope", limit={"timeout": "PT1H"}, actions={"a": act()})}).lost
    )
    trigger = {
        "type": "Request",
        "runtimeConfiguration": {"concurrency": {"runs": 1}},
        "operationOptions": "SingleInstance",
    }
    assert "operationOptions = SingleInstance | concurrency.runs = 1" in outline(
        logic({"a": act()}, triggers={"t": trigger})
    )


def test_a_step_whose_failure_only_the_flow_catches_is_noted():
    record = logic({"a": act(), "good": act({"a": OK}), "bad": act({"a": FAIL})})
    assert record.status == "converted" and record.notes == [
        "a failure of good runs the CATCH too; in the source it does not"
    ]


def test_a_cycle_and_old_versions_are_refused_and_new_ones_told():
    record = logic({"a": act({"b": OK}), "b": act({"a": OK})})
    assert record.status == "refused" and "cyclic runAfter: a -> b -> a" in record.reason
    old = definition({"a": act()}) | {"$schema": SCHEMA.replace("2016-06-01", "2014-12-01-preview")}
    assert "2014-12-01" in next(convert_logic_apps(old, Source("x"))).reason
    new = definition({"a": act()}) | {"$schema": SCHEMA.replace("2016-06-01", "2031-01-01")}
    assert next(convert_logic_apps(new, Source("x"))).status == "partly"


def test_nested_templates_and_several_workflows_are_all_found():
    resource = {
        "type": "Microsoft.Logic/workflows",
        "name": "one",
        "properties": {"definition": definition({"a": act()})},
    }
    deployment = {
        "type": "Microsoft.Resources/deployments",
        "properties": {"template": {"resources": [resource | {"name": "two"}]}},
    }
    found = list(convert_logic_apps({"resources": [resource, {"type": "Other"}, deployment, 7]}, Source("t.json")))
    assert [record.id for record in found] == ["t.json#one", "t.json#two"]
    symbolic = {"languageVersion": "2.0", "resources": {"x": resource}}
    assert [record.status for record in convert_logic_apps(symbolic, Source("t.json"))] == ["converted"]


def test_a_workflow_without_text_is_partly_and_still_gives_a_catalogue():
    bare = definition({"a": act(kind="Http", inputs={"method": "GET", "uri": "x"})}) | {"description": ""}
    [record] = convert_logic_apps(bare, Source("folder/x1.json"))
    assert (record.status, record.reason, record.lost) == ("partly", "no requirement text", [])
    seen = Seen()
    seen.add(record)
    assert set(seen.catalogue.actions) == {"http_get"}


def test_a_text_beside_the_file_is_found(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "workflow.json").write_text(
            json.dumps({"definition": definition({"a": act()}) | {"description": ""}})
        )
    (tmp_path / "a" / "manifest.json").write_text('{"title": "T", "summary": "Copies files every night."}')
    (tmp_path / "b" / "README.md").write_text("# Title\n\n![x](y)\n\nThis one sends a mail to everyone.\n\nMore.")
    pairs = [
        {"definition": "c/workflow.json", "requirement": "From the pairs file."},
        {"definition": "../../etc/passwd"},
        3,
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    found = {r.id: r.example.requirement for r in load_workflows(tmp_path) if r.example}
    assert found == {
        "a/workflow.json": "Copies files every night.",
        "b/workflow.json": "This one sends a mail to everyone.",
        "c/workflow.json": "From the pairs file.",
        "d/workflow.json": "workflow",
    }


BENCH = """
issues = Jira_Issue__2_0_0__retrieve_Issue(project="X", 5)
for issue in issues:
  if issue.priority == "urgent" and issue.owner != None:
    a = Slack_message__3_0_0__create_message(text=issue.title)
  elif issue.priority in other:
    b = issue.title
  else:
    pass
"""


def bench(sequence, prior="", text="Do it for all issues."):
    return {
        "_metadata": {"uid": 7, "tags": ["7", "linear"]},
        "input": {"utterance": text, "prior_sequence": prior},
        "expected_output": {"sequence": [sequence]},
    }


def test_flow_bench_python_is_read_and_never_run():
    [record] = convert_flow_bench({"tests": [bench(BENCH.replace('project="X", 5', '5, project="X"'))]}, Source("t"))
    assert outline(record).split("\n") == [
        "action Jira_Issue.retrieve_Issue | 1 = 5 | project = X",
        "FOREACH | items = {{step.1}}",
        "  IF | condition = {{step.2.item.priority}}=urgent^{{step.2.item.owner}}ISNOTEMPTY",
        "    action Slack_message.create_message | text = {{step.2.item.title}}",
        "  ELSEIF | condition = {{step.2.item.priority}}INother",
        "    action set_variable | name = b | value = {{step.2.item.title}}",
        "  ELSE",
    ]
    assert record.status == "converted" and record.example.features["tags"] == ["linear"]
    assert record.id == "t#7" and record.example.licence == "Apache-2.0"


def test_flow_bench_edits_keep_the_prior_flow_and_bad_tests_are_refused():
    edit = bench("a = X__1_0_0__f()\nb = X__1_0_0__g()", prior=["a = X__1_0_0__f()"], text="Add g at the end.")
    tests = [
        edit,
        bench("while x:\n  import os"),
        bench("a ="),
        bench("(" * 500),
        {"input": 3},
        "x",
        bench("x()", text=""),
    ]
    found = list(convert_flow_bench({"tests": tests}, Source("t")))
    assert found[0].example.requirement == "Add g at the end.\n\nThe workflow so far:\n\naction X.f"
    assert [r.status for r in found] == ["converted", "partly", "refused", "refused", "refused", "refused", "partly"]
    assert "while" in found[1].reason and "import os" in found[1].reason and "line 1" in found[2].reason
    catalogue = flow_bench_catalogue([{"id": "X__1_0_0__f", "description": "Effs"}])
    assert catalogue.actions["X.f"].description == "Effs"


FLOW = {
    "trigger": {"type": "daily", "inputs": []},
    "components": [
        {"category": "flowlogic", "definition": "For Each", "scope": "global", "order": 1, "block": None, "inputs": []},
        {
            "category": "action",
            "definition": "a",
            "scope": "global",
            "order": 2,
            "block": 1,
            "inputs": [{"name": "password", "value": "hunter2"}],
        },
    ],
}


@pytest.mark.parametrize(
    "row",
    [
        {"requirement": "Each day do a.", "flow": FLOW},
        {"instruction": "Each day do a.", "output": json.dumps(FLOW)},
        {"text": "Each day do a.", "reference": "```json\n" + json.dumps(FLOW) + "\n```"},
        {"query": "Each day do a.", "references": [FLOW], "definition": "../../etc/passwd"},
        {
            "messages": [
                {"role": "user", "content": "Each day do a."},
                {"role": "assistant", "content": json.dumps(FLOW)},
            ]
        },
        {"prompt": "Each day do a.", "completion": "trigger daily\nFOREACH\n  action a | password = hunter2"},
    ],
)
def test_published_rows_under_any_field_names(row):
    [record] = convert_published(row, Source("f.jsonl:1"))
    assert outline(record) == "trigger daily\nFOREACH\n  action a | password = [redacted]"
    assert (record.status, record.redacted, record.example.requirement) == ("converted", 1, "Each day do a.")


def test_published_rows_may_hold_a_definition_and_broken_ones_are_refused():
    rows = [
        {"requirement": "Do a thing now.", "definition": definition({"a": act()})},
        {"requirement": "x"},
        5,
        {"requirement": "x y z", "flow": {"components": [{"definition": 5}]}},
    ]
    found = list(convert_published(rows, Source("f.json")))
    assert [r.status for r in found] == ["converted", "refused", "refused", "refused"]
    assert found[0].example.requirement == "Do a thing now."


def n8n(edges, **types):
    """A workflow in which `t` is the trigger; `edges` maps a node to the targets of each output."""
    nodes = sorted({*edges, *(t for ways in edges.values() for way in ways for t in way)})
    kinds = {"t": "webhook"} | types
    return {
        "name": "A workflow to test",
        "nodes": [
            {"name": n, "type": f"n8n-nodes-base.{kinds.get(n, 'code')}", "typeVersion": 3, "parameters": {}}
            for n in nodes
        ],
        "connections": {
            n: {"main": [[{"node": t, "type": "main", "index": 0} for t in way] for way in ways]}
            for n, ways in edges.items()
        },
    }


def convert(workflow):
    [record] = convert_n8n(workflow, Source("w.json"))
    return record


@pytest.mark.parametrize(
    ("edges", "types", "expected"),
    [
        (
            {"t": [["a"]], "a": [["b", "c"]], "b": [["d"]], "c": [["d"]]},
            {"d": "merge"},
            ["a", "PARALLEL", "  BRANCH", "    b", "  BRANCH", "    c", "d"],
        ),
        (
            {"t": [["i"]], "i": [["a"], ["b"]], "a": [["c"]], "b": [["c"]]},
            {"i": "if"},
            ["IF i", "  a", "ELSE", "  b", "c"],
        ),
        ({"t": [["i"]], "i": [["a"], ["c"]], "a": [["c"]]}, {"i": "if"}, ["IF i", "  a", "c"]),
        ({"t": [["i"]], "i": [["a"]], "a": [["c"]]}, {"i": "if"}, ["IF i", "  a", "  c"]),
        (
            {"t": [["i"]], "i": [["j"], ["b"]], "j": [["a"], ["c"]]},
            {"i": "if", "j": "if"},
            ["IF i", "  IF j", "    a", "  ELSE", "    c", "ELSE", "  b"],
        ),
        (
            {"t": [["s"]], "s": [["a"], ["b"], []], "a": [["c"]], "b": [["c"]], "c": []},
            {"s": "code"},
            ["s", "SWITCH", "  CASE", "    a", "  CASE", "    b", "c"],
        ),
        ({"t": [["l"]], "l": [["z"], ["a"]], "a": [["l"]]}, {"l": "splitInBatches"}, ["FOREACH l", "  a", "z"]),
        (
            {"t": [["l"]], "l": [["z"], ["m"]], "m": [["b"], ["a"]], "a": [["m"]], "b": [["l"]]},
            {"l": "splitInBatches", "m": "splitInBatches"},
            ["FOREACH l", "  FOREACH m", "    a", "  b", "z"],
        ),
    ],
)
def test_structured_n8n_graphs_become_trees(edges, types, expected):
    assert names(convert(n8n(edges, **types))) == expected


@pytest.mark.parametrize(
    ("edges", "types", "reason"),
    [
        ({"t": [["a"]], "u": [["b"]]}, {"u": "cron"}, "several triggers: t, u"),
        ({"t": [["a"]], "a": [["b"]], "b": [["a"]]}, {}, "a cycle that is not a loop over items: a -> b -> a"),
        ({"t": [["a", "b"]], "a": [["c", "d"]], "b": [["d"]]}, {}, "not series-parallel: a, b, c, d"),
        ({"t": [["i"]], "i": [["j"], ["y"]], "j": [["x"], ["y"]]}, {"i": "if", "j": "if"}, "not structured"),
        ({"t": [["l"]], "l": [["z"], ["a"]], "a": [["l", "z"]]}, {"l": "splitInBatches"}, "the loop l is left"),
    ],
)
def test_other_n8n_graphs_are_refused_with_the_nodes(edges, types, reason):
    record = convert(n8n(edges, **types))
    assert record.status == "refused" and reason in record.reason


def test_a_test_button_beside_the_trigger_is_told_and_an_error_output_is_a_catch():
    record = convert(n8n({"t": [["a"]], "m": [["a"]], "a": [["b"]], "x": []}, m="manualTrigger"))
    assert record.status == "partly" and "trigger m" in record.reason and "no trigger leads to: x" in str(record.lost)
    workflow = n8n({"t": [["a"]], "a": [["b"], ["c"]]})
    next(n for n in workflow["nodes"] if n["name"] == "a")["onError"] = "continueErrorOutput"
    assert names(convert(workflow)) == ["TRY", "  a", "  b", "CATCH", "  c"]


KEYS = [
    "triggers", "actions", "runAfter", "type", "inputs", "nodes", "connections", "main", "a",
    "name", "tests", "definition", "properties", "resources", "expression", "cases", "else", "flow",
    "requirement", "input", "expected_output", "sequence", "components", "node", "parameters", "host", "path",
]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Failed", "a", "If", "main", "@body('a')"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_no_json_whatever_makes_a_converter_crash(document):
    converters = (convert_logic_apps, convert_n8n, convert_flow_bench, convert_published, convert_step_functions)
    for convert_any in converters:
        for record in convert_any(document, Source("x")):
            assert record.status in ("converted", "partly", "refused")
            assert record.reason or record.status == "converted"
    state = {"Type": "Task", "Next": "b", "Catch": document, "Parameters": document, "ResultPath": document}
    machine = {"StartAt": "a", "States": {"a": state, "b": document, "c": {"Type": "Choice", "Choices": document}}}
    for record in convert_step_functions(machine, Source("x")):
        assert record.status != "converted" or outline(record)
    wrapped = definition({"a": document, "b": act({"a": OK}, kind="If", expression=document, actions=document)})
    for record in convert_logic_apps(wrapped, Source("x")):
        assert record.status != "converted" or outline(record)


def write(path, raw):
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


def only(path, **options):
    [record] = load_workflows(path, **options)
    return record


def test_bad_files_are_refused_with_the_reason(tmp_path):
    text = json.dumps(definition({"a": act()}))
    cases = {
        text[:-20]: "truncated JSON",
        "": "not JSON",
        "[1, 2": "truncated JSON",
        "{'a': 1}": "not JSON",
        "[" * 100_000: "nested too deeply",
        "\0\1\2": "not JSON",
    }
    for raw, reason in cases.items():
        record = only(write(tmp_path / "x.json", raw))
        assert record.status == "refused" and reason in record.reason, (raw[:20], record.reason)


def test_deeply_nested_actions_are_refused(tmp_path):
    deep = (
        "{"
        + f'"$schema": "{SCHEMA}", "triggers": {{}}, "actions": '
        + '{"a": {"type": "Scope", "actions": ' * 10_000
        + "{}"
        + "}}" * 10_000
        + "}"
    )
    assert "nested too deep" in only(write(tmp_path / "x.json", deep)).reason
    steps = {"a": act()}
    for _ in range(150):
        steps = {"f": act(kind="Foreach", foreach="@x", actions=steps)}
    assert "nested deeper than 40" in only(write(tmp_path / "y.json", json.dumps(definition(steps)))).reason


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_any_encoding_is_read(tmp_path, encoding, note):
    text = json.dumps(definition({"a": act()}) | {"description": "Grüße an alle Kunden senden."}, ensure_ascii=False)
    record = only(write(tmp_path / "x.json", text.encode(encoding)))
    assert record.status == "converted" and record.example.requirement == "Grüße an alle Kunden senden."
    assert note in str(record.notes)


def test_a_huge_file_is_refused_unread_and_a_long_line_is_passed_over(tmp_path):
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    record = only(tmp_path / "big.json")
    assert record.status == "refused" and f"at most {MAX_BYTES // 2**20} MiB, got 300 MiB" in record.reason
    good = json.dumps({"requirement": "Each day do a.", "flow": FLOW}).encode()
    raw = good + b"\n" + b"x" * (MAX_BYTES + 10) + b"\n\n" + good[:-5] + b"\n" + good
    found = list(load_workflows(write(tmp_path / "lines.jsonl", raw)))
    assert [r.id for r in found] == [f"lines.jsonl:{n}" for n in (1, 2, 4, 5)]
    assert [r.status for r in found] == ["converted", "refused", "refused", "converted"]


def test_yaml_that_grows_by_aliases_is_harmless(tmp_path):
    levels = [f"l{n}: &l{n} [" + ", ".join([f"*l{n - 1}"] * 9) + "]" for n in range(1, 12)]
    bomb = (
        "l0: &l0 [x]\n"
        + "\n".join(levels)
        + "\ntests: [{_metadata: {uid: *l11, tags: [*l11]}, input: {}, expected_output: *l11}]"
    )
    assert only(write(tmp_path / "x.yaml", bomb)).reason == "no expected sequence of steps"
    assert "no Flow-Bench tests" in only(write(tmp_path / "y.yml", "a: [1, 2]")).reason
    assert "not YAML" in only(write(tmp_path / "z.yml", "a: [1, 2")).reason


def test_links_and_special_files_are_not_followed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    outside = write(tmp_path / "secret.json", json.dumps(definition({"a": act()})))
    (folder / "link.json").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.json").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.json")
    assert {r.id: r.reason for r in load_workflows(folder)} == {
        "dangling.json": "a symbolic link: links are not followed",
        "link.json": "a symbolic link: links are not followed",
        "pipe.json": "not a regular file",
    }
    with pytest.raises(FileNotFoundError):
        load_workflows(tmp_path / "missing")
    with pytest.raises(ValueError, match="expected one of auto"):
        load_workflows(folder, format="bpmn")


def test_an_import_writes_a_corpus_that_checks_and_its_catalogue(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("logic_app.json", "n8n.json"):
        (source / name).write_bytes((FIXTURES / name).read_bytes())
    write(source / "bad.json", "{")
    write(
        source / "rows.jsonl",
        json.dumps({"id": "same", "requirement": "Each day do a.", "flow": FLOW})
        + "\n"
        + json.dumps({"id": "same", "requirement": "Each night do a.", "flow": FLOW}),
    )
    write(source / "no_text.json", json.dumps(definition({"a": act(kind="Http")}) | {"description": ""}))
    write(source / "connections.json", '{"a": 1}')
    report = import_corpus(source, tmp_path / "out", domain="mine", licence="MIT")
    assert dict(report.statuses) == {"converted": 4, "partly": 1, "refused": 1, "passed_over": 1}
    assert "6 workflows, 4 converted, 1 partly, 1 refused; 1 other files passed over" in str(report)
    assert "1 x truncated JSON" in str(report) and "first bad.json" in str(report)
    assert "1 x no requirement text" in str(report)
    assert report.texts == {"requirement": 2, "description": 1, "sticky notes": 1}
    told = [json.loads(line) for line in (tmp_path / "out" / "import.jsonl").read_text().splitlines()]
    assert [row["id"] for row in told[:-1] if row["status"] in ("refused", "passed_over")] == [
        "bad.json",
        "connections.json",
    ]
    examples = load_corpus(tmp_path / "out" / "corpus.jsonl")
    assert [e.id for e in examples] == ["logic_app.json", "n8n.json", "same", "same~2"]
    assert {e.licence for e in examples} == {"MIT"} and {e.domain for e in examples} == {"mine"}
    catalogue = load_catalogue(tmp_path / "out" / "catalogue.yaml")
    assert {"teams.post_teams_channels_messages", "http_request", "ask_owner"} <= set(catalogue.steps())
    assert check_corpus(tmp_path / "out" / "corpus.jsonl").faults == []
    written = (tmp_path / "out" / "corpus.jsonl").read_text() + (tmp_path / "out" / "catalogue.yaml").read_text()
    assert not any(secret in written for secret in ("jo.doe", "topsecret1", "hunter2", "abcdefgh12345", "abcDEF123456"))


def sources_of(value, parent=""):
    """Names and types of all actions in a definition, wherever they are nested."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "actions" and isinstance(item, dict):
                yield from (
                    (name, a["type"].lower()) for name, a in item.items() if isinstance(a, dict) and "type" in a
                )
            yield from sources_of(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from sources_of(item)


@external
def test_the_public_logic_apps_convert_without_loss():
    found = list(load_workflows(EXTERNAL / "logicapps"))
    whole = [r for r in found if r.status == "converted"]
    assert len(whole) >= 0.98 * len(found) >= 0.98 * 253
    for record in whole:
        raw = (EXTERNAL / "logicapps" / record.id).read_bytes()
        text = raw.decode("utf-16") if raw[:2] == b"\xff\xfe" else raw.decode("utf-8-sig")
        expected = sum(kind != "scope" for _, kind in sources_of(json.loads(text)))
        made = ("ELSE", "TRY", "CATCH", "PARALLEL", "BRANCH", "CASE", "DEFAULT")
        got = sum(c.definition not in made for c in record.example.flow.components)
        assert got == expected, record.id
        outline(record)


@external
def test_the_public_flow_bench_tests_convert_without_loss():
    found = list(load_workflows(EXTERNAL / "flow-bench" / "raw" / "data" / "conditional_ootb.yaml"))
    assert [r.status for r in found] == ["converted"] * 101
    assert sum("prior_flow" in r.example.features for r in found) == 48
    for record in found:
        outline(record)
