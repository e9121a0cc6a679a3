"""Time OpenVINO GenAI against the generate loop of transformers: `python -m tests.benchmarks.serving --model FOLDER`.

Both answer the same requests of the default prompt, up to 32 in flight, in one process one after the other; loading is
left out. Writes `serving.csv` beside this file.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Future
from pathlib import Path

import pandas as pd

from flowstudy.corpus import shipped_corpus
from flowstudy.corpus.environments import catalogues_for
from flowstudy.systems.prompts import render
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.retrieval import retrieve
from flowstudy.systems.slm.engine import Engine, Job, TransformersEngine, open_engine

IN_FLIGHT = 32


def requests(count: int) -> list[list[dict[str, str]]]:
    """Messages of `count` dev requirements with lexical suggestions."""
    examples = [e for e in shipped_corpus() if e.split in ("dev", "dev_ood")][:count]
    catalogues, spec = catalogues_for(examples), SystemSpec(name="slm", model="slm/tuned", prompt="outline")
    found = []
    for example in examples:
        catalogue = catalogues[example.domain]
        offered = retrieve("lexical", example.requirement, catalogue, 8)
        found.append(render(spec, "whole", example.requirement, offered, catalogue).messages)
    return found


def answer(engine: Engine, asked: list[list[dict[str, str]]], most: int) -> tuple[float, int, int]:
    """Seconds, prompt tokens and answer tokens of all requests."""
    started, waiting, jobs = time.monotonic(), list(asked), list[Job]()
    while waiting or engine.busy:
        running = sum(not job.answer.done() for job in jobs)
        while waiting and running < IN_FLIGHT:
            jobs.append(Job(waiting.pop(0), most, 0.0, 0, None, Future()))
            engine.start(jobs[-1])
            running += 1
        if engine.busy:
            engine.step()
    done = [job.answer.result() for job in jobs]
    return time.monotonic() - started, sum(one.prompt_tokens for one in done), sum(one.tokens for one in done)


def main() -> None:
    """Both engines, a table, the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a fine-tuned model folder of a run")
    parser.add_argument("--requests", type=int, default=124)
    parser.add_argument("--most", type=int, default=640)
    options = parser.parse_args()
    asked, rows = requests(options.requests), []
    for name, engine in (
        ("openvino", open_engine(options.model)),
        ("transformers", TransformersEngine(options.model, "cpu")),
    ):
        answer(engine, asked[:1], 8)
        seconds, prompt, written = answer(engine, asked, options.most)
        rows.append({"engine": name, "requests": len(asked), "seconds": round(seconds, 1), "prompt_tokens": prompt,
                     "answer_tokens": written, "tokens_per_s": round((prompt + written) / seconds)})  # fmt: skip
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
