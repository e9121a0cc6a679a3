"""The ledger protects: one limit on money for many processes, whatever kills them."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from flowstudy.__main__ import main
from flowstudy.systems.budget import Budget, BudgetStop
from flowstudy.systems.ledger import Ledger, spent_usd


def spend(path: Path, limit_usd: float, calls: int, seed: int) -> None:
    """Calls of up to 0.03 dollars, each with a worst case of 0.05, until the budget says stop."""
    dice = random.Random(seed)

    async def work() -> None:
        budget = Budget(limit_usd, ledger=path)

        async def call() -> None:
            try:
                await budget.reserve(0.05)
            except BudgetStop:
                return
            assert budget.spent_usd + budget.held_usd <= limit_usd + 1e-6
            await asyncio.sleep(0.002)
            budget.settle(0.05, dice.uniform(0, 0.03))

        await asyncio.gather(*(call() for _ in range(calls)))

    asyncio.run(work())


def steps(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_twelve_processes_never_promise_the_same_money(tmp_path: Path) -> None:
    """After every line of the file, spent and set aside stay within the limit; in the end nothing is set aside."""
    path, limit = tmp_path / "ledger.jsonl", 1.0
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=spend, args=(path, limit, 25, seed)) for seed in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    held = spent = 0.0
    for step in steps(path):
        held, spent = held + step["held_usd"], spent + step["spent_usd"]
        assert held + spent <= limit + 1e-6
    assert held == pytest.approx(0) and limit - 0.05 <= spent <= limit, "used up to the last worst case, never beyond"
    assert spent_usd(path) == pytest.approx(spent)


def _hold(path: Path) -> None:
    ledger = Ledger(path, 1.0)
    assert ledger.reserve(0.6)
    ledger.sent(0.4)
    time.sleep(60)


def test_money_of_a_killed_process_counts_as_spent(tmp_path: Path) -> None:
    """What it had sent may have been billed, what it had only set aside cannot; while it lives others wait for both."""
    path = tmp_path / "ledger.jsonl"
    worker = multiprocessing.get_context("fork").Process(target=_hold, args=(path,))
    worker.start()
    while not path.exists() or not path.read_text():
        time.sleep(0.02)
    mine = Ledger(path, 1.0)
    assert not mine.reserve(0.5) and mine.spent_usd == 0 and mine.held_usd == pytest.approx(0.6)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    assert not mine.reserve(0.7) and mine.spent_usd == pytest.approx(0.4) and mine.held_usd == 0
    assert mine.reserve(0.6)


def test_what_an_older_ledger_set_aside_counts_as_sent(tmp_path: Path) -> None:
    """Its lines do not say what had gone out."""
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"holder": "gone", "held_usd": 0.3, "spent_usd": 0.0}\n')
    mine = Ledger(path, 1.0)
    assert not mine.reserve(0.8) and mine.spent_usd == pytest.approx(0.3)


def test_a_correction_keeps_its_reason_and_makes_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named after a run that was dead until its ledger was deleted: 4.99 of 5 dollars for requests never sent."""
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path, 5.0)
    assert first.reserve(4.99)
    first.settle(4.99, 4.99)
    assert not first.reserve(1.0)
    for wrong in (["--spent", "-1", "--reason", "x"], ["--spent", "0"], ["--spent", "nan", "--reason", "x"]):
        assert main(["ledger", str(tmp_path), *wrong]) == 2
    assert main(["ledger", str(tmp_path), "--spent", "0.5", "--reason", "the proxy let nothing out"]) == 0
    shown = capsys.readouterr().out
    assert "0.5000 USD spent" in shown and "corrected by -4.4900 USD: the proxy let nothing out" in shown
    assert first.reserve(4.4) and spent_usd(path) == pytest.approx(0.5)


def test_a_line_cut_short_is_left_out_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"holder": "a", "held_usd": 0.0, "spent_usd": 0.25}\n{"holder": "a", "held_u')
    ledger = Ledger(path, 1.0)
    assert ledger.reserve(0.75) and not ledger.reserve(0.01)
    ledger.settle(0.75, 0.5)
    again = Ledger(path, 1.0)
    assert again.reserve(0.25) and again.spent_usd == pytest.approx(0.75)


def test_a_limit_holds_over_runs_and_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for expected in (True, True, False):
        ledger = Ledger(path, 0.9)
        assert ledger.reserve(0.4) is expected
        if expected:
            ledger.settle(0.4, 0.4)
        ledger.close()
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.jsonl"]
