"""How the published measure decomposes an encoded query (`field` operator `value`, joined by `^`, `^OR`, ...)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from flowstudy.metrics.limits import MAX_NODES

_JOIN: Final = re.compile(r"\^EQ|\^OR|\^NQ|\^|OR")
_OPERATOR: Final = re.compile(
    r"(?<![A-Z=,])(?:VALCHANGES|RELATIVEGT|RELATIVEGE|RELATIVELE|RELATIVELT|BETWEEN|CHANGESTO|CHANGESFROM|EMPTYSTRING"
    r"|ISEMPTY|ISNOTEMPTY|STARTSWITH|ENDSWITH|SAMEAS|NOTON|NOT LIKE|NOT IN|LIKE|NOT|IN|ON|!=|>=|<=|=|>|<)"
)
_SPECIAL: Final = frozenset({"^EQ", "a to z"})
#: Longer queries are decomposed each time instead of being remembered.
_REMEMBERED_CHARS: Final = 500


class QueryTree(NamedTuple):
    """A query as a tree fragment: labels in document order and parents relative to the fragment's first node (-1)."""

    labels: tuple[str, ...]
    parents: tuple[int, ...]


_UNDECOMPOSABLE: Final = QueryTree(("",), (-1,))


def query_tree(query: str) -> QueryTree:
    """The fragment for `query`: a right-leaning chain of sorted joins over clauses sorted by field.

    A clause is its field with two children, operator and value. One clause without exactly one operator makes the
    whole query a single node with an empty label.

    >>> query_tree("b=2^a=1").labels
    ('^', 'a', '=', '1', 'b', '=', '2')
    >>> query_tree("^a=1").labels
    ('',)
    """
    return _remembered(query) if len(query) <= _REMEMBERED_CHARS else _decompose(query)


def _decompose(query: str) -> QueryTree:
    clauses = None if query in _SPECIAL else _clauses(query)
    if clauses is None:
        return _UNDECOMPOSABLE
    joins = sorted(_JOIN.findall(query))
    labels: list[str] = []
    parents: list[int] = []
    above = -1
    for number, clause in enumerate(clauses):
        if number < len(clauses) - 1:
            labels.append(joins[number])
            parents.append(above)
            above = len(labels) - 1
        field = len(labels)
        labels += clause
        parents += (above, field, field)
    return QueryTree(tuple(labels), tuple(parents))


_remembered = lru_cache(maxsize=20_000)(_decompose)


def _clauses(query: str) -> list[tuple[str, str, str]] | None:
    clauses: list[tuple[str, str, str]] = []
    for part in _JOIN.split(query):
        found = _OPERATOR.search(part)
        if found is None or _OPERATOR.search(part, found.end()):
            return None
        field, operator, value = part[: found.start()], found[0], part[found.end() :]
        if operator in (field.strip(), value.strip()):
            return None
        if len(clauses) < MAX_NODES:  # a tree of more is refused anyway
            clauses.append((field, operator, value))
    return sorted(clauses, key=lambda clause: clause[0])
