"""What an Azure action or trigger does, in the words of a flow: scope, definition and named inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

#: Steps that move data around and that no requirement names.
PLUMBING: Final = frozenset({
    "initializevariable", "setvariable", "appendtoarrayvariable", "appendtostringvariable", "incrementvariable",
    "decrementvariable", "parsejson", "compose",
})  # fmt: skip
_RENAMED: Final = {
    "query": "filter_array", "table": "create_table", "javascriptcode": "run_javascript", "xslt": "transform_xml",
    "parsejson": "parse_json", "xmlvalidation": "validate_xml", "liquid": "transform_liquid",
}  # fmt: skip
_CONNECTORS: Final = frozenset({
    "apiconnection", "apiconnectionwebhook", "apiconnectionnotification", "openapiconnection",
    "openapiconnectionwebhook", "openapiconnectionnotification",
})  # fmt: skip
_PARTS: Final = ("queries", "body", "headers")
#: How a connector reaches its service, and where it is called back: settings, no inputs.
_SETTINGS: Final = ("host", "path", "method", "authentication", *_PARTS)
_SERVICE: Final = "serviceProviderConfiguration"
_EXPRESSION: Final = re.compile(r"@\{(?:[^{}']|'[^']*'|\{[^{}]*\})*\}")
_VERSION: Final = re.compile(r"v\d+(?:\.\d+)*|\$?default|beta|api", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_CONNECTION: Final = re.compile(r"\['([^']+)'\]\s*(?:\?)?\['connectionId'\]|managedApis/([\w-]+)")


class Operation(NamedTuple):
    """`inputs` are raw: references are rewritten later."""

    definition: str
    scope: str
    inputs: dict[str, Any]
    category: str = "action"


def snake(text: str, most: int = 60) -> str:
    """Words in lower case joined by `_`; "" for a text without letters or digits.

    >>> snake("PostMessage-ToChannel V3"), snake("/Incidents/@{x}/Comment")
    ('post_message_to_channel_v3', 'incidents_x_comment')
    """
    words = _WORD.findall(text) if text.isascii() else re.findall(r"[^\W_]+", text)
    return "_".join(word.lower() for word in words)[:most].strip("_")


def operation(kind: str, body: Mapping[str, Any], connections: Mapping[str, str]) -> Operation:
    """The operation of an action or trigger of type `kind`, with what stands beside its inputs; `connections` maps
    connection keys to services."""
    done = _operation(kind, body, connections)
    return done._replace(inputs=_together(done.inputs, beside(body)))


def beside(body: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the inputs of an action or trigger and changes what runs."""
    runtime = {name: value for name, value in _dict(body.get("runtimeConfiguration")).items() if name != "secureData"}
    return _flat({name: body[name] for name in ("limit", "operationOptions") if body.get(name)} | runtime)


def _operation(kind: str, body: Mapping[str, Any], connections: Mapping[str, str]) -> Operation:
    inputs = body.get("inputs")
    inputs = inputs if isinstance(inputs, dict) else {} if inputs is None else {"value": inputs}
    low = kind.lower()
    if low in _CONNECTORS:
        host = _dict(inputs.get("host"))
        return _open_api(host, inputs) if "operationId" in host or "apiId" in host else _api(host, inputs, connections)
    if low == "serviceprovider":
        service = _dict(inputs.get(_SERVICE))
        scope = snake(_last(service.get("serviceProviderId"))) or "service_provider"
        rest = {name: value for name, value in inputs.items() if name not in (_SERVICE, "parameters")}
        given = _together(_flat(inputs.get("parameters")), _flat(rest))
        return Operation(snake(_plain(service.get("operationId"))) or "call", scope, given)
    if low in ("http", "httpwebhook"):
        return _http(low, inputs)
    if low == "workflow":
        host = _dict(inputs.get("host"))
        called = _dict(host.get("workflow"))
        known = _plain(host.get("workflowReferenceName"))
        number = re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", known, re.IGNORECASE)
        name = snake(_last(called.get("id") or called.get("name")) or ("" if number else known)) or "workflow"
        given = {"workflow": known} if number else {}
        return Operation(name, "global", _together(given, _rest(inputs, "host")), "subflow")
    if low == "function":
        called = _dict(inputs.get("function"))
        name = snake(_last(called.get("id"))) or "function"
        return Operation(name, "function", _rest(inputs, "function"))
    words = str(body.get("kind") or "") if low in ("expression", "request") else ""
    return Operation(_RENAMED.get(low) or snake(words or kind) or "step", "global", _flat(inputs))


def _open_api(host: dict[str, Any], inputs: dict[str, Any]) -> Operation:
    scope = snake(_service(_last(host.get("apiId") or host.get("connectionName")))) or "connector"
    parameters = {
        name.removeprefix("parameters/").replace("/", "."): value
        for name, value in _dict(inputs.get("parameters")).items()
    }
    rest = {name: value for name, value in inputs.items() if name not in (*_SETTINGS, "parameters")}
    return Operation(snake(_plain(host.get("operationId"))) or "call", scope, _together(parameters, _flat(rest)))


