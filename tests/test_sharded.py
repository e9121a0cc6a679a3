"""Many GPUs, as far as two processes on a CPU can show: the shipped configuration loads, and both processes train.

Accelerate shards (FSDP) on accelerators only; on a CPU the same command trains data-parallel over gloo.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowstudy.corpus import shipped_corpus, write_corpus
from flowstudy.corpus.environments import catalogues_for
from flowstudy.corpus.prepare import write_catalogues
from tests.tiny_study import ROOT, environment


@pytest.mark.slow
def test_the_shipped_fsdp_configuration_is_one_that_accelerate_takes() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(ROOT / "lib/flowstudy/profiles/fsdp/accelerate.yaml"))
    assert str(found.distributed_type).endswith("FSDP") and found.fsdp_config["fsdp_version"] == 2


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    examples = [example.model_copy(update={"split": "train"}) for example in shipped_corpus()[:8]]
    write_corpus(tmp_path / "corpus.jsonl", examples)
    write_catalogues(tmp_path / "catalogues.json", catalogues_for(examples))
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m",
             "flowstudy.sharded", "--folder", str(tmp_path), "--steps", "3", "--rate", "1e-3"]  # fmt: skip
    own = environment(ROOT, ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=own, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads((tmp_path / "models/sharded/sharded.json").read_text())
    assert facts["processes"] == 2 and facts["sharded"] == "MULTI_CPU" and facts["steps"] == 3
    assert all(0 < loss < 20 for loss in facts["losses"]) and (tmp_path / "models/sharded/model.safetensors").is_file()
