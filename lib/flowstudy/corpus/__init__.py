"""Where examples come from: the corpus file, the shipped environments and examples, splits, features, checks."""

from flowstudy.corpus.check import CorpusReport, check_corpus
from flowstudy.corpus.environments import (
    TRAINING_DOMAINS,
    catalogue_beside,
    catalogues_for,
    corpus_name,
    corpus_path,
    named_corpora,
    shipped_catalogue,
    shipped_domains,
)
from flowstudy.corpus.example import CORPUS_SCHEMA, Example, Split
from flowstudy.corpus.splits import Leak, assign_splits, find_leaks
from flowstudy.corpus.store import CorpusError, LineFault, iter_corpus, load_corpus, write_corpus
from flowstudy.corpus.written import shipped_corpus

__all__ = [
    "CORPUS_SCHEMA", "TRAINING_DOMAINS", "CorpusError", "CorpusReport", "Example", "Leak", "LineFault", "Split",
    "assign_splits", "catalogue_beside", "catalogues_for", "check_corpus", "corpus_name", "corpus_path", "find_leaks",
    "iter_corpus", "load_corpus", "named_corpora", "shipped_catalogue", "shipped_corpus", "shipped_domains",
    "write_corpus",
]  # fmt: skip
