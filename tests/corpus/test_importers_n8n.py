"""Faults that real n8n files showed: each condition, way and setting arrives as it was meant, or its loss is told."""

from __future__ import annotations

import pytest

from flowstudy.corpus.importers import Source
from flowstudy.corpus.importers.n8n import convert_n8n
from flowstudy.flows import to_outline


def node(name, kind="code", version=1, parameters=None, **more):
    parameters = parameters or {}
    return {"name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "parameters": parameters, **more}


def convert(nodes, edges, sort="main", **more):
    """The record of a workflow whose `edges` map a name or an id to the targets of each output."""
    links = {
        a: {sort: [[{"node": b, "type": sort, "index": 0} for b in way] for way in ways]} for a, ways in edges.items()
    }
    [record] = convert_n8n(
        {"name": "A workflow to test", "nodes": nodes, "connections": links, **more}, Source("w.json")
    )
    return record


def lines(record):
    assert record.example is not None, record.reason
    return [line.split(" # ")[0] for line in to_outline(record.example.flow.without_annotations()).split("\n")]


def condition(parameters, version=1):
    nodes = [node("t", "webhook"), node("i", "if", version, parameters), node("a")]
    record = convert(nodes, {"t": [["i"]], "i": [["a"]]})
    assert record.status == "converted"
    return lines(record)[1].removeprefix("IF | condition = ")


def old(sort, **row):
    return {"conditions": {sort: [{"value1": "={{ $json.x }}", **row}]}}


def new(*operations, **more):
    rows = [
        {"leftValue": "={{ $json.x }}", "rightValue": "v", "operator": {"type": "string", "operation": o}}
        for o in operations
    ]
    return {"conditions": {"conditions": rows, "combinator": "and", **more}}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (old("number", value2=10), "{{trigger.x}}<10"),
        (old("number", operation="larger"), "{{trigger.x}}>0"),
        (old("boolean"), "{{trigger.x}}=false"),
        (old("boolean", value2=True), "{{trigger.x}}=true"),
        (old("string", value2="v"), "{{trigger.x}}=v"),
        (old("dateTime", value2="2025-01-01"), "{{trigger.x}}>2025-01-01"),
        ({"conditions": {"number": [{"value2": "={{ $json.x }}"}]}}, "0<{{trigger.x}}"),
        *[
            (old("string", operation=o, value2="v"), f"{{{{trigger.x}}}} {o} v")
            for o in ("notEndsWith", "regex", "fuzzy")
        ],
        *[(new(o), f"{{{{trigger.x}}}} {o} v") for o in ("notStartsWith", "notRegex", "fuzzy")],
        (new("false"), "{{trigger.x}}=false"),
        (new("equals", options={"caseSensitive": False}), "{{trigger.x}}=v | caseSensitive = false"),
        ({**new("equals"), "options": {"ignoreCase": True}}, "{{trigger.x}}=v | options.ignoreCase = true"),
    ],
)
def test_a_condition_says_what_its_node_asks_and_an_unknown_operation_is_no_equality(parameters, expected):
    assert condition(parameters, 2 if "conditions" in parameters["conditions"] else 1) == expected


def switch(parameters, version, outputs):
    targets = [f"o{i}" for i in range(outputs)]
    nodes = [node("t", "webhook"), node("s", "switch", version, parameters), *(node(n, n) for n in targets)]
    return convert(nodes, {"t": [["s"]], "s": [[n] for n in targets]})


RULES = [{"value2": "c", "output": 2}, {"value2": "b", "output": 1}, {"value2": "a"}]
WISH = {"dataType": "string", "value1": "={{ $json.wish }}"}


def test_what_a_rule_names_beats_its_place():
    record = switch({**WISH, "rules": {"rules": RULES}, "fallbackOutput": 3}, 1, 4)
    assert record.status == "converted"
    assert [line.strip() for line in lines(record)[1:]] == [
        "SWITCH | value = {{trigger.wish}}",
        "CASE | value = c", "action o2", "CASE | value = b", "action o1", "CASE | value = a", "action o0",
        "DEFAULT", "action o3",
    ]  # fmt: skip
    later = switch({**WISH, "rules": {"rules": RULES}}, 2, 3)
    assert [line.strip() for line in lines(later)[2:4]] == ["CASE | value = c", "action o0"]


def test_a_way_that_no_rule_leads_to_is_told_and_is_no_default():
    record = switch({**WISH, "rules": {"rules": RULES[:2]}}, 1, 3)
    assert record.status == "partly" and "output 1 of s: no rule leads there" in record.reason
    assert "DEFAULT" not in str(lines(record)) and "action o0" not in str(lines(record))


def test_rules_that_share_an_output_and_left_out_operations_are_kept():
    numbers = {"value1": "={{ $json.n }}", "rules": {"rules": [{"value2": 5}, {"value2": 9, "operation": "equal"}]}}
    assert lines(switch(numbers, 1, 1))[2].strip() == "CASE | value = {{trigger.n}}<5^OR{{trigger.n}}=9"


