"""The corpus file: JSON Lines, one example per line, read as a stream and written atomically.

A line needs `id`, `requirement` and `references` (a list) or `flow` (one); each flow is a JSON flow or outline text.
`split` (default: `test`), `domain`, `source`, `features`, `licence` and `schema` may be left out. An example with the
source `generated` is a training example.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from pydantic import ValidationError

from flowstudy.corpus.example import CORPUS_SCHEMA, GENERATED, Example
from flowstudy.files import replacing
from flowstudy.flows.outline import OutlineError, from_outline
from flowstudy.flows.schema import Flow, structure_faults

_BOM: Final = b"\xef\xbb\xbf"
_SHOWN: Final = 20


class LineFault(NamedTuple):
    """One broken line of a corpus file: where it is, the rule it breaks and how to mend it. Line 0 is the file."""

    path: str
    line: int
    rule: str
    got: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: expected {self.rule}, got {self.got}; {self.fix}"


class CorpusError(ValueError):
    """Every broken line of a corpus file, in `faults`. The message shows the first twenty."""

    def __init__(self, faults: list[LineFault]) -> None:
        more = f"\n... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        head = f"{len(faults)} broken line(s) in the corpus\n" if len(faults) > 1 else ""
        super().__init__(head + "\n".join(map(str, faults[:_SHOWN])) + more)
        self.faults = faults


class _Broken(Exception):
    """The rule that a line breaks, what it has instead, and the fix."""


def load_corpus(path: str | Path) -> list[Example]:
    """All examples of a JSON Lines file, in file order.

    Raises CorpusError with every broken line, OSError when the file cannot be read. An example without `split` is a
    test example: a corpus that is all test is fine, `assign_splits` splits it, and without a `train` split systems
    that need examples are listed as not run.
    """
    faults: list[LineFault] = []
    examples = list(iter_corpus(path, faults))
    if not faults and not examples:
        fix = "write one JSON object per line"
        faults.append(LineFault(str(path), 0, "at least one example", "an empty file", fix))
    if faults:
        raise CorpusError(faults)
    return examples


def iter_corpus(path: str | Path, faults: list[LineFault]) -> Iterator[Example]:
    """Examples one by one in constant memory (apart from the ids seen); broken lines are added to `faults`."""
    seen: dict[str, int] = {}
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                example = read_example(_decode(raw, number))
                if example.id in seen:
                    _broken("an id used once", f"{example.id!r}, also on line {seen[example.id]}", "rename one of them")
            except _Broken as broken:
                rule, got, fix = broken.args
                faults.append(LineFault(str(path), number, rule, got, fix))
                continue
            seen[example.id] = number
            yield example


def write_corpus(path: str | Path, examples: Iterable[Example]) -> int:
    """Write examples as JSON Lines and return how many; the file appears whole or stays as it was.

    Raises OSError (disk full, no permission), and whatever the iterable raises; neither leaves a partial file.
    """
    count = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(to_line(example) + "\n")
            count += 1
    return count


def to_line(example: Example) -> str:
    """One example as a line of the corpus file, without the line break; a split that was never given stays out."""
    unset = {"split"} - example.model_fields_set
    raw = example.model_dump(mode="json", by_alias=True, exclude={"references", *unset})
    raw["references"] = [flow.to_dict() for flow in example.references]
    return json.dumps(raw, ensure_ascii=False)


def _decode(raw: bytes, number: int) -> Any:
    if number == 1 and raw.startswith(_BOM):
        _broken("UTF-8 without a byte order mark", "a byte order mark", "save the file as plain UTF-8")
    if b"\x00" in raw or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        _broken("UTF-8 text", "UTF-16 or binary data", "save the file as plain UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
        _broken("UTF-8 text", got, "save the file as plain UTF-8")
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _broken("text without lone surrogates", "half of a \\ud8xx pair", "write the character itself or both halves")
    except json.JSONDecodeError as error:
        _broken("one JSON object", f"{error.msg} at column {error.colno}", "write each example on one line of JSON")
    except (RecursionError, ValueError) as error:
        _broken("plain JSON", str(error)[:80], "write finite numbers and shallow objects")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the constant {name}")


def read_example(raw: Any) -> Example:
    """An example from one parsed line."""
    if not isinstance(raw, dict):
        _broken("one JSON object", f"a JSON {type(raw).__name__}", "write each example as an object")
    raw = dict(raw)
    version = raw.pop("schema", CORPUS_SCHEMA)
    if version != CORPUS_SCHEMA:
        _broken(f"schema {CORPUS_SCHEMA!r}", repr(version)[:80], "convert the file or leave `schema` out")
    for name in ("id", "requirement"):
        if not (isinstance(raw.get(name), str) and raw[name].strip()):
            _broken(f"`{name}` as non-empty text", repr(raw.get(name))[:80], f"give every example its `{name}`")
    if raw.get("source") == GENERATED and raw.setdefault("split", "train") != "train":
        got = repr(raw["split"])[:80]
        _broken(f"`split` train for source {GENERATED!r}, which is never scored", got, "write train or another source")
    raw["references"] = _references(raw)
    try:
        return Example.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = f"`{place}`: {first['msg']}".replace("Input should", "it should")
        _broken(what, repr(first["input"])[:80], "see the corpus format in the README")


def _references(raw: dict[str, Any]) -> list[Flow]:
    flow, several = raw.pop("flow", None), raw.pop("references", None)
    if (flow is None) == (several is None):
        _broken("either `flow` or `references`", "both" if flow is not None else "neither", "keep one of them")
    flows = [flow] if several is None else several
    if not isinstance(flows, list) or not flows:
        _broken("`references` as a list of at least one flow", repr(flows)[:80], "list the acceptable flows")
    return [_flow(item, place) for place, item in enumerate(flows)]


def _flow(raw: Any, place: int) -> Flow:
    where = f"a well-formed flow as reference {place}"
    try:
        flow = from_outline(raw, strict=True) if isinstance(raw, str) else Flow.model_validate(raw)
    except OutlineError as error:
        _broken(where, str(error), "correct the outline")
    except ValidationError as error:
        first = error.errors()[0]
        _broken(where, f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}", "correct the flow")
    faults = structure_faults(flow)
    if faults or not flow.components:
        _broken(where, "; ".join(faults[:3]) or "an empty flow: no step", "correct orders, blocks and flow logic")
    return flow


def _broken(rule: str, got: str, fix: str) -> NoReturn:
    raise _Broken(rule, got, fix)
