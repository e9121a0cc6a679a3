"""For all tests, set before any library reads it: waiting threads sleep, so that test processes share the cores."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
