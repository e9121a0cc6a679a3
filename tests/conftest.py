"""For all tests: waiting threads sleep, so that test processes share the cores, and slow tests come first."""

import os
import signal

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before any library reads it
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No worker is left alone with a long test at the end: whole studies (the tests at the top) come first of all."""
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, len(item.path.parts)))
