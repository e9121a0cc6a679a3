"""The shipped environments are what the study says they are, and a corpus finds the catalogue that is its own."""

from __future__ import annotations

from collections import Counter

import pytest

from flowstudy.corpus import (
    TRAINING_DOMAINS,
    Example,
    catalogues_for,
    shipped_catalogue,
    shipped_corpus,
    shipped_domains,
)
from flowstudy.flows.catalogue import ColumnDef, InputDef
from flowstudy.flows.outline import from_outline

#: Trigger types that the published metric knows.
TRIGGERS = {
    "record_create", "record_update", "record_create_or_update", "daily", "weekly", "monthly", "repeat", "run_once",
    "email", "sla_task", "service_catalog", "metric", "rest_async",
}  # fmt: skip


def test_five_domains_to_train_on_and_ten_unseen():
    domains = shipped_domains()
    assert domains[:5] == TRAINING_DOMAINS and len(domains) == 15 == len(set(domains))
    counts = {d: sum(e.domain == d for e in shipped_corpus()) for d in domains}
    assert all(counts[d] >= 15 for d in domains[5:])
    splits = [e.split for e in shipped_corpus()]
    assert splits.count("dev") >= 150 <= splits.count("dev_ood") and splits.count("validation") >= 60
    trained = Counter(e.domain for e in shipped_corpus() if e.split == "train")
    assert set(trained) == set(TRAINING_DOMAINS) and min(trained.values()) >= 0.9 * max(trained.values())
    assert sum(len(e.references) > 1 for e in shipped_corpus()) >= 40


def test_every_environment_shares_the_core_and_adds_its_own():
    core = shipped_catalogue("core")
    assert set(core.triggers) == TRIGGERS
    scopes = set()
    for domain in shipped_domains():
        catalogue = shipped_catalogue(domain)
        assert set(core.actions) < set(catalogue.actions) and set(core.tables) < set(catalogue.tables)
        assert set(catalogue.triggers) == TRIGGERS
        own = {name.split(".")[0] for name in catalogue.steps() if "." in name}
        assert len(own) == 1 and not own & scopes, f"{domain}: one scope of its own"
        scopes |= own


def test_an_unknown_domain_is_named_with_those_that_exist():
    with pytest.raises(KeyError, match=r"unknown domain 'space'.*it_service"):
        shipped_catalogue("space")


def test_inputs_and_columns_may_be_written_on_one_line():
    assert InputDef.model_validate("choice(low|high)! How urgent") == InputDef(
        type="choice", required=True, description="How urgent", choices=["low", "high"]
    )
    assert InputDef.model_validate("record") == InputDef(type="record")
    assert ColumnDef.model_validate("reference(sys_user) Caller") == ColumnDef(
        type="reference", label="Caller", reference="sys_user"
    )
    assert ColumnDef.model_validate("choice(1=High|low) Urgency").choices == {"1": "High", "low": "low"}
    with pytest.raises(ValueError, match="type\\(options\\)! text"):
        InputDef.model_validate("!!")


def test_a_corpus_of_a_user_never_gets_a_shipped_catalogue_by_chance():
    flow = from_outline("action my_step | table = my_table | values = my_column=1")
    mine = Example(id="a", requirement="r", references=[flow], domain="hr")
    catalogue = catalogues_for([mine])["hr"]
    assert set(catalogue.actions) == {"my_step"} and set(catalogue.tables["my_table"].columns) == {"my_column"}
    assert "create_hr_case" in catalogues_for(e for e in shipped_corpus() if e.domain == "hr")["hr"].actions
