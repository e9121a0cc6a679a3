"""The shipped corpus `step-functions`, made from a clone of the public collection that it comes from.

`python -m flowstudy.corpus.importers.collection CLONE` writes it again; its card says which revision to check out.
`sources.txt` in the corpus folder lists the definitions; a text is the `introBox` of the `example-workflow.json` in the
first folder of a definition's path.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from flowstudy.corpus.environments import DATA
from flowstudy.corpus.example import Example, Split
from flowstudy.corpus.importers.catalogue import Seen
from flowstudy.corpus.importers.reading import check_file, read_document
from flowstudy.corpus.importers.records import Imported, Refused, Source
from flowstudy.corpus.importers.step_functions import convert_step_functions
from flowstudy.corpus.splits import assign_splits, flow_key, near_duplicates
from flowstudy.corpus.store import write_corpus
from flowstudy.files import write_text
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import say

FOLDER: Final = DATA / "step-functions"
NAME: Final = "step_functions"
COLLECTION: Final = "step-functions-workflows-collection"
SEED: Final = 7
#: Half is judged: of fewer than fifty examples a fifth would decide nothing.
SHARES: Final[dict[Split, float]] = {"train": 0.4, "validation": 0.1, "test": 0.5}
#: Shorter texts are titles.
LEAST_WORDS: Final = 8
_TOOL: Final = re.compile(r"(?:-ts)?-(?:cdk|sam|tf)(?:-\w+)?$")


class Made(NamedTuple):
    """The examples, and the folders that are not in the corpus by themselves with the rule that says so."""

    examples: list[Example]
    left_out: dict[str, str]


def make(clone: str | Path, sources: Iterable[str]) -> Made:
    """The examples of the definitions at the paths `sources` below a clone, with splits.

    Left out are definitions that the importer refuses or reads with a loss, texts of fewer than LEAST_WORDS words, and
    texts that, nearly, an earlier folder has under another title (copied from a template). A folder with the text and
    the title or name of an earlier one shows the same workflow for another tool: its flow, where it differs, is
    accepted too.
    Raises OSError where a path does not exist.
    """
    left_out: dict[str, str] = {}
    found: list[Example] = []
    for path in sorted(sources):
        [record] = _read(Path(clone), path)
        folder = path.split("/")[0]
        if record.example is None or record.status != "converted":
            left_out[folder] = f"definition: {record.reason}"
        elif len(record.example.requirement.split()) < LEAST_WORDS:
            left_out[folder] = f"text of fewer than {LEAST_WORDS} words"
        else:
            found.append(record.example)
    return Made(assign_splits(list(_distinct(found, left_out)), SEED, SHARES), left_out)


def _read(clone: Path, path: str) -> Iterator[Imported]:
    """The workflow at a path with the text of its folder."""
    folder = path.split("/")[0]
    try:
        check_file(clone / path)
        about = read_document(clone / folder / "example-workflow.json").value
        definition = read_document(clone / path).value
    except Refused as refusal:
        yield Imported(path, "refused", reason=str(refusal))
        return
    source = Source(
        id=_TOOL.sub("", folder).strip("_").replace("_", "-"),
        text=" ".join(about["introBox"]["text"]),
        text_from="introduction",
        title=about["title"],
        domain=NAME,
        licence="MIT-0",
    )
    for record in convert_step_functions(definition, source):
        if record.example is not None:
            record.example.source = COLLECTION
            record.example.features |= {"title": about["title"], "origin": path}
        yield record


def _distinct(found: list[Example], left_out: dict[str, str]) -> Iterator[Example]:
    """Examples whose texts are their own; the flows of twins are further references of the first."""
    twin_of: dict[int, int] = {}
    for a, b, _ in near_duplicates([example.requirement for example in found]):
        twin_of[b] = min(twin_of.get(b, a), twin_of.get(a, a))
    for place, example in enumerate(found):
        first = found[twin_of.get(place, place)]
        folder = example.features["origin"].split("/")[0]
        if first is example:
            yield example
        elif first.id != example.id and first.features["title"] != example.features["title"]:
            left_out[folder] = f"text of {first.id}"
        else:
            known = {flow_key(flow) for flow in first.references}
            first.references += [flow for flow in example.references if flow_key(flow) not in known]
            left_out[folder] = f"the same workflow as {first.id}"


def catalogue_of(examples: Sequence[Example]) -> Catalogue:
    """What the references of some examples use."""
    seen = Seen(NAME)
    for example in examples:
        seen.add(Imported(example.id, "converted", example))
    return seen.catalogue


def write(made: Made, folder: Path = FOLDER) -> None:
    """The corpus file, and its catalogues: of all examples, and of the training examples alone."""
    write_corpus(folder / "corpus.jsonl", made.examples)
    train = [example for example in made.examples if example.split == "train"]
    for name, examples in (("catalogue.yaml", made.examples), ("training_catalogue.yaml", train)):
        raw = catalogue_of(examples).model_dump(exclude_defaults=True)
        write_text(folder / name, yaml.safe_dump(raw, sort_keys=True, allow_unicode=True, width=120))


if __name__ == "__main__":
    made = make(sys.argv[1], (FOLDER / "sources.txt").read_text(encoding="utf-8").split())
    write(made)
    say(f"{len(made.examples)} examples")
    say("\n".join(f"  {folder}: {reason}" for folder, reason in sorted(made.left_out.items())))
