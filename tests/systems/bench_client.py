"""Throughput of the client against a slow server in another process, in % of the ideal (no pytest: run it).

python tests/systems/bench_client.py 0.2 8 400     # seconds per answer, calls in flight, calls
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import CallCache, Request
from flowstudy.systems.llm import Client


def main(delay_s: float, in_flight: int, calls: int) -> None:
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("loopback.py")), str(delay_s)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    base = f"http://127.0.0.1:{int(child.stdout.readline())}/v1"
    with tempfile.TemporaryDirectory() as folder, CallCache(Path(folder) / "calls.jsonl") as cache:
        client = Client("openai/gpt-4o", api_base=base, cache=cache, max_in_flight=in_flight)

        async def ask(numbers: range) -> None:
            async def one(number: int) -> None:
                text = f"{number} " + "word " * 1000
                request = Request("whole", [{"role": "user", "content": text}], {"max_tokens": 99, "seed": number})
                reply = await client.complete(request)
                assert reply.outcome == "ok", reply.call.error

            await asyncio.gather(*(one(number) for number in numbers))

        wait_for(ask(range(-in_flight, 0)))
        started, cpu = time.monotonic(), time.process_time()
        wait_for(ask(range(calls)))
        took, cpu = time.monotonic() - started, time.process_time() - cpu
    child.kill()
    ideal = delay_s * calls / in_flight
    print(f"{in_flight:3} in flight, {delay_s} s answers: {100 * ideal / took:.0f} % of ideal, "
          f"{calls / took:.0f} calls/s, {1000 * cpu / calls:.2f} ms CPU per call")  # fmt: skip


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
