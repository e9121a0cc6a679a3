"""Time notebook 06 and its report on 10 systems x 1,000 examples x 3 repeats: `python -m tests.benchmarks.decide`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from flowstudy.notebook import execute
from flowstudy.run_folder import Run
from flowstudy.systems.records import SystemSpec
from tests.decision_runs import ROOT, answers_of, examples_of, scores_of, write_run


def main() -> None:
    """Make the run folder, execute the notebook as a run does, and say how long it and its report took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1500, help="a third of them is for validation")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    names = [("slm-tuned", "slm/tuned"), ("slm-untuned-shots", "slm/base"), ("nearest", "nearest"),
             *((f"llm-{n}", f"openai/llm-{n}") for n in range(6))]  # fmt: skip
    specs = [SystemSpec(name=name, model=model) for name, model in names]
    specs.append(SystemSpec(name="hybrid", model="hybrid/cascade/slm-tuned+llm-0"))
    folder = (options.folder or Path(tempfile.mkdtemp())) / "run"
    if not folder.is_dir():
        examples = examples_of(options.examples)
        scores = scores_of({s.name: 0.5 + 0.02 * n for n, s in enumerate(specs)}, examples, repeats=3)
        write_run(folder, specs, examples, answers_of(specs, examples, repeats=3), scores)
    run, started = Run(folder, ROOT), time.perf_counter()
    execute("06_decide", run, {"run_dir": str(folder)})
    print(f"notebook 06: {time.perf_counter() - started:.1f} s (target 60)")
    cells = json.loads((run.path / "notebooks" / "06_decide.ipynb").read_text())["cells"]
    took = {cell["id"]: cell["metadata"].get("papermill", {}).get("duration") or 0.0 for cell in cells}
    print(f"report: {took['06-38']:.1f} s (target 10), {run.report.stat().st_size / 1e6:.1f} MB (limit 6)")
    print("slowest cells:", sorted(((round(seconds, 1), name) for name, seconds in took.items()), reverse=True)[:6])
    print(json.loads((folder / "finished" / "06_decide.json").read_text())["facts"])


if __name__ == "__main__":
    main()
