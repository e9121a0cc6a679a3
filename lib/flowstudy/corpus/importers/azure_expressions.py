"""Azure's workflow expressions as data references and encoded queries of a flow.

`@body('Get_user')?['mail']` becomes `{{step.4.mail}}`, `@triggerBody()?['id']` becomes `{{trigger.id}}`, and conditions
become encoded queries where they compare one reference with one value; anything else stays as it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_PATH: Final = r"(?:\??\[(?:'(?:[^']|'')*'|\d+)\]|\??\.[A-Za-z_]\w*)*"
_REFERENCE: Final = re.compile(
    r"\b(?P<of>body|outputs|actionBody|actionOutputs|actions|items|variables|parameters|triggerBody|triggerOutputs|trigger|item|result"
    rf"|iterationIndexes)\(\s*(?:'(?P<name>(?:[^']|'')*)')?\s*\)(?P<path>{_PATH})"
)
_KEY: Final = re.compile(r"\[(?:'((?:[^']|'')*)'|(\d+))\]|\.([A-Za-z_]\w*)")
_WRAPPED: Final = re.compile(r"@\{\s*(\{\{[^{}]*\}\})\s*\}")
_WHOLE: Final = re.compile(r"\{\{[^{}]+\}\}")
_OPERATORS: Final = {
    "equals": ("=", "!="), "greater": (">", "<="), "greaterorequals": (">=", "<"), "less": ("<", ">="),
    "lessorequals": ("<=", ">"), "contains": ("LIKE", "NOT LIKE"), "startswith": ("STARTSWITH", None),
    "endswith": ("ENDSWITH", None),
}  # fmt: skip
_MAX_EXPRESSION: Final = 20_000


class References:
    """Rewrites expressions; `orders` maps the names of actions to component orders, `aliases` dropped actions to
    what they handed on."""

    def __init__(self, orders: Mapping[str, int], aliases: Mapping[str, str]) -> None:
        self._orders = orders
        self._lower = {name.lower(): order for name, order in orders.items()}
        self._aliases = {name.lower(): value for name, value in aliases.items()}

    def text(self, text: str, depth: int = 0) -> str:
        """A string with its references rewritten; text without expressions is returned as it is."""
        if ("@" not in text and not depth) or len(text) > _MAX_EXPRESSION:
            return text
        found = _REFERENCE.sub(lambda match: self._reference(match, depth), text)
        found = _WRAPPED.sub(r"\1", found)
        return found[1:] if found.startswith("@") and _WHOLE.fullmatch(found, 1) else found

    def value(self, value: Any) -> Any:
        """Any JSON value with the strings in it rewritten."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def _reference(self, match: re.Match[str], depth: int) -> str:
        of, name = match["of"], (match["name"] or "").replace("''", "'")
        keys = [(a or b or c).replace("''", "'") for a, b, c in _KEY.findall(match["path"])]
        keys = [key.replace("{", "").replace("}", "") for key in keys]
        if of in ("triggerBody", "triggerOutputs", "trigger"):
            return _written("trigger", _body(keys) if of != "triggerBody" else keys)
        if of == "item":
            return _written("item", keys)
        if of in ("variables", "parameters"):
            return _written(f"{of[:-1]}.{name}", keys) if name and not set(name) & set("{}") else match[0]
        order = self._orders.get(name) or self._lower.get(name.lower())
        if order is None:
            return self._alias(name, keys, match[0], depth)
        extra = {"items": ["item"], "iterationIndexes": ["index"], "actions": [], "outputs": [], "actionOutputs": []}
        if of in ("actions", "outputs", "actionOutputs"):
            keys = _body(keys)
        return _written(f"step.{order}", extra.get(of, []) + keys)

    def _alias(self, name: str, keys: list[str], text: str, depth: int) -> str:
        """The reference that a dropped action handed on, with the same path behind it."""
        handed = self._aliases.get(name.lower())
        if handed is None or depth > 20:
            return text
        found = self.text(handed, depth + 1)
        return _written(found[2:-2], keys) if _WHOLE.fullmatch(found) else text


def _body(keys: list[str]) -> list[str]:
    """`outputs('x')?['body/value']` and `outputs('x')?['body']?['value']` mean `body('x')?['value']`."""
    parts = [part for key in keys[:1] for part in key.split("/") if part] + keys[1:]
    if parts[:1] == ["outputs"]:
        parts = parts[1:]
    return parts[1:] if parts[:1] == ["body"] else parts


