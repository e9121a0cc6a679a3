"""A state machine arrives as blocks that do what it does; what cannot be written so is refused with the states."""

from __future__ import annotations

import json

import pytest

from flowstudy.corpus.importers import Source, load_workflows
from flowstudy.corpus.importers.step_functions import convert_step_functions
from flowstudy.flows import to_outline
from flowstudy.flows.outline import from_outline

LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function:"


def task(next=None, name="work", **more):
    return {"Type": "Task", "Resource": LAMBDA + name, **({"Next": next} if next else {"End": True}), **more}


def ask(*rules, default):
    listed = [{"Variable": f"$.{name}", "StringEquals": value, "Next": next} for name, value, next in rules]
    return {"Type": "Choice", "Choices": listed, "Default": default}


def caught(next, **more):
    return [{"ErrorEquals": ["States.ALL"], "Next": next, **more}]


def convert(states, **more):
    [record] = convert_step_functions({"StartAt": next(iter(states)), "States": states, **more}, Source("m.json"))
    return record


def lines(record):
    """The outline below the trigger, each state by its name only; flow logic with its inputs."""
    assert record.example is not None, record.reason
    flow = record.example.flow
    assert from_outline(to_outline(flow)) == flow
    depth, found = {None: 0}, []
    for c in flow.components:
        depth[c.order] = depth[c.block] + 1
        inputs = " ".join(str(i.value) for i in c.inputs)
        found.append("  " * depth[c.block] + (f"{c.definition} {inputs}".strip() if c.is_logic else c.annotation))
    return found


BAD, GOOD = {"Type": "Fail", "Error": "Bad"}, {"Type": "Succeed"}
WAIT = {"Type": "Wait", "Seconds": 5, "Next": "look"}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"a": task("b"), "b": task()}, ["a", "b"]),
        ({"a": ask(("x", "1", "b"), default="c"), "b": task("c"), "c": task()}, ["IF {{trigger.x}}=1", "  b", "c"]),
        (
            {"a": ask(("x", "1", "b"), ("x", "2", "c"), default="d"), "b": task("d"), "c": task("d"), "d": task()},
            ["SWITCH {{trigger.x}}", "  CASE 1", "    b", "  CASE 2", "    c", "d"],
        ),
        (
            {"a": ask(("x", "1", "b"), ("y", "2", "c"), default="f"), "b": task("e"), "c": task("e"), "e": task(),
             "f": BAD},
            ["IF {{trigger.x}}=1", "  b", "ELSEIF {{trigger.y}}=2", "  c", "ELSE", "  END Failed Bad", "e"],
        ),
        (
            {"a": ask(("x", "1", "b"), default="c"), "b": task(), "c": task()},
            ["IF {{trigger.x}}=1", "  b", "ELSE", "  c"],
        ),
        (
            {"a": ask(("x", "1", "b"), ("y", "1", "c"), default="d"), "b": task(), "c": task("e"), "d": task("e"),
             "e": task()},
            ["IF {{trigger.x}}=1", "  b", "  END Succeeded", "ELSEIF {{trigger.y}}=1", "  c", "ELSE", "  d", "e"],
        ),
        (
            {"a": task("b", Catch=caught("h")), "b": task("c", Catch=caught("h")), "c": task(), "h": BAD},
            ["TRY", "  a", "  b", "CATCH States.ALL", "  END Failed Bad", "c"],
        ),
        (
            {"a": task("b", Catch=caught("h")), "h": task("b"), "b": task()},
            ["TRY", "  a", "CATCH States.ALL", "  h", "b"],
        ),
        (
            {"start": task("wait"), "wait": WAIT, "look": task("done"),
             "done": ask(("s", "ok", "end"), ("s", "bad", "f"), default="wait"), "end": task(), "f": BAD},
            ["start", "DOUNTIL {{step.4.s}}=ok^OR{{step.4.s}}=bad", "  WAIT 5", "  look",
             "SWITCH {{step.4.s}}", "  CASE ok", "    end", "  CASE bad", "    END Failed Bad"],
        ),
        (
            {"look": task("done"), "done": ask(("s", "running", "wait"), default="end"), "wait": WAIT, "end": task()},
            ["DOUNTIL {{step.2.s}}!=running", "  look", "  IF {{step.2.s}}=running", "    WAIT 5", "end"],
        ),
    ],
    ids=["sequence", "if", "switch", "elseif", "two ends", "early end", "shared catch", "catch that goes on", "poll",
         "wait on the way back"],
)  # fmt: skip
def test_graphs_that_are_made_of_blocks_become_trees(states, expected):
    record = convert(states)
    assert (lines(record), record.lost) == (expected, [])


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"a": task("b"), "b": task("a")}, "a cycle that no single Choice ends: a, b"),
        ({"a": task("ghost")}, "state a leads to 'ghost', which does not exist"),
        ({"a": task("b", Catch=caught("b")), "b": ask(("x", "1", "a"), ("x", "2", "b"), default="b")}, "cycle"),
    ],
)
def test_other_graphs_are_refused_with_the_states(states, reason):
    record = convert(states)
    assert record.status == "refused" and reason in record.reason


