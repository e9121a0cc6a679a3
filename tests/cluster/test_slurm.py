"""A cluster protects: a sweep runs through the Slurm executor, survives a killed job and resumes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.tiny_study import (
    ROOT,
    command,
    environment,
    flowstudy,
    make_project,
    wait_until_gone,
    wait_until_working,
    worked,
)  # fmt: skip

SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run(["bash", str(SCRIPT), "start", str(folder)], capture_output=True, text=True, timeout=90)
    if started.returncode == 77:
        pytest.skip(f"Slurm does not start here: {started.stdout.strip()}")
    assert started.returncode == 0, started.stdout + started.stderr
    yield
    subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], timeout=30, check=True)


def sweep(project: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    return flowstudy(project, "sweep", "--profile", "quick", "--cores", "4", "--executor", str(profile))


@pytest.mark.slow
def test_a_sweep_through_slurm_survives_a_killed_job_and_resumes(tmp_path: Path, slurm: None) -> None:
    project, profile = make_project(tmp_path / "a project"), tmp_path / "slurm"
    shutil.copytree(ROOT / "lib/flowstudy/profiles/slurm", profile)
    settings = yaml.safe_load((profile / "config.yaml").read_text())
    settings |= {"seconds-between-status-checks": 1, "slurm-init-seconds-before-status-checks": 1,
                 "slurm-status-command": "squeue", "latency-wait": 5}  # fmt: skip
    settings["default-resources"] = {"mem_mb": 300, "runtime": 10}
    settings["set-resources"]["02_fine_tune"]["mem_mb"] = 300
    (profile / "config.yaml").write_text(yaml.safe_dump(settings))
    study = (project / "study.yaml").read_text()
    study = study.replace("systems: [constant, nearest, slm-untuned-shots, slm-tuned]", "systems: [constant, nearest]")
    (project / "study.yaml").write_text(study.replace("seeds: [7, 8, 9]", "seeds: [7]"))

    behave = project / "behave-04_score"
    behave.write_text("hang")
    words = ["sweep", "--profile", "quick", "--cores", "4", "--executor", str(profile)]
    with subprocess.Popen(
        command(*words), cwd=project, stdout=subprocess.PIPE, text=True, env=environment(project)
    ) as runner:
        wait_until_working(project, "04_score", runner, "sweep-quick", 900, times=2)
        jobs = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()
        assert jobs, "the notebooks run as Slurm jobs"
        behave.unlink()
        subprocess.run(["scancel", "--signal=KILL", "--full", *jobs], check=True)
        said = runner.communicate(timeout=200)[0]
    assert runner.returncode != 0 and "same command again" in said
    before = worked(project, "sweep-quick")

    done = sweep(project, profile)
    assert done.returncode == 0, done.stdout + (project / "runs/sweep-quick/snakemake.log").read_text()[-3000:]
    after = worked(project, "sweep-quick")[len(before) :]
    assert "2 of 2 cells done" in done.stdout and not any("shared" in line or "03_prompt" in line for line in after)
    assert not wait_until_gone(project)