def _api(host: dict[str, Any], inputs: dict[str, Any], connections: Mapping[str, str]) -> Operation:
    connection = _dict(host.get("connection"))
    reference = str(connection.get("name") or connection.get("referenceName") or "")
    found = _CONNECTION.search(reference)
    key = (found[1] or found[2]) if found else reference
    service = _service(connections.get(key.lower(), key))
    words, placed = _path(inputs.get("path"))
    verb = _plain(inputs.get("method")).lower()
    definition = snake("_".join([*([verb] if verb else []), *words])) or "call"
    rest = {k: v for k, v in inputs.items() if k not in _SETTINGS}
    return Operation(definition, snake(service) or "connector", _together(placed, *_sent(inputs), _flat(rest)))


def _service(key: str) -> str:
    """A connection key as the service: `shared_teams`, `teams-1`, `teams_#workflowname#` and `teams_2` are `teams`."""
    plain = re.sub(r"[-_](?:\d+|#\w+#)$", "", re.sub(r"[-_]#\w+#$", "", key.removeprefix("shared_")))
    return re.sub(r"-5f[0-9a-f-]+$", "", plain).replace("-20", " ")


def _path(path: Any) -> tuple[list[str], dict[str, Any]]:
    """The words of a path, and its variable segments named after the word before them."""
    words: list[str] = []
    placed: dict[str, Any] = {}
    for segment in _segments(path if isinstance(path, str) else ""):
        expression = _EXPRESSION.search(segment)
        if expression is None:
            if not _VERSION.fullmatch(segment):
                words.append(segment)
            continue
        words += [word for word in [_EXPRESSION.sub(" ", segment).strip()] if re.search("[a-z]", word, re.IGNORECASE)]
        name = snake(words[-1] if words else "path") or "path"
        placed = _together(placed, {name: _unwrapped(segment)})
    return words, placed


def _segments(path: str) -> list[str]:
    """A path split at the slashes that are not inside an expression."""
    hidden = _EXPRESSION.findall(path)
    masked = iter(hidden)
    parts = _EXPRESSION.sub("\0", path).split("?")[0].split("/")
    return [re.sub("\0", lambda _: next(masked), part) for part in parts if part]


_ENCODE: Final = re.compile(r"@\{\s*(?:encodeURIComponent|encodeUriComponent)\((.*)\)\s*\}", re.DOTALL)


def _unwrapped(segment: str) -> str:
    """`@{encodeURIComponent(x)}`, once or twice, as `@{x}`; a literal in it as the literal."""
    while (match := _ENCODE.fullmatch(segment)) is not None:
        segment = f"@{{{match[1].strip()}}}"
    literal = re.fullmatch(r"@\{'([^']*)'\}", segment)
    return literal[1] if literal else segment


def _http(low: str, inputs: dict[str, Any]) -> Operation:
    if low == "httpwebhook":
        return Operation("http_webhook", "global", _flat(inputs))
    method = _plain(inputs.get("method"))
    named = method.lower() if method.isalpha() else "request"
    given = {} if named != "request" or not method else {"method": method}
    given |= {"uri": inputs["uri"]} if "uri" in inputs else {}
    rest = {k: v for k, v in inputs.items() if k not in ("method", "uri", *_PARTS)}
    return Operation(f"http_{named}", "global", _together(given, *_sent(inputs), _flat(rest)))


def _sent(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """What a request carries: queries, body and headers."""
    headers = {f"headers.{name}": item for name, item in _dict(inputs.get("headers")).items()}
    return [_flat(inputs.get("queries")), _body(inputs.get("body")), headers]


def _together(*parts: dict[str, Any]) -> dict[str, Any]:
    """All inputs; of several with one name the later ones are called `name_2`, and so on."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            free, number = name, 1
            while free in joined:
                number += 1
                free = f"{name}_{number}"
            joined[free] = value
    return joined


def _rest(inputs: dict[str, Any], *without: str) -> dict[str, Any]:
    rest = {k: v for k, v in inputs.items() if k not in (*without, "body")}
    return _together(_body(inputs.get("body")), _flat(rest))


def _body(body: Any) -> dict[str, Any]:
    """The fields of a body; a body that is not an object is one input."""
    if isinstance(body, dict):
        return dict(body)
    return {} if body is None else {"body": body}


def _flat(value: Any) -> dict[str, Any]:
    """An object with the small objects in it opened: `{"a": {"b": 1}}` gives `a.b`."""
    flat: dict[str, Any] = {}
    for name, item in _dict(value).items():
        if isinstance(item, dict) and 0 < len(item) <= 8 and name != "schema":
            flat |= {f"{name}.{inner}": deeper for inner, deeper in item.items()}
        else:
            flat[name] = item
    return flat


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _last(path: Any) -> str:
    """The last segment of an id such as `/providers/x/apis/shared_y` or an ARM expression that ends in one."""
    segments = re.findall(r"[A-Za-z0-9_.-]+", path) if isinstance(path, str) else []
    return segments[-1] if segments else ""
