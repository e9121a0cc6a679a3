"""Answers of a saved model in a fresh process: prompts as a JSON list on stdin, answers as one JSON line on stdout."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """`python -m flowstudy.systems.slm.reload FOLDER < prompts.json`"""
    from flowstudy.systems.slm.generate import Generator

    found = Generator(sys.argv[1]).generate(json.load(sys.stdin), 64)
    sys.stdout.write(json.dumps([completion.text for completion in found]) + "\n")


if __name__ == "__main__":
    main()