def test_a_switch_that_feeds_every_output_that_matches_is_partly():
    rules = {"values": [new("equals"), new("contains")]}
    record = switch({"rules": rules, "options": {"allMatchingOutputs": True}}, 3.2, 2)
    assert record.status == "partly" and "several outputs" in record.reason


def test_the_mark_of_an_expression_is_no_content():
    given = {
        "text": "=A new order",
        "topic": "={{ $json.a }} {{ $now }}",
        "list": [{"x": "={{ $json.b }}"}],
        "sum": "==1",
    }
    record = convert([node("t", "webhook", parameters={"path": "=p"}), node("a", "slack", 1, given)], {"t": [["a"]]})
    assert [(i.name, i.value) for i in record.example.flow.components[0].inputs] == [
        ("text", "A new order"),
        ("topic", "{{trigger.a}} {{ $now }}"),
        ("list", [{"x": "{{trigger.b}}"}]),
        ("sum", "=1"),
    ]
    assert record.example.flow.trigger.inputs[0].value == "p"


def test_settings_that_change_what_runs_are_kept():
    tried = {"retryOnFail": True, "maxTries": 4, "waitBetweenTries": 3000, "onError": "continueRegularOutput"}
    nodes = [node("t", "cron"), node("a", "slack", **tried), node("b", "slack", maxTries=4, executeOnce=True)]
    record = convert(nodes, {"t": [["a"]], "a": [["b"]]}, settings={"timezone": "Asia/Tokyo", "executionOrder": "v1"})
    assert lines(record) == [
        "trigger cron | timezone = Asia/Tokyo",
        "action slack | onError = continueRegularOutput | retryOnFail = true | maxTries = 4 | waitBetweenTries = 3000",
        "action slack | executeOnce = true",
    ]
    without = convert([node("a")], {}, settings={"errorWorkflow": "7"})
    assert without.status == "partly" and "errorWorkflow" in without.reason


def test_connections_may_name_nodes_by_their_id_and_dangling_ones_are_told():
    nodes = [node("Start", "webhook", id="n1"), node("Send", "slack", id="n2")]
    assert lines(convert(nodes, {"n1": [["n2"]]})) == ["trigger webhook", "action slack"]
    record = convert(nodes, {"Start": [["Send", "gone"]], "lost": [["Send"]]})
    assert record.status == "partly" and "Start -> gone" in record.reason and "not exist: lost" in record.reason


def test_no_node_leaves_silently():
    nodes = [node("t", "webhook"), node("a", "slack"), node("a", "gmail"), {"type": "x.y"}]
    record = convert(nodes, {"t": [["a"]]})
    assert record.status == "partly"
    assert record.lost == ["a second node called a", "a node without a name"]


def test_the_outputs_of_a_trigger_are_alternatives():
    methods = {"multipleMethods": True, "httpMethod": ["GET", "POST"]}
    nodes = [
        node("t", "webhook", 2, methods),
        node("a", "slack", parameters={"x": "={{ $json.y }}"}),
        node("b", "gmail"),
        node("c"),
    ]
    record = convert(nodes, {"t": [["a"], ["b"]], "a": [["c"]], "b": [["c"]]})
    assert [line.strip() for line in lines(record)[1:]] == [
        "SWITCH | value = output of t", "CASE | value = GET", "action slack | x = {{trigger.y}}",
        "CASE | value = POST", "action gmail", "action code",
    ]  # fmt: skip
    assert lines(convert(nodes[:1] + nodes[3:], {"t": [["c"], ["c"]]}))[1:] == ["action code"]


@pytest.mark.parametrize(
    ("kind", "parameters", "case"),
    [
        ("switch", {**WISH, "rules": {"rules": [{"value2": "a"}]}}, "a"),
        ("textClassifier", {"categories": {"categories": [{"category": "bug"}, {"category": "wish"}]}}, "bug"),
        ("sentimentAnalysis", {}, "Positive"),
        ("compareDatasets", {}, "in A only"),
    ],
)
def test_a_node_that_decides_keeps_its_case_when_only_one_way_is_connected(kind, parameters, case):
    nodes = [node("t", "cron"), node("s", kind, 1, parameters), node("a", "slack")]
    record = convert(nodes, {"t": [["s"]], "s": [["a"]]})
    assert [line.strip() for line in lines(record)[-2:]] == [f"CASE | value = {case}", "action slack"]


def test_the_tools_that_a_trigger_offers_are_its_steps_and_helpers_of_helpers_are_named():
    nodes = [node("Server", "mcpTrigger"), node("Find", "postgresTool"), node("Pay", "httpRequestTool")]
    record = convert(nodes, {"Find": [["Server"]], "Pay": [["Server"]]}, sort="ai_tool")
    assert [line.strip() for line in lines(record)] == [
        "trigger mcp_trigger | ai_tool = Find, Pay", "SWITCH | value = output of Server",
        "CASE | value = Find", "action postgres_tool", "CASE | value = Pay", "action http_request_tool",
    ]  # fmt: skip
    nodes = [node("a", "agent"), node("Store", "vectorStore"), node("Embed", "embeddings")]
    record = convert(nodes, {"Embed": [["Store"]], "Store": [["a"]]}, sort="ai_tool")
    assert lines(record) == ["action agent | ai_tool = Store (Embed)"]
