"""The load test protects: latency and throughput are those of the stated number in flight, failures are counted and
left out, nothing is asked twice."""

from __future__ import annotations

import pytest

from flowstudy.systems import SystemSpec, plan
from flowstudy.systems.load import LEAST, is_own_host, load_test
from flowstudy.systems.retries import Policy

from .loopback import Reply


@pytest.fixture
def spec(server) -> SystemSpec:
    return SystemSpec(name="own", model="openai/own", api_base=server.base(), retriever="none", shots=0)


@pytest.fixture
def tasks(spec, examples, train, catalogue):
    return plan(spec, examples, train, {"office": catalogue})


def test_each_level_keeps_as_many_in_flight_as_it_says(server, spec, tasks, tmp_path):
    server.plan = lambda number, hit: Reply(delay_s=0.2 if number <= 1 + 2 * LEAST else 3.0)  # time for all to come
    table = load_test(spec, tasks, tmp_path / "load.json", (1, 4, 12))
    assert table["in_flight"].tolist() == [1, 4, 12] and table["requests"].tolist() == [LEAST, LEAST, 12]
    assert server.most_busy == 12 and (table["failed"] == 0).all()
    assert len(server.hits) == 1 + table["requests"].sum(), "one more to warm up"
    for row in table.to_dict("records"):
        assert 0.2 <= row["p50_s"] <= row["p95_s"] <= row["seconds"]
        assert row["requests_per_s"] == pytest.approx(row["requests"] / row["seconds"], rel=0.01)
        assert row["tokens_per_s"] == pytest.approx(150 * row["requests_per_s"], rel=0.01)
    again = load_test(spec, tasks, tmp_path / "load.json", (1, 4, 12))
    assert again.equals(table) and len(server.hits) == 1 + table["requests"].sum(), "kept, not asked again"
    load_test(spec, tasks, tmp_path / "load.json", (2,))
    assert len(server.hits) == 2 + table["requests"].sum() + LEAST, "other levels are another test"


def test_a_level_asks_no_more_after_its_time(server, spec, tasks, tmp_path):
    """A model that seldom ends by itself must not hold a study up."""
    server.plan = lambda number, hit: Reply(delay_s=0.2)
    (row,) = load_test(spec, tasks, tmp_path / "load.json", (1,), most_s=0.5).to_dict("records")
    assert 2 <= row["requests"] <= 3 and row["failed"] == 0 and row["seconds"] < 2


def test_what_fails_is_counted_and_has_no_latency(server, spec, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr("flowstudy.systems.llm.Policy", lambda: Policy(attempts=1))
    server.plan = lambda number, hit: Reply() if number == 1 else Reply(status=500, body="{}")
    (row,) = load_test(spec, tasks, tmp_path / "load.json", (2,)).to_dict("records")
    assert row["failed"] == row["requests"] == LEAST and row["requests_per_s"] == 0
    assert row["p50_s"] is None or row["p50_s"] != row["p50_s"]


def test_only_a_host_of_ones_own_is_put_under_load(spec, tasks, tmp_path):
    hosted = SystemSpec(name="gpt", model="openai/gpt-4o")
    assert is_own_host(spec) and not is_own_host(hosted)
    vendor = SystemSpec(name="v", model="openai/own", api_base="https://vendor.example/v1", key_env="VENDOR_KEY")
    assert not is_own_host(vendor), "it sends a bill that no budget here would hold"
    assert is_own_host(SystemSpec(name="t", model="slm/tuned")) and not is_own_host(
        SystemSpec(name="b", model="slm/base")
    )
    with pytest.raises(ValueError, match="load test of gpt: expected a model on a host of one's own"):
        load_test(hosted, tasks, tmp_path / "load.json")
    with pytest.raises(ValueError, match="expected levels of at least 1"):
        load_test(spec, tasks, tmp_path / "load.json", (0,))
    assert load_test(spec, [], tmp_path / "load.json").empty
    assert load_test(spec, tasks, tmp_path / "load.json", ()).empty
