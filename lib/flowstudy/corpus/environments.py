"""The shipped environments, and the catalogues that belong to a corpus."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flowstudy.corpus.example import GENERATED, Example
from flowstudy.flows.catalogue import Catalogue, catalogue_from_flows, load_catalogue

DATA: Final = Path(__file__).parent / "data"
CORE: Final = "core"
#: Domains that training sees; every other shipped domain is only ever in an unseen split.
TRAINING_DOMAINS: Final = ("it_service", "hr", "customer_service", "facilities", "procurement")
#: Source of examples whose flows were written for the shipped catalogues.
SHIPPED_SOURCE: Final = "written"


def named_corpora() -> tuple[str, ...]:
    """Names of the corpora of real workflows that are shipped beside the written one."""
    return tuple(sorted(path.parent.name for path in DATA.glob("*/corpus.jsonl")))


def corpus_path(corpus: str | Path) -> Path:
    """The file of a corpus: that of `named_corpora` for one of their names, else the path itself."""
    return DATA / corpus / "corpus.jsonl" if str(corpus) in named_corpora() else Path(corpus)


def corpus_name(corpus: str) -> str:
    """A corpus as a run names it: a shipped one by its name, a file by its absolute path."""
    return corpus if corpus in ("shipped", *named_corpora()) else str(Path(corpus).resolve())


@functools.cache
def shipped_domains() -> tuple[str, ...]:
    """Names of the shipped environments: the training domains first, then the unseen ones by name."""
    names = {path.stem for path in (DATA / "environments").glob("*.yaml")} - {CORE}
    return (*(d for d in TRAINING_DOMAINS if d in names), *sorted(names - set(TRAINING_DOMAINS)))


def shipped_catalogue(domain: str) -> Catalogue:
    """The catalogue of a shipped domain, the platform core included; `core` gives the core alone.

    Raises KeyError naming the domains that exist.
    """
    if domain not in (CORE, *shipped_domains()):
        raise KeyError(f"unknown domain {domain!r}; shipped are {', '.join(shipped_domains())}")
    return load_catalogue(DATA / "environments" / f"{domain}.yaml")


def catalogues_for(examples: Iterable[Example], path: str | Path | None = None) -> dict[str, Catalogue]:
    """The catalogue of each domain in `examples`, the corpus file being `path`.

    A `catalogue.yaml` (or `.yml`, `.json`) beside the file holds for all its domains. Failing that, shipped examples
    have the shipped catalogue. Failing that, the catalogue is what the references of the domain use, train and test
    together; then "invented" means "used by no reference of this corpus", which is too strict on a step that exists
    but that nobody used, and retrieval cannot offer anything that no reference needs.
    """
    beside = catalogue_beside(path)
    by_domain: dict[str, list[Example]] = {}
    for example in examples:
        by_domain.setdefault(example.domain, []).append(example)
    return {domain: beside or _implied(domain, members) for domain, members in by_domain.items()}


def catalogue_beside(path: str | Path | None) -> Catalogue | None:
    """The catalogue file in the folder of a corpus file; None where there is none. Raises ValueError if broken."""
    folder = Path(path).parent if path is not None else None
    names = [folder / f"catalogue{suffix}" for suffix in (".yaml", ".yml", ".json")] if folder else []
    return next((load_catalogue(name) for name in names if name.is_file()), None)


def _implied(domain: str, examples: list[Example]) -> Catalogue:
    if domain in shipped_domains() and {e.source for e in examples} - {GENERATED} == {SHIPPED_SOURCE}:
        return shipped_catalogue(domain)
    return catalogue_from_flows(domain, (flow for e in examples for flow in e.references))
