"""The one door: any file or folder of workflows as a stream of records."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from flowstudy.corpus.importers.flow_bench import convert_flow_bench, is_flow_bench, is_flow_bench_catalogue
from flowstudy.corpus.importers.platforms import kind_of_value, workflows_in
from flowstudy.corpus.importers.published import convert_published, is_published
from flowstudy.corpus.importers.reading import (
    LINES,
    PAIRS,
    YAML,
    ZIP,
    Document,
    Texts,
    byte_lines,
    check_file,
    files_in,
    parsed,
    read_document,
    read_lines,
    zipped,
)
from flowstudy.corpus.importers.records import MAX_BYTES, Imported, NoWorkflow, Refused, Source, Status

Format = Literal["auto", "logic_apps", "n8n", "step_functions", "flow_bench", "published"]


def load_workflows(
    path: str | Path,
    format: Format = "auto",
    *,
    drop_plumbing: bool = False,
    domain: str = "imported",
    licence: str = "",
) -> Iterator[Imported]:
    """Every workflow of a file, or of the JSON, JSON Lines, YAML and zip files in a folder, in sorted order.

    Streams: one file, line or member of a zip is in memory at a time. Never raises on what it reads; each file, line
    and workflow gives a record with a reason; a file that holds no workflow is `passed_over`. `format` is `auto` or
    names the importer. `drop_plumbing` leaves out steps that only set variables, parse or compose, and lets data
    references pass through them. `domain` and `licence` go into the examples. Texts beside the definitions
    (`pairs.jsonl`, `manifest.json`, a read-me) serve as requirements; links and paths found in data are not followed.
    Raises ValueError for an unknown format, FileNotFoundError without `path`.
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
        status: Status = "passed_over" if isinstance(refusal, NoWorkflow) else "refused"
        yield Imported(source.id, status, reason=str(refusal))
    except RecursionError:
        yield Imported(source.id, "refused", reason="nested too deeply to be converted")


def _file(file: Path, source: Source, format: Format, texts: Texts, given: bool) -> Iterator[Imported]:
    suffix = file.suffix.lower()
    check_file(file, given=given)
    if suffix == ZIP:
        for name, read in zipped(file):
            one = replace(source, id=f"{source.id}/{name}")
            yield from _guarded(lambda name=name, read=read, one=one: _member(name, read(), one, format), one)  # type: ignore[misc]
    elif suffix in LINES:
        yield from _lines(read_lines(file), source, format)
    else:
        text, origin = texts.beside(file)
        yield from _converted(read_document(file), replace(source, text=text, text_from=origin), format, suffix)


def _member(name: str, raw: bytes, source: Source, format: Format) -> Iterator[Imported]:
    suffix = Path(name).suffix.lower()
    if suffix in LINES:
        return _lines(byte_lines(io.BytesIO(raw)), source, format)
    return _converted(parsed(raw, suffix), source, format, suffix)


def _lines(lines: Iterator[tuple[int, bytes | None]], source: Source, format: Format) -> Iterator[Imported]:
    for number, line in lines:
        one = replace(source, id=f"{source.id}:{number}")
        yield from _guarded(lambda line=line, one=one: _line(line, one, format), one)  # type: ignore[misc]


def _line(line: bytes | None, source: Source, format: Format) -> Iterator[Imported]:
    if line is None:
        raise Refused(f"a line longer than {MAX_BYTES // 2**20} MiB")
    try:
        yield from _converted(parsed(line), source, format)
    except NoWorkflow as nothing:
        raise Refused(str(nothing)) from None


def _converted(document: Document, source: Source, format: Format, suffix: str = "") -> Iterator[Imported]:
    for record in _records(document.value, source, format, suffix):
        yield replace(record, notes=[*record.notes, *document.notes]) if document.notes else record


def _records(value: Any, source: Source, format: Format, suffix: str) -> Iterator[Imported]:
    """The records of a document. Raises NoWorkflow where `auto` finds nothing in it."""
    auto = format == "auto"
    if format == "flow_bench" or (auto and (is_flow_bench(value) or suffix in YAML)):
        # the only format in YAML; others would walk into what its aliases may hide
        if auto and not is_flow_bench(value):
            raise NoWorkflow("no Flow-Bench tests (an object with a list of `tests`) in it")
        return convert_flow_bench(value, source)
    if format == "published" or (auto and is_published(value)):
        return convert_published(value, source)
    if found := workflows_in(value, source, format):
        return (record for one in found for record in one.records())
    if is_flow_bench_catalogue(value):
        raise NoWorkflow(f"a catalogue of {len(value)} operations, not a workflow")
    raise NoWorkflow(f"no known kind of workflow: {kind_of_value(value)}")
