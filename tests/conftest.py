"""For all tests: waiting threads sleep, so that test processes share the cores, and slow tests come first."""

import os
import signal

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before any library reads it
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No worker is left alone with a long test at the end: first the cluster, which mostly waits, then whole studies
    (the tests at the top, the longest of them before the others), then other slow ones."""
    first = ("test_slurm.py", "test_incremental.py", "test_notebooks.py")

    def turn(item: pytest.Item) -> tuple[bool, bool, int]:
        slow = item.get_closest_marker("slow") is not None
        return not slow, item.path.name not in first, len(item.path.parts) * (item.path.name not in first)

    items.sort(key=turn)
