"""Workflows of the platforms, wherever they stand in a document: bare, in a list, in the envelope of an API's answer,
as JSON in a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from flowstudy.corpus.importers.logic_apps import convert_logic_apps, is_logic_apps
from flowstudy.corpus.importers.n8n import convert_n8n, is_n8n
from flowstudy.corpus.importers.reading import stored
from flowstudy.corpus.importers.records import Imported, Source
from flowstudy.corpus.importers.step_functions import convert_step_functions, is_step_functions

Convert = Callable[[Any, Source], Iterator[Imported]]
#: How each platform recognises a document, and its converter; asked in this order.
PLATFORMS: Final[dict[str, tuple[Callable[[Any], bool], Convert]]] = {
    "logic_apps": (is_logic_apps, convert_logic_apps),
    "n8n": (is_n8n, convert_n8n),
    "step_functions": (is_step_functions, convert_step_functions),
}
#: Where answers of APIs and template galleries keep workflows, one or many, as objects or as JSON in a text.
_ENVELOPES: Final = (
    "data", "value", "items", "workflows", "results", "workflow", "definition", "clientdata", "properties", "files",
    "workflow.json",
)  # fmt: skip
_MOST_ENVELOPES: Final = 6
_TITLES: Final = ("displayName", "title", "name")
_TEXTS: Final = ("description", "templateDescription")


class Found(NamedTuple):
    """A workflow of a document, what converts it, and its source with the name and text of the envelope."""

    convert: Convert
    value: Any
    source: Source

    def records(self) -> Iterator[Imported]:
        """What the converter makes of it."""
        return self.convert(self.value, self.source)


def workflows_in(value: Any, source: Source, format: str = "auto", depth: int = 0) -> list[Found]:
    """Every workflow in a JSON value; empty where there is none. What else stands in a list beside workflows gives a
    refusal. Several have `#<place>` behind their ids."""
    value = stored(value)
    for name, (known, convert) in PLATFORMS.items():
        if format in ("auto", name) and known(value):
            return [Found(convert, value, source)]
    if depth == _MOST_ENVELOPES:
        return []
    if isinstance(value, list):
        parts = [(item, workflows_in(item, source, format, depth + 1)) for item in value]
        found = [one for item, some in parts for one in some or [Found(_no_workflow, item, source)]]
        found = found if any(some for _, some in parts) else []
    elif isinstance(value, dict):
        source = _around(value, source)
        found = [
            one for key in _ENVELOPES if key in value for one in workflows_in(value[key], source, format, depth + 1)
        ]
    else:
        found = []
    if depth or len(found) < 2:
        return found
    return [one._replace(source=replace(one.source, id=f"{source.id}#{n}")) for n, one in enumerate(found, start=1)]


def kind_of_value(value: Any) -> str:
    """What a value is, in words for a refusal."""
    keys = ", ".join(map(str, list(value)[:5])) if isinstance(value, dict) else ""
    return (f"an object with {keys}" if keys else type(value).__name__)[:160]


def _no_workflow(value: Any, source: Source) -> Iterator[Imported]:
    yield Imported(source.id, "refused", reason=f"no known kind of workflow: {kind_of_value(value)}")


def _around(envelope: dict[str, Any], source: Source) -> Source:
    """The source with the name and the description of an envelope, where it has none of its own."""
    title = next((word for key in _TITLES if (word := _word(envelope.get(key)))), "") or source.title
    text = "" if source.text else next((word for key in _TEXTS if (word := _word(envelope.get(key)))), "")
    source = replace(source, title=title)
    return replace(source, text=text, text_from="description") if text else source


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