def _written(head: str, keys: list[str]) -> str:
    return "{{" + ".".join([head, *keys]) + "}}"


def condition(expression: Any, write: Callable[[str], str]) -> str:
    """A condition as an encoded query, or in words (`a >= b and not (...)`) where it is not one.

    `write` rewrites the references of a string. Objects are Azure's `{"and": [{"equals": [a, b]}]}`; strings are
    expressions such as `@equals(a, b)`.
    """
    tree = _parsed(expression.strip()[1:]) if isinstance(expression, str) and expression.startswith("@") else expression
    query = _query(tree, write)
    return query if query is not None else _words(tree, write)


def _query(tree: Any, write: Callable[[str], str]) -> str | None:
    name, parts = _call(tree)
    if name in ("and", "or"):
        clauses = [_clause(part, write) for part in parts]
        joined = ("^" if name == "and" else "^OR").join(clause or "" for clause in clauses)
        return joined if clauses and all(clauses) else None
    return _clause(tree, write)


def _clause(tree: Any, write: Callable[[str], str]) -> str | None:
    name, parts = _call(tree)
    if name in ("and", "or") and len(parts) == 1:
        return _clause(parts[0], write)
    negated = name == "not"
    if negated and len(parts) == 1:
        name, parts = _call(parts[0])
    if name == "empty" and len(parts) == 1:
        field, operator, value = _text(parts[0], write), "ISNOTEMPTY" if negated else "ISEMPTY", ""
    elif name in _OPERATORS and len(parts) == 2:
        field, value = _text(parts[0], write), _text(parts[1], write)
        operator = _OPERATORS[name][negated] or ""
    else:
        return None
    plain = "^" not in value and not value.startswith("@")
    return f"{field}{operator}{value}" if operator and plain and _WHOLE.fullmatch(field) else None


def _words(tree: Any, write: Callable[[str], str]) -> str:
    name, parts = _call(tree)
    if name in ("and", "or"):
        inner = [_words(part, write) for part in parts]
        return f" {name} ".join(f"({text})" if " and " in text or " or " in text else text for text in inner)
    if name == "not" and parts:
        return f"not ({_words(parts[0], write)})"
    if name in _OPERATORS and len(parts) == 2:
        sign = _OPERATORS[name][0]
        return f"{_text(parts[0], write)} {str(sign).lower()} {_text(parts[1], write)}"
    if isinstance(tree, dict):
        return f"{name}({', '.join(_text(part, write) for part in parts)})" if name else json.dumps(tree)
    return _text(tree, write)


def _call(tree: Any) -> tuple[str, list[Any]]:
    """Function (lower case) and arguments of an object with one key or a parsed call; ("", []) for anything else."""
    if isinstance(tree, dict) and len(tree) == 1:
        [(name, parts)] = tree.items()
        return name.lower(), parts if isinstance(parts, list) else [parts]
    return "", []


def _text(value: Any, write: Callable[[str], str]) -> str:
    if isinstance(value, str):
        found = write(value)
        return found[1:] if found.startswith("@") and not found.startswith("@{") else found
    if isinstance(value, dict) and len(value) == 1:
        return _words(value, write)
    return json.dumps(value, ensure_ascii=False)


_CALL: Final = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)
_LOGIC: Final = frozenset({"and", "or", "not", "empty", *_OPERATORS})


def _parsed(text: str, depth: int = 0) -> Any:
    """A comparison written as a call, as the object of Azure's designer; other text as `@text` or a literal."""
    match = _CALL.fullmatch(text) if len(text) <= _MAX_EXPRESSION and depth < 20 else None
    if match and match[1].lower() in _LOGIC:
        parts = _arguments(match[2])
        if parts is not None:
            return {match[1]: [_parsed(part, depth + 1) for part in parts]}
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'" and "'" not in text[1:-1]:
        return text[1:-1]
    return json.loads(text) if re.fullmatch(r"true|false|null|-?\d{1,15}(?:\.\d{1,15})?", text) else f"@{text}"


def _arguments(text: str) -> list[str] | None:
    """The arguments of a call, split at its own commas; None when brackets do not match."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, sign in enumerate(text):
        if sign == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
            if depth < 0:
                return None
        elif sign == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if depth == 0 and not quoted else None
