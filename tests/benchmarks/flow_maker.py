"""Flows of a wanted size for benchmarks, and candidates made from them by a few mistakes."""

from __future__ import annotations

import copy
import random
from typing import Any

from flowstudy.metrics.published_tree import published_trees

ACTIONS = [
    "create_record", "update_record", "look_up_records", "send_email", "send_notification", "ask_for_approval", "log",
    "wait_for_condition", "create_task", "run_script", "delete_record", "get_catalog_variables",
]  # fmt: skip
TRIGGERS = ["record_create", "record_update", "daily", "service_catalog", "email"]
TABLES = ["incident", "problem", "change_request", "sys_user", "alm_asset", "kb_knowledge", "task"]
FIELDS = ["priority", "state", "active", "caller_id.vip", "short_description", "assigned_to", "u_region", "urgency"]
WORDS = [
    "please", "review", "the", "request", "and", "assign", "it", "to", "your", "team", "before", "end", "of", "day",
    "missing", "approval", "access",
]  # fmt: skip


def size(flow: dict[str, Any]) -> int:
    """Nodes of the published tree with inputs."""
    _, tree = published_trees(flow)
    return len(tree.labels) if tree else 0


def make_flow(nodes: int, rng: random.Random) -> dict[str, Any]:
    """A realistic flow whose published tree with inputs has about `nodes` nodes."""
    flow: dict[str, Any] = {"trigger": {"type": rng.choice(TRIGGERS), "inputs": [_table(rng)]}, "components": []}
    path: list[int] = []
    left = nodes - size(flow)
    while left > 0:
        order = len(flow["components"]) + 1
        path = path[: rng.randint(max(0, len(path) - 1), len(path))][:4]
        step = _step(order, path[-1] if path else None, rng)
        flow["components"].append(step)
        left -= 2 + sum(len(_query_nodes(each)) for each in step["inputs"])
        if step["category"] == "flowlogic":
            path.append(order)
    return flow


def make_candidate(reference: dict[str, Any], rng: random.Random, mistakes: int) -> dict[str, Any]:
    """The reference with some values, definitions and places changed, as a model would get them wrong."""
    flow = copy.deepcopy(reference)
    for _ in range(mistakes):
        step = rng.choice(flow["components"])
        kind = rng.choice(["value", "definition", "drop input", "unnest"])
        if kind == "value" and step["inputs"]:
            rng.choice(step["inputs"])["value"] = " ".join(rng.choices(WORDS, k=3))
        elif kind == "definition" and step["category"] == "action":
            step["definition"] = rng.choice(ACTIONS)
        elif kind == "drop input" and step["inputs"]:
            step["inputs"].pop()
        elif kind == "unnest" and step["category"] == "action":
            step["block"] = None
    return flow


def _step(order: int, block: int | None, rng: random.Random) -> dict[str, Any]:
    head = {"scope": "global", "order": order, "block": block}
    if rng.random() < 0.25:
        inputs = [{"name": "condition", "value": _query(rng)}]
        return {"category": "flowlogic", "definition": rng.choice(["IF", "FOREACH"]), **head, "inputs": inputs}
    inputs = [_table(rng), {"name": "record", "value": f"{{{{step.{max(1, order - 1)}.record}}}}"}]
    inputs += [{"name": rng.choice(["subject", "message", "ah_body"]), "value": " ".join(rng.choices(WORDS, k=6))}]
    return {"category": "action", "definition": rng.choice(ACTIONS), **head, "inputs": inputs[: rng.randint(0, 3)]}


def _table(rng: random.Random) -> dict[str, str]:
    return {"name": "table", "value": rng.choice(TABLES)}


def _query(rng: random.Random) -> str:
    clauses = (f"{rng.choice(FIELDS)}={rng.choice(['1', '2', 'true', 'open'])}" for _ in range(rng.randint(1, 2)))
    return "^".join(clauses)


def _query_nodes(each: dict[str, str]) -> range:
    clauses = each["value"].count("^") + 1
    return range(1 + clauses * 4 - 1 if each["name"] == "condition" else 1)
