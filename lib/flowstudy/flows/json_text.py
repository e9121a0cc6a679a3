"""JSON out of model text: the values in it outside the thinking of the model, and mended syntax."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import json_repair

#: Longer text is read only as it stands; the repairer is slow on long garbage.
MAX_SEARCH_CHARS: Final = 1_000_000
MAX_REPAIR_CHARS: Final = 200_000
_MAX_FAILURES: Final = 200
_THOUGHT: Final = r"(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad)"
#: The marks of thinking that model families write, and where a JSON value may begin (also one within a JSON string).
_MARK: Final = re.compile(
    rf"(?P<ends>[<◁](?:/|\|end_(?:of_)?)(?:\w+:)?{_THOUGHT}\|?[>▷]|\[/THINK\]|<\|end\|>|<channel\|>)"
    rf"|(?P<opens>[<◁]\|?(?:begin_of_|start_|\w+:)?{_THOUGHT}\|?[>▷]|\[THINK\]|<\|channel\|?>\s*(?:analysis|thought))"
    r'|\{\s*["}]|\[\s*[\[{]|"(?=\s*[\[{]\s*\\")',
    re.IGNORECASE,
)


class Piece(NamedTuple):
    """A part of a text; `value` is the JSON value that it holds, None for everything else."""

    text: str
    value: Any = None


def _no_constant(name: str) -> Any:
    raise ValueError(f"expected finite numbers, got {name}")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of two values under one key neither is silently left out."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError(f"expected each key of an object once, got {name[:60]!r} twice")
    return found


strict_json: Final = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_each_key_once)


def pieces(text: str) -> list[Piece]:
    """The text outside the thinking of the model, in order, cut at its JSON values. What stands before an end of
    thinking that has no beginning is thinking, and so is what follows a beginning without end. Raises
    RecursionError for deep nesting, ValueError for a text that is too long or full of broken JSON."""
    if len(text) > MAX_SEARCH_CHARS:
        raise ValueError(f"expected at most {MAX_SEARCH_CHARS} characters around JSON, got {len(text)}")
    found: list[Piece] = []
    at, done, failures, thinking = 0, 0, 0, False
    for mark in _MARK.finditer(text):
        if mark.start() < at:
            continue
        if mark["ends"]:
            if not thinking:
                found.clear()
            thinking, done = False, mark.end()
        elif thinking:
            continue
        elif mark["opens"]:
            found.append(Piece(text[done : mark.start()]))
            thinking = True
        else:
            try:
                value, at = strict_json.raw_decode(text, mark.start())
            except ValueError as error:  # what is valid up to the fault belongs to the broken value
                at = max(getattr(error, "pos", 0), mark.start() + 1)
                failures += 1
                if failures > _MAX_FAILURES:
                    raise ValueError("the text is full of broken JSON") from None
                continue
            found += [Piece(text[done : mark.start()]), Piece(text[mark.start() : at], value)]
            done = at
    return found if thinking else [*found, Piece(text[done:])]


def mended(text: str, start: str) -> Any:
    """The JSON value, with mended syntax, that begins where the pattern `start` first matches; from a text of several
    values a list. Raises ValueError if there is none."""
    begin = re.search(start, text)
    if begin is None or len(text) > MAX_REPAIR_CHARS or text.count("[") + text.count("{") > 20_000:
        raise ValueError("no JSON object and no outline in the text")
    body = text[begin.start() :].split("```")[0]
    body = re.sub("[“”]", '"', body) if re.match(r"\{\s*[“”]", body) else body
    body = re.sub(r"(\\\\)|\\([_*\[\]])", lambda match: match[1] or match[2], body)  # escapes of Markdown
    value = json_repair.loads(body, skip_json_loads=True)
    if steps_in(value) < len(re.findall(r"""definition["']?\s*:""", body)):
        raise ValueError("the syntax of the JSON cannot be mended without losing steps")
    return value


def steps_in(value: Any) -> int:
    """How many objects with a text `definition` a JSON value holds, values of inputs aside."""
    if isinstance(value, list):
        return sum(map(steps_in, value))
    if not isinstance(value, dict):
        return 0
    inner = sum(steps_in(child) for key, child in value.items() if key != "inputs")
    return inner + isinstance(value.get("definition"), str)
