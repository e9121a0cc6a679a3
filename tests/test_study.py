"""The study file protects: a misspelt key, profile or system is an error that names the right one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from flowstudy.corpus import check_corpus
from flowstudy.review.sampling import PLANS
from flowstudy.run_folder import project_root
from flowstudy.study import StudyError, Tagging, load_study

ROOT = project_root(Path(__file__).parent)


@pytest.fixture
def raw() -> dict:
    return yaml.safe_load((ROOT / "study.yaml").read_text())


def load(tmp_path: Path, raw: dict, **options: str):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_study(path, **options)


def test_profiles_are_deep_overrides() -> None:
    laptop, quick = load_study(ROOT / "study.yaml"), load_study(ROOT / "study.yaml", "quick")
    assert quick.fine_tune.base == laptop.fine_tune.base and quick.examples.dev < laptop.examples.dev
    left_out = {"slm-untuned", "slm-tuned-oracle", "slm-tuned-grammar"}
    assert set(laptop.systems) - set(quick.systems) == left_out, "null leaves out"


@pytest.mark.parametrize("profile", ["laptop", "arms"])
def test_each_arm_of_the_tuned_model_differs_from_it_in_one_thing(profile: str) -> None:
    systems = load_study(ROOT / "study.yaml", profile).systems
    usual = systems["slm-tuned"].model_dump()
    arms = {name: spec.model_dump() for name, spec in systems.items() if name.startswith("slm-tuned-")}
    assert len(arms) >= 2
    for name, arm in arms.items():
        assert len([field for field in usual if field != "name" and arm[field] != usual[field]]) == 1, name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sede": 1}, "key 'sede'.*closest: 'seed'"),
        ({"fine_tune": {"epoch": 1}}, "key 'fine_tune.epoch'.*closest: 'epochs'"),
        ({"systems": {"a": {"model": "nearest", "shot": 1}}}, "key 'systems.a.shot'.*closest: 'shots'"),
        ({"seed": "seven"}, "key 'seed'.*got \"seven\""),
        ({"tagging": {"items": 0}}, "tagging.items"),
        ({"economics": {"utilisation": 0.25}}, "economics.utilisation.*follows from requests_per_month, peak_factor"),
        ({"economics": {"requests_per_month": 0}}, "economics.requests_per_month.*got 0"),
        ({"economics": {"host_usd_per_hour": -1}}, "economics.host_usd_per_hour.*greater than 0, got -1"),
        ({"statistics": {"margin": 2}}, "statistics.margin.*less than 1, got 2"),
        ({"matrix": {"sistems": ["nearest"]}}, "matrix.sistems.*closest: 'systems'"),
        ({"matrix": {"seeds": [True]}}, "matrix.seeds.0.*got true"),
        ({"matrix": {"shots": -1}}, "matrix.shots.0.*got -1"),
        ({"matrix": {"strategies": ["holistic"]}}, "matrix.strategies.0.*'whole' or 'decomposed'"),
        ({"matrix": {"exclude": [{"seed": 7}]}}, "matrix.exclude.0.seed.*closest: 'seeds'"),
        (
            {
                "systems": {
                    "a": {"model": "hybrid/cascade/b+c"},
                    "b": {"model": "hybrid/cascade/a+c"},
                    "c": {"model": "nearest"},
                }
            },
            "without a cycle, got a -> b -> a",
        ),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, raw: dict, change: dict, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        load(tmp_path, {**raw, **change})


def test_an_unknown_profile_and_a_broken_file_are_named(tmp_path: Path, raw: dict) -> None:
    with pytest.raises(StudyError, match=r"profile 'quik'.*'quick'"):
        load(tmp_path, raw, profile="quik")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(StudyError, match=r"bad\.yaml"):
        load_study(tmp_path / "bad.yaml")
    with pytest.raises(StudyError, match="readable"):
        load_study(tmp_path / "none.yaml")


def test_systems_are_chosen_by_name_group_or_model() -> None:
    chosen = load_study(ROOT / "study.yaml", systems="slm openai/gpt-4o-mini, nearest").systems
    assert {"nearest", "gpt-4o-mini", "slm-tuned"} <= chosen.keys() and "gpt-4o" not in chosen
    assert chosen["gpt-4o-mini"].model == "openai/gpt-4o-mini"
    with pytest.raises(StudyError, match="closest: 'nearest'"):
        load_study(ROOT / "study.yaml", systems="nearst")


def test_the_conda_environment_cannot_drift() -> None:
    """environment.yml names no version of its own: extras and pins come from pyproject.toml, Python from both."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [d for d in conda["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert plain == ["python=3.11", "pip", "make", "git"] and pip == ["-e .[dev]"]
    makefile = (ROOT / "Makefile").read_text()
    extras = re.search(r"-e '\.\[([a-z,]+)\]'", makefile)
    assert extras and set(extras[1].split(",")) == {"dev", "unsloth"}


def test_the_corpus_that_the_readme_shows_is_a_good_one(tmp_path: Path) -> None:
    """A newcomer who copies the example line and the catalogue gets no complaint, and a wrong step is named."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,), (catalogue,) = (re.findall(rf"```{kind}\n(.*?)```", readme, re.DOTALL) for kind in ("json", "yaml"))
    (tmp_path / "catalogue.yaml").write_text(catalogue)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(line)
    assert check_corpus(corpus).ok
    corpus.write_text(line.replace("send_email", "send_emial"))
    report = check_corpus(corpus)
    assert not report.ok and "component 1 of flow own-1: unknown action 'send_emial'; closest: 'send_email'" in str(
        report
    )


def test_litellm_is_pinned_away_from_the_malicious_releases() -> None:
    pins = re.findall(r'"litellm==([0-9.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pins and pins[0] not in ("1.82.7", "1.82.8")


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_of_the_tagger_can_be_asked_for(plan):
    assert Tagging(sampling=plan).sampling == plan
