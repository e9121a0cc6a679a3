"""Energy counters, where the machine lets them be read: NVIDIA's own for a GPU, Linux's RAPL for a processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

_RAPL: Final = Path("/sys/class/powercap")


class EnergyMeter:
    """Watt-hours since it was made; None where no counter can be read, which is not zero."""

    def __init__(self, powercap: Path = _RAPL) -> None:
        self._counters = _gpus() or _packages(powercap)
        self._start = [read() for read, _ in self._counters]

    def used_wh(self) -> float | None:
        """Energy of the whole machine part that is counted, not of this process alone."""
        if not self._counters or None in self._start:
            return None
        joules = 0.0
        for (read, wraps_at), start in zip(self._counters, self._start, strict=True):
            now = read()
            if now is None:
                return None
            joules += now - start if now >= start else now - start + wraps_at
        return round(joules / 3600, 4)


def _packages(powercap: Path) -> list[tuple[Any, float]]:
    """One counter per processor package, in joules; empty where they are absent or only root may read them."""

    def joules(path: Path) -> float | None:
        try:
            return int(path.read_text()) / 1e6
        except (OSError, ValueError):
            return None

    folders = sorted(powercap.glob("intel-rapl:[0-9]*"))
    found = [folder for folder in folders if folder.name.count(":") == 1 and joules(folder / "energy_uj") is not None]
    return [
        (lambda path=folder / "energy_uj": joules(path), joules(folder / "max_energy_range_uj") or 0.0)
        for folder in found
    ]


def _gpus() -> list[tuple[Any, float]]:
    """One counter per visible NVIDIA GPU, in joules."""
    import torch

    if not torch.cuda.is_available():
        return []
    try:
        import pynvml
    except ImportError:
        return []

    def joules(handle: Any) -> float | None:
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        except pynvml.NVMLError:
            return None

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(torch.cuda.device_count())]
    return [(lambda handle=handle: joules(handle), 0.0) for handle in handles]
