"""Answers of a saved model in a fresh process, which knows nothing but the folder.

The process is started before training and loads its libraries meanwhile; it is asked when the model has been saved.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen


@contextmanager
def fresh_process() -> Iterator[Popen[str]]:
    """A process that waits for one question (see `ask_fresh`); it ends with the block, whatever happens there."""
    command = [sys.executable, "-m", "flowstudy.systems.slm.reload"]
    with Popen(command, text=True, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def ask_fresh(
    process: Popen[str], folder: Path, prompts: Sequence[Sequence[int]], most: int, threads: int
) -> list[str]:
    """Greedy answers (at most `most` tokens each) of the model saved in `folder`, on `threads` threads: sums in
    another order may differ in the last bit. Raises ValueError with what the process said when it failed."""
    question = {"folder": str(folder), "prompts": [list(ids) for ids in prompts], "most": most, "threads": threads}
    out, errors = process.communicate(json.dumps(question))
    if process.returncode != 0:
        raise ValueError(errors.strip()[-400:])
    return list(json.loads(out.splitlines()[-1]))


def main() -> None:
    """`python -m flowstudy.systems.slm.reload < question.json`; nothing is done when no question comes."""
    import torch
    from transformers import AutoModelForCausalLM  # noqa: F401  (most of what takes long, while nobody waits for it)

    from flowstudy.systems.slm.generate import generate
    from flowstudy.systems.slm.loading import load_model

    text = sys.stdin.read()
    if not text:
        return
    question = json.loads(text)
    torch.set_num_threads(question["threads"])
    found = generate(*load_model(question["folder"]), question["prompts"], question["most"])
    sys.stdout.write(json.dumps([completion.text for completion in found]) + "\n")


if __name__ == "__main__":
    main()
