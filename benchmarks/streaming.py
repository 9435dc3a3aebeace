"""Time and memory of a large ensemble, which ``fluxeq sample`` streams to disk.

``python -m benchmarks.streaming [CONFIGURATIONS [MU]]`` in the root of the repository, by default a million and 1.05,
on 60x4 at eta = 4.01, lam = 1, in its own process with 32 chains; temporarily needs about a GiB of disk.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import keep

N_CHAINS = 32
SETTINGS = ("--shape", "60x4", "--eta", "4.01", "--lam", "1", "--chains", str(N_CHAINS), "--seed", "1")


def main(n_configurations: str = "1000000", mu: str = "1.05") -> None:
    """One row: time and peak memory of the process, including start and tuning."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ensemble.h5"
        asked = ["--mu", mu, "--configurations", n_configurations, "--output", str(path)]
        start = time.monotonic()
        subprocess.run(["fluxeq", "sample", *SETTINGS, *asked], check=True)
        row = {
            "configurations": int(n_configurations),
            "mu": float(mu),
            "chains": N_CHAINS,
            "seconds": round(time.monotonic() - start, 1),
            "most_memory_gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,  # from KiB
            "file_gib": path.stat().st_size / 2**30,
        }
    keep("streaming", row, 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