def test_a_start_that_is_no_state_is_refused_and_a_state_that_nothing_leads_to_is_told():
    [record] = convert_step_functions({"StartAt": "b", "States": {"a": task()}}, Source("m.json"))
    assert record.status == "refused" and "StartAt: expected the name of a state, got 'b'" in record.reason
    assert convert({"a": task()}, Version="9").lost == ["version '9' is unknown: read as 1.0"]
    assert convert({"a": task(), "z": task()}).lost == ["states that nothing leads to: z"]


def test_paths_lead_to_the_step_that_wrote_them():
    states = {
        "a": task("b", ResultPath="$.a"),
        "b": task("m", Parameters={"x.$": "$.a.id", "y.$": "$.order", "z": "$.a", "f.$": "States.Format('{}', $.a.n)"}),
        "m": {"Type": "Map", "ItemsPath": "$.rows", "ItemSelector": {"row.$": "$$.Map.Item.Value"}, "Next": "c",
              "ItemProcessor": {"StartAt": "i", "States": {"i": task(Parameters={"v.$": "$.row.v", "n": "${Name}"})}}},
        "c": task(Parameters={"all.$": "$", "first.$": "$$.Execution.Input.day"}),
    }  # fmt: skip
    a, b, m, i, c = convert(states).example.flow.components
    assert [x.value for x in b.inputs] == [
        "{{step.1.id}}",
        "{{trigger.order}}",
        "$.a",
        "{{step.1.n}}",
    ]
    assert m.input("items") == "{{step.2.rows}}" and m.input("ItemSelector.row") == "{{step.3.item}}"
    assert (i.input("v"), i.input("n")) == ("{{step.3.item.v}}", "${Name}")
    assert (c.input("all"), c.input("first")) == ("{{step.3}}", "{{trigger.day}}")
    assert a.inputs == []


def test_jsonata_is_read_with_its_variables_and_conditions():
    states = {
        "a": task("q", Arguments={"x": "{% $states.input.id %}", "y": "{% $total + 1 %}"}, Assign={"total": 5}),
        "q": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.n > 3 %}", "Next": "b"}], "Default": "c"},
        "b": task("c"),
        "c": task(),
    }
    a, q, *_ = convert(states, QueryLanguage="JSONata").example.flow.components
    assert (a.input("x"), a.input("y"), a.input("Assign.total")) == ("{{trigger.id}}", "{{variable.total}} + 1", "5")
    assert q.input("condition") == "{{step.1.n}} > 3"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Variable": "$.x", "NumericGreaterThanEquals": 3}, "{{trigger.x}}>=3"),
        ({"Variable": "$.x", "NumericLessThanPath": "$.y"}, "{{trigger.x}}<{{trigger.y}}"),
        ({"Variable": "$.x", "IsPresent": True}, "{{trigger.x}}ISNOTEMPTY"),
        ({"Variable": "$.x", "IsPresent": False}, "{{trigger.x}}ISEMPTY"),
        ({"Not": {"Variable": "$.x", "StringEquals": "a"}}, "{{trigger.x}}!=a"),
        ({"And": [{"Variable": "$.x", "BooleanEquals": True}, {"Variable": "$.y", "StringEquals": "b"}]},
         "{{trigger.x}}=true^{{trigger.y}}=b"),
        ({"Variable": "$.x", "StringMatches": "a*"}, "{{trigger.x}}STARTSWITHa"),
        ({"Variable": "$.x", "FuzzyMatches": "a"}, "unknown({{trigger.x}})"),
    ],
)  # fmt: skip
def test_a_condition_says_what_the_rule_asks(rule, expected):
    states = {"q": {"Type": "Choice", "Choices": [{**rule, "Next": "a"}], "Default": "b"}, "a": task("b"), "b": task()}
    assert convert(states).example.flow.components[0].input("condition") == expected


