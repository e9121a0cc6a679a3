"""Run folders as notebook 06 finds them, made without a model: corpus, catalogues, answers, scores and roster."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from flowstudy.analysis.measures import MEASURES, QUALITY
from flowstudy.analysis.scores import COLUMNS, save_scores
from flowstudy.corpus import catalogues_for, shipped_corpus, write_corpus
from flowstudy.corpus.features import compute
from flowstudy.corpus.prepare import write_catalogues
from flowstudy.systems.records import Call, Prediction, SystemSpec
from flowstudy.systems.roster import journal_of, roster, write_predictions, write_roster

ROOT = Path(__file__).parents[1]
SPECS = [SystemSpec(name="slm-tuned", model="slm/tuned"), SystemSpec(name="gpt-4o", model="openai/gpt-4o")]
MEANS = {"slm-tuned": 0.7, "gpt-4o": 0.6}


def examples_of(count: int) -> list:
    """Shipped examples with a split for judging, again under other ids and words when `count` asks for more."""
    shipped = [e for e in shipped_corpus() if e.split != "train"]
    catalogues = catalogues_for(shipped)
    found = []
    for number in range(count):
        one, again = shipped[number % len(shipped)], number // len(shipped)
        split = ("test", "ood", "validation")[number % 3]
        own = {"id": f"{one.id}-{again}", "requirement": f"{one.requirement} ({again})", "split": split}
        found.append(one.model_copy(update={**own, "features": compute(one, catalogues[one.domain])}))
    return found


def scores_of(means: dict, examples: list, repeats: int = 1, costs: dict | None = None) -> pd.DataFrame:
    """Every measure of every answer: a difficulty per example that systems share, a mean for each system."""
    rng, parts = np.random.default_rng(0), []
    hard = rng.normal(0, 0.1, len(examples))
    places = pd.DataFrame([(e.id, e.split, e.domain) for e in examples], columns=["example", "split", "domain"])
    for system, mean in means.items():
        for repeat in range(repeats):
            value = np.clip(mean + hard + rng.normal(0, 0.08, len(examples)), 0, 1)
            for name in ("answered", *MEASURES):
                number = value if name in QUALITY else 1.0 if name == "answered" else 0.5
                if name == "api_usd":
                    number = (costs or {}).get(system, 0.01)
                parts.append(places.assign(system=system, repeat=repeat, measure=name, value=number))
    table = pd.concat(parts, ignore_index=True).assign(status="ok")
    return table.assign(reason=np.where(table["value"].isna(), "unknown", ""))[list(COLUMNS)]


def answers_of(specs: list, examples: list, repeats: int = 1) -> list[Prediction]:
    """One answer per system, example and repeat: the reference, after one call."""
    return [
        Prediction(example=e.id, system=spec.name, repeat=n, status="ok", flow=e.flow,
                   calls=[Call(stage="whole", model=spec.model, prompt_tokens=500, completion_tokens=100, cost_usd=0.01,
                               latency_s=1.0, mean_logprob=-0.1 - (i % 7) / 10)])
        for spec in specs for i, e in enumerate(examples) for n in range(repeats)
    ]  # fmt: skip


def write_run(folder: Path, specs: list, examples: list, answers: list, scores: pd.DataFrame) -> Path:
    """The files that notebooks 01 to 05 leave."""
    (folder / "finished").mkdir(parents=True)
    write_corpus(folder / "corpus.jsonl", examples)
    write_catalogues(folder / "catalogues.json", catalogues_for(examples))
    write_roster(folder / "predictions", specs, roster(specs).assign(ready=True))
    for spec in specs:
        write_predictions(journal_of(folder / "predictions", spec), [p for p in answers if p.system == spec.name])
    save_scores(scores, folder / "scores.parquet")
    return folder


def run_notebook(folder: Path, **parameters: object) -> dict:
    """Execute the code cells of notebook 06 in this process, in order; the names they leave."""
    names: dict = {}
    cells = json.loads((ROOT / "notebooks" / "06_decide.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= {"run_dir": str(folder), **parameters}
    return names
