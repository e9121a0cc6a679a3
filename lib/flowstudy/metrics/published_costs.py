"""Costs and lengths of the published measure: which labels are free or charged twice, and how a tree is measured."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

from flowstudy.metrics.published_tree import input_tree, step_label
from flowstudy.metrics.reader import Labels, Reader
from flowstudy.metrics.trees import Codebook

FREE: Final = frozenset(
    {
        "flow", "trigger", "components", "inputs", "outputs", "condition", "conditions", "email_conditions", "values",
        "fields", "field_values",
    }
)  # fmt: skip
TRIGGERS: Final = frozenset(
    {
        "record_create", "record_update", "record_create_or_update", "daily", "weekly", "monthly", "repeat", "run_once",
        "email", "sla_task", "service_catalog", "metric", "rest_async",
    }
)  # fmt: skip
_DOUBLE: Final = ("action", "flowlogic", "subflow")
_ROW: Final = re.compile(r"\d+:")


def published_group(label: Any) -> Hashable | None:
    """None for a free label, () for one whose relabelling costs 2, "plain" for one whose relabelling costs 1."""
    if not isinstance(label, str):
        raise TypeError(f"label: expected a str, got {type(label).__name__}")
    if label in FREE or not label:
        return None
    return () if label in TRIGGERS or label.startswith(_DOUBLE) else "plain"


def published_length(label: str) -> int:
    r"""How many nodes the published length counts for one label: 1, unless the label looks free or holds line breaks.

    >>> [published_length(label) for label in ("", "flow", "flow: x", "note: a\n12:30")]
    [1, 0, 0, 2]
    """
    first, *rest = label.split("\n")
    count = int(first.split(":", 1)[0] not in FREE)
    for row in rest:
        if _ROW.match(row):
            count += row.split(":")[1] not in FREE
    return count


def published_reader() -> Reader:
    """A new reader with the published labels, costs and lengths."""
    return Reader(Codebook(published_group, published_length), Labels(str, step_label, input_tree))