@pytest.mark.parametrize(
    ("resource", "given", "expected"),
    [
        ("arn:aws:states:::sns:publish", {}, "action sns.publish"),
        ("arn:aws:states:::aws-sdk:s3:getObject", {}, "action s3.get_object"),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", {},
         "action sqs.send_message | integration = waitForTaskToken"),
        ("arn:aws:states:::batch:submitJob.sync:2", {}, "action batch.submit_job | integration = sync.2"),
        ("arn:aws:states:eu-west-1:123456789012:activity:ship", {}, "action activity.ship"),
        (LAMBDA + "ChargeCard", {}, "action lambda.charge_card"),
        ("${ChargeFunctionArn}", {}, "action charge_function_arn"),
        ("arn:aws:states:::states:startExecution",
         {"StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:Bill"}, "subflow bill"),
    ],
)  # fmt: skip
def test_a_task_is_named_after_what_it_calls(resource, given, expected):
    record = convert({"a": {"Type": "Task", "Resource": resource, "Parameters": given, "End": True}})
    assert to_outline(record.example.flow).split("\n")[1].split(" # ")[0] == expected


def test_parallel_branches_retries_timeouts_and_dead_ends_keep_their_place_and_no_account_is_named():
    branch = {"StartAt": "x", "States": {"x": task(TimeoutSeconds=9, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 2}])}}
    states = {
        "p": {"Type": "Parallel", "Branches": [branch, {"StartAt": "y", "States": {"y": task(), }}], "Next": "n"},
        "n": task("q", Parameters={"to": "arn:aws:sns:eu-west-1:123456789012:topic"}),
        "q": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "e"}]},
        "e": GOOD,
    }  # fmt: skip
    record = convert(states, TimeoutSeconds=60)
    text = to_outline(record.example.flow)
    assert lines(record)[:5] == ["PARALLEL", "  BRANCH", "    x", "  BRANCH", "    y"]
    assert "TimeoutSeconds := 9" in text or "TimeoutSeconds = 9" in text
    assert "MaxAttempts" in text and text.startswith("trigger start_execution | TimeoutSeconds = 60")
    assert "END | status = Failed | error = States.NoChoiceMatched" in text
    assert "123456789012" not in text and record.redacted == 1


def test_an_early_end_in_a_branch_is_no_end_of_the_flow():
    inner = {
        "q": ask(("x", "1", "a"), ("x", "2", "b"), default="c"),
        "a": GOOD,
        "b": task("d"),
        "c": task("d"),
        "d": task(),
    }
    record = convert({"m": {"Type": "Map", "ItemProcessor": {"StartAt": "q", "States": inner}, "End": True}})
    found = lines(record)
    assert "END" not in str(found) and found.count("      d") + found.count("    d") == 2


def test_definitions_in_templates_answers_and_rows_are_found_with_their_texts(tmp_path):
    machine = {"Comment": "Charge the card of each order.", "StartAt": "a", "States": {"a": task()}}
    text = json.dumps(machine)
    template = {"Resources": {
        "One": {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": machine}},
        "Two": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": {"Fn::Sub": text}}},
        "Three": {"Type": "AWS::SQS::Queue"},
    }}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(template))
    (tmp_path / "b.json").write_text(json.dumps({"name": "Charge", "definition": text}))
    (tmp_path / "c.jsonl").write_text(json.dumps({"requirement": "Charge every order.", "flow": text}))
    found = {r.id: (r.status, r.example.features["requirement_from"]) for r in load_workflows(tmp_path)}
    assert found == {
        "a.json#One": ("converted", "comment"),
        "a.json#Two": ("converted", "comment"),
        "b.json": ("converted", "comment"),
        "c.jsonl:1": ("converted", "requirement"),
    }


def test_thousands_of_states_and_tangled_graphs_end_in_time():
    chain = {f"s{n}": task(f"s{n + 1}") for n in range(4_000)} | {"s4000": task()}
    assert convert(chain).example.flow.steps == 4_001
    assert convert({f"s{n}": task(f"s{n + 1}") for n in range(10_000)} | {"s10000": task()}).status == "refused"
    tangle = {f"q{n}": ask(("x", "1", f"q{n + 1}"), ("y", "1", f"q{n + 2}"), default=f"q{n + 3}") for n in range(60)}
    tangle |= {f"q{n}": task() for n in range(60, 63)}
    assert convert(tangle).status == "refused"
