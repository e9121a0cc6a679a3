"""The one door: any file or folder of workflows as a stream of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from flowstudy.corpus.importers.flow_bench import convert_flow_bench, is_flow_bench, is_flow_bench_catalogue
from flowstudy.corpus.importers.logic_apps import convert_logic_apps, is_logic_apps
from flowstudy.corpus.importers.n8n import convert_n8n, is_n8n
from flowstudy.corpus.importers.published import convert_published, is_published
from flowstudy.corpus.importers.reading import (
    LINES,
    PAIRS,
    YAML,
    Document,
    Texts,
    check_file,
    decode,
    files_in,
    parse_json,
    read_document,
    read_lines,
)
from flowstudy.corpus.importers.records import MAX_BYTES, Imported, Refused, Source

Format = Literal["auto", "logic_apps", "n8n", "flow_bench", "published"]
Convert = Callable[[Any, Source], Iterator[Imported]]
#: How each format recognises a document, and its converter; asked in this order.
_FORMATS: Final[dict[str, tuple[Callable[[Any], bool], Convert]]] = {
    "logic_apps": (is_logic_apps, convert_logic_apps),
    "n8n": (is_n8n, convert_n8n),
    "flow_bench": (is_flow_bench, convert_flow_bench),
    "published": (is_published, convert_published),
}


def load_workflows(
    path: str | Path,
    format: Format = "auto",
    *,
    drop_plumbing: bool = False,
    domain: str = "imported",
    licence: str = "",
) -> Iterator[Imported]:
    """Every workflow of a file, or of the JSON, JSON Lines and YAML files in a folder, in sorted order.

    Streams: one file or line is in memory at a time. Never raises on what it reads; each file, line and workflow gives
    a record with a reason. `format` is `auto` or names the importer. `drop_plumbing` leaves out steps that only set
    variables, parse or compose, and lets data references pass through them. `domain` and `licence` go into the
    examples. Texts beside the definitions (`pairs.jsonl`, `manifest.json`, a read-me) serve as requirements; links and
    paths found in data are not followed. Raises ValueError for an unknown format, FileNotFoundError without `path`.
    """
    if format not in get_args(Format):
        raise ValueError(f"format: expected one of {', '.join(get_args(Format))}, got {format!r}")
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"no file or folder {str(root)!r}")
    options = Source("", drop_plumbing=drop_plumbing, domain=domain, licence=licence)
    return _load(root, format, options)


def _load(root: Path, format: Format, options: Source) -> Iterator[Imported]:
    texts, folder = Texts(root), root.is_dir()
    for file in files_in(root):
        if folder and texts and file.name == PAIRS:
            continue
        source = replace(options, id=file.relative_to(root).as_posix() if folder else file.name)
        yield from _guarded(lambda file=file, source=source: _file(file, source, format, texts, not folder), source)  # type: ignore[misc]


def _guarded(make: Callable[[], Iterator[Imported]], source: Source) -> Iterator[Imported]:
    """The records, and a refusal where making them fails."""
    try:
        yield from make()
    except Refused as refusal:
        yield Imported(source.id, "refused", reason=str(refusal))
    except RecursionError:
        yield Imported(source.id, "refused", reason="nested too deeply to be converted")


def _file(file: Path, source: Source, format: Format, texts: Texts, given: bool) -> Iterator[Imported]:
    lines = file.suffix.lower() in LINES
    check_file(file, given=given, lines=lines)
    if lines:
        yield from _lines(file, source, format)
        return
    if format == "auto" and file.suffix.lower() in YAML:
        format = "flow_bench"  # the only format in YAML; others would walk into what its aliases may hide
    document = read_document(file)
    text, origin = texts.beside(file)
    yield from _converted(document, replace(source, text=text, text_from=origin), format)


def _lines(file: Path, source: Source, format: Format) -> Iterator[Imported]:
    for number, line in read_lines(file):
        one = replace(source, id=f"{source.id}:{number}")
        yield from _guarded(lambda line=line, one=one: _line(line, one, format), one)  # type: ignore[misc]


def _line(line: bytes | None, source: Source, format: Format) -> Iterator[Imported]:
    if line is None:
        raise Refused(f"a line longer than {MAX_BYTES // 2**20} MiB")
    text, notes = decode(line)
    yield from _converted(Document(parse_json(text), notes), source, format)


def _converted(document: Document, source: Source, format: Format) -> Iterator[Imported]:
    for record in _converter(document.value, format)(document.value, source):
        yield replace(record, notes=[*record.notes, *document.notes]) if document.notes else record


def _converter(document: Any, format: Format) -> Convert:
    """The converter of a format. Raises Refused where `auto` finds none."""
    if format != "auto":
        return _FORMATS[format][1]
    for known, convert in _FORMATS.values():
        if known(document):
            return convert
    if is_flow_bench_catalogue(document):
        raise Refused(f"a catalogue of {len(document)} operations, not a workflow")
    keys = ", ".join(map(str, list(document)[:5])) if isinstance(document, dict) else ""
    raise Refused(f"no known kind of workflow: {f'an object with {keys}' if keys else type(document).__name__}"[:200])
