"""The one door: any file or folder of workflows as a stream of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from flowstudy.corpus.importers.logic_apps import convert_logic_apps, is_logic_apps
from flowstudy.corpus.importers.reading import LINES, PAIRS, Texts, check_file, files_in, read_document
from flowstudy.corpus.importers.records import Imported, Refused, Source

Format = Literal["auto", "logic_apps"]
Convert = Callable[[Any, Source], Iterator[Imported]]
#: How each format recognises a document, and its converter; asked in this order.
_FORMATS: Final[dict[str, tuple[Callable[[Any], bool], Convert]]] = {
    "logic_apps": (is_logic_apps, convert_logic_apps),
}


def load_workflows(
    path: str | Path, format: Format = "auto", *, drop_plumbing: bool = False, domain: str = "imported", licence: str = ""
) -> Iterator[Imported]:
    root = Path(path)
    options = Source("", drop_plumbing=drop_plumbing, domain=domain, licence=licence)
    texts = Texts(root)
    folder = root.is_dir()
    for file in files_in(root):
        if folder and texts and file.name == PAIRS:
            continue
        id = file.relative_to(root).as_posix() if folder else file.name
        yield from _guarded(file, replace(options, id=id), format, texts, given=not folder)


def _guarded(file: Path, source: Source, format: Format, texts: Texts, given: bool) -> Iterator[Imported]:
    try:
        yield from _file(file, source, format, texts, given)
    except Refused as refusal:
        yield Imported(source.id, "refused", reason=str(refusal))
    except RecursionError:
        yield Imported(source.id, "refused", reason="nested too deeply to be converted")


def _file(file: Path, source: Source, format: Format, texts: Texts, given: bool) -> Iterator[Imported]:
    check_file(file, given=given)
    document = read_document(file)
    text, origin = texts.beside(file)
    source = replace(source, text=text, text_from=origin)
    for record in convert_logic_apps(document.value, source):
        yield replace(record, notes=[*record.notes, *document.notes])
