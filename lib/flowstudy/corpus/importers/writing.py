"""An imported corpus on disk: `corpus.jsonl`, `catalogue.yaml` and `import.jsonl` in one folder, ready for a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from flowstudy.corpus.example import Example
from flowstudy.corpus.importers.catalogue import Seen
from flowstudy.corpus.importers.flow_bench import flow_bench_catalogue, is_flow_bench_catalogue
from flowstudy.corpus.importers.load import Format, load_workflows
from flowstudy.corpus.importers.reading import check_file, files_in, read_document
from flowstudy.corpus.importers.records import NO_TEXT, Imported, Refused
from flowstudy.corpus.store import write_corpus
from flowstudy.files import hash_file, write_text
from flowstudy.flows.catalogue import Catalogue

#: What an import writes; the last line of the report has the hashes of the other two.
CORPUS, CATALOGUE, REPORT = "corpus.jsonl", "catalogue.yaml", "import.jsonl"
_SHOWN: Final = 12
_CATALOGUE_BYTES: Final = 8 * 1024 * 1024


@dataclass
class ImportReport:
    """What an import did. `reasons` counts why records are not `converted` and names the first of each, `texts` where
    the requirements come from; str() is for people."""

    source: str
    folder: str
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    texts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    written: int = 0
    without_text: int = 0
    redacted: int = 0
    steps: int = 0
    triggers: int = 0

    def __str__(self) -> str:
        total = sum(self.statuses.values()) - self.statuses["passed_over"]
        counts = ", ".join(f"{self.statuses[name]:,} {name}" for name in ("converted", "partly", "refused"))
        over = self.statuses["passed_over"]
        lines = [f"Imported {self.source}: {total:,} workflows, {counts}; {over:,} other files passed over"]
        for status, reasons in self.reasons.items():
            lines.append(f"  {status.replace('_', ' ')}:")
            lines += [f"    {n:>6,} x {why}, first {self.first[why]}" for why, n in reasons.most_common(_SHOWN)]
            if len(reasons) > _SHOWN:
                lines.append(f"           ... and {len(reasons) - _SHOWN:,} other reasons")
        lines += [f"  note: {count:,} x {note}" for note, count in self.notes.most_common(5)]
        lines.append(f"  masked: {self.redacted:,} secrets and e-mail addresses")
        if self.without_text:
            lines.append(f"  left out of the corpus: {self.without_text:,} without a requirement text")
        lines.append(
            "  requirements: " + ", ".join(f"{count:,} x {origin}" for origin, count in self.texts.most_common())
        )
        lines.append(f"  {self.folder}/{CORPUS}: {self.written:,} examples, without a split: the study divides them")
        lines.append(f"  {self.folder}/{CATALOGUE}: {self.steps:,} steps, {self.triggers:,} triggers")
        lines.append(f"  {self.folder}/{REPORT}: every workflow and file with its status and reason")
        return "\n".join(lines)


def import_corpus(
    source: str | Path,
    folder: str | Path,
    format: Format = "auto",
    *,
    drop_plumbing: bool = False,
    domain: str = "imported",
    licence: str = "",
    without_text: bool = False,
) -> ImportReport:
    """Write the examples of `source` to `folder/corpus.jsonl`, what they use to `folder/catalogue.yaml`.

    What became of each workflow is in `folder/import.jsonl`.

    Examples stream; memory holds the catalogue, the ids and the reasons. Workflows without a requirement text go into
    the corpus only if `without_text`; the catalogue has their steps all the same. A repeated id gets a number behind
    it. Raises FileExistsError for a corpus or catalogue in the folder that is not as the last import left it, OSError
    when the folder cannot be written.
    """
    target = Path(folder)
    _check_unedited(target)
    report = ImportReport(str(source), str(folder))
    seen = Seen(domain)
    records = load_workflows(source, format, drop_plumbing=drop_plumbing, domain=domain, licence=licence)
    lines: list[dict[str, Any]] = []
    report.written = write_corpus(target / CORPUS, _examples(records, report, seen, lines, without_text))
    catalogue = _with_descriptions(seen.catalogue, Path(source))
    report.steps, report.triggers = len(catalogue.steps()), len(catalogue.triggers)
    raw = catalogue.model_dump(exclude_defaults=True)
    write_text(target / CATALOGUE, yaml.safe_dump(raw, sort_keys=True, allow_unicode=True, width=120))
    lines.append({name: hash_file(target / name) for name in (CORPUS, CATALOGUE)})
    write_text(target / REPORT, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return report


def _check_unedited(folder: Path) -> None:
    """Raise FileExistsError where a person's work would be overwritten."""
    report = folder / REPORT
    last = report.read_text(encoding="utf-8").rsplit("\n", 2)[-2:-1] if report.is_file() else []
    known = json.loads(last[0]) if last else {}
    for path in (folder / CORPUS, folder / CATALOGUE):
        if path.is_file() and known.get(path.name) != hash_file(path):
            rule = "expected no file, or the one that the last import wrote, got one that was edited or made otherwise"
            raise FileExistsError(f"import to {path}: {rule}; name another folder or move the file away")


def _examples(
    records: Iterator[Imported], report: ImportReport, seen: Seen, lines: list[dict[str, Any]], without_text: bool
) -> Iterator[Example]:
    ids: Counter[str] = Counter()
    for record in records:
        _count(record, report)
        lines.append({name: getattr(record, name) for name in ("id", "status", "reason", "lost", "redacted", "notes")})
        seen.add(record)
        if record.example is None:
            continue
        if record.reason.startswith(NO_TEXT) and not without_text:
            report.without_text += 1
            continue
        example = record.example
        ids[example.id] += 1
        if ids[example.id] > 1:
            example = example.model_copy(update={"id": f"{example.id[:190]}~{ids[example.id]}"})
        report.texts[example.features["requirement_from"]] += 1
        yield example


def _count(record: Imported, report: ImportReport) -> None:
    report.statuses[record.status] += 1
    report.redacted += record.redacted
    report.notes.update(record.notes)
    if record.status != "converted":
        reasons = report.reasons.setdefault(record.status, Counter())
        if len(reasons) < 10_000 or record.reason in reasons:
            reasons[record.reason] += 1
            report.first.setdefault(record.reason, record.id)


def _with_descriptions(catalogue: Catalogue, source: Path) -> Catalogue:
    """The catalogue with the entries of a Flow-Bench catalogue that lies in the source folder."""
    for file in files_in(source) if source.is_dir() else files_in(source.parent / "ootb_catalog.json"):
        try:
            check_file(file)
            if file.suffix.lower() != ".json" or file.stat().st_size > _CATALOGUE_BYTES:
                continue
            if "catalog" not in file.name.lower():
                continue
            document = read_document(file).value
        except (Refused, OSError):
            continue
        if is_flow_bench_catalogue(document):
            for key, step in flow_bench_catalogue(document).actions.items():
                catalogue.actions.setdefault(key, step).description = step.description
    return catalogue
