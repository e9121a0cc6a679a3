"""Encoded queries: `field` operator `value` clauses joined by `^` (and), `^OR` (or) or `^NQ` (new query).

The field is a lower-case column name (dotted to walk references) or a `{{reference}}`, so that an operator
inside a value is not mistaken for one: `state=on^short_descriptionLIKEreset` has two clauses, `note=a=b` has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

OPERATORS: Final = (
    (
        "VALCHANGES CHANGESFROM CHANGESTO ISNOTEMPTY ISEMPTY EMPTYSTRING STARTSWITH ENDSWITH BETWEEN RELATIVEGT "
        "RELATIVEGE RELATIVELT RELATIVELE SAMEAS NSAMEAS NOTON|NOT LIKE|NOT IN|LIKE|IN|ON|!=|>=|<=|=|>|<"
    )
    .replace(" ", "|")
    .replace("NOT|LIKE", "NOT LIKE")
    .replace("NOT|IN", "NOT IN")
    .split("|")
)
_CLAUSE: Final = re.compile(
    r"(?P<field>[a-z_][a-z0-9_.]*|\{\{[^{}]+\}\})"
    r"(?P<operator>" + "|".join(map(re.escape, OPERATORS)) + r")(?P<value>.*)",
    re.DOTALL,
)
_JOIN: Final = re.compile(r"\^(OR(?=[a-z_{])|NQ(?=[a-z_{])|EQ$)?")


class Clause(NamedTuple):
    """One comparison; `join` is how it hangs on the clause before it: "" (first), "^", "^OR" or "^NQ"."""

    join: str
    field: str
    operator: str
    value: str


def parse_query(text: str) -> list[Clause] | None:
    """The clauses of an encoded query, or None when one of them has no field and operator.

    >>> [tuple(clause) for clause in parse_query("priority=1^ORstateINnew,open") or ()]
    [('', 'priority', '=', '1'), ('^OR', 'state', 'IN', 'new,open')]
    >>> parse_query("urgent please") is None
    True
    """
    parts = _JOIN.split(text)
    clauses: list[Clause] = []
    joins = ["", *(f"^{join or ''}" for join in parts[1::2])]
    for join, part in zip(joins, parts[0::2], strict=True):
        if join == "^EQ" and not part:
            continue
        match = _CLAUSE.fullmatch(part)
        if match is None:
            return None
        clauses.append(Clause(join, match["field"], match["operator"], match["value"]))
    return clauses


def alternatives(clauses: Iterable[Clause]) -> list[list[list[Clause]]]:
    """Clauses by their joints: alternatives (`^NQ`) of conjunctions (`^`) of alternatives (`^OR`); [] for none."""
    found: list[list[list[Clause]]] = []
    for clause in clauses:
        if clause.join == "^NQ" or not found:
            found.append([])
        if clause.join == "^OR" and found[-1]:
            found[-1][-1].append(clause)
        else:
            found[-1].append([clause])
    return found
