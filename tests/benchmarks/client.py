"""The client against a slow server in another process: throughput, own CPU time, memory (no pytest: run it).

python tests/benchmarks/client.py 0.2 8 400     # seconds per answer, calls in flight, calls

Ideal is what a client without any work of its own would reach. Every measure is taken twice, for LiteLLM alone and for
our client on top of it (limits, retries, budget, call journal), in three turns; the best turn of each counts.

On two shared virtual cores, LiteLLM 1.106.2, 2026-11-25, an otherwise quiet machine (CPU time a call differs between
runs by the hour; compare within a line):

    arguments        LiteLLM alone            our client               goal    resident memory after each third
    0.2 8 600        92 % of ideal, 5.4 ms    91 % of ideal, 5.5 ms    90 %    285, 285, 285 MiB
    0.2 32 1200      80 % of ideal, 3.6 ms    76 % of ideal, 3.7 ms    75 %    287, 287, 287 MiB
    again            82 % of ideal, 2.9 ms    82 % of ideal, 3.2 ms    75 %    287, 287, 287 MiB
    2 32 288         95 % of ideal, 3.6 ms    95 % of ideal, 4.0 ms    90 %    287, 287, 287 MiB
    0.01 32 21000    3.2 ms (no idle time)    3.1 ms                           287, 287, 287 MiB

Our own share is 0.3 ms of CPU time a call (goal: 1 ms): LiteLLM alone writes records for its callbacks, which our
client tells it to leave out; its own price table is off in both.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from flowstudy.systems import wire
from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import CallCache, Request
from flowstudy.systems.llm import Client

MODEL, TURNS = "openai/gpt-4o", 3
SERVER = Path(__file__).parents[1] / "systems" / "loopback.py"
Ask = Callable[[int], Awaitable[object]]


def prompt(number: int) -> list[dict[str, str]]:
    """About 1,000 tokens, another text for every call."""
    return [{"role": "user", "content": f"{number} " + "word " * 1000}]


def litellm_alone(base: str) -> Ask:
    def ask(number: int) -> Awaitable[object]:
        return wire.litellm().acompletion(
            model=MODEL, messages=prompt(number), api_base=base, api_key="none", timeout=60, num_retries=0,
            max_retries=0, max_tokens=99, seed=number,
        )  # fmt: skip

    return ask


def our_client(base: str, cache: CallCache, in_flight: int) -> Ask:
    client = Client(MODEL, api_base=base, cache=cache, max_in_flight=in_flight)

    async def ask(number: int) -> object:
        reply = await client.complete(Request("whole", prompt(number), {"max_tokens": 99, "seed": number}))
        if reply.outcome != "ok":
            raise RuntimeError(f"call {number}: expected an answer, got {reply.call.error}")
        return reply

    return ask


async def ask_all(ask: Ask, numbers: Iterable[int], in_flight: int) -> None:
    """As many workers as calls in flight take numbers from one list, as `run_system` does."""
    todo = iter(numbers)

    async def work() -> None:
        for number in todo:
            await ask(number)

    await asyncio.gather(*(work() for _ in range(in_flight)))


def timed(ask: Ask, numbers: range, in_flight: int) -> tuple[float, float]:
    """Seconds of wall clock and of CPU."""
    started, cpu = time.monotonic(), time.process_time()
    wait_for(ask_all(ask, numbers, in_flight))
    return time.monotonic() - started, time.process_time() - cpu


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main(delay_s: float, in_flight: int, calls: int) -> None:
    child = subprocess.Popen(
        [sys.executable, str(SERVER), str(delay_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    base = f"http://127.0.0.1:{int(child.stdout.readline())}/v1"
    with tempfile.TemporaryDirectory() as folder, CallCache(Path(folder) / "calls.jsonl") as cache:
        asks = {"LiteLLM alone": litellm_alone(base), "our client": our_client(base, cache, in_flight)}
        best: dict[str, list[float]] = {}
        memory = []
        for turn in range(TURNS):
            for name, ask in asks.items():
                wait_for(ask_all(ask, range(-8, 0), in_flight))
                share = calls // TURNS
                took, cpu = timed(ask, range(turn * share, (turn + 1) * share), in_flight)
                found = [100 * delay_s * share / in_flight / took, 1000 * cpu / share]
                best[name] = [max(best.get(name, found)[0], found[0]), min(best.get(name, found)[1], found[1])]
            memory.append(resident_mib())
    child.kill()
    for name, (ideal, cpu_ms) in best.items():
        print(f"{name:14} {in_flight:3} in flight, {delay_s} s: {ideal:.0f} % of ideal, {cpu_ms:.2f} ms CPU a call")
    print(f"resident memory after each third of the calls: {', '.join(f'{one:.0f}' for one in memory)} MiB")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
