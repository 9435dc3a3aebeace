"""The study completes, with both external families in its tables and figures."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent


def test_the_study_runs(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "own_architecture"), str(HERE)])}
    command = [sys.executable, "-m", "fluxeq", "reproduce", "parity.toml", "--output", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert set(metrics["family"]) == {"EQ", "PE", "means"}
    exact = metrics[(metrics["family"] == "means") & (metrics["target"] == "n")]
    assert (exact["loss"] < 1e-12).all()
    assert set(exact["shape"]) == {"60x4", "50x2"}
    drawn = pd.read_csv(tmp_path / "run" / "figures" / "fig4.csv")
    assert {"EQ", "PE", "means"} <= set(drawn["family"])
