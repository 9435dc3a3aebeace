"""Cost of the compression filters of ensemble files: time to write, read and check a file, and its size.

``python -m benchmarks.ensembles [CONFIGURATIONS]`` in the root of the repository, by default 20000, on 60x4 at
eta = 4.01, lam = 1, mu = 1.05. The filters alternate in one run; the table has the minimum time of each, and ratios to
the first, h5py's own LZF, which other HDF5 readers do not support.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fluxeq
from benchmarks.tables import keep
from fluxeq.data import ensembles, hdf5

FILTERS = {
    "lzf": {"compression": "lzf", "shuffle": True},
    "gzip 1": ensembles.PACKED,
    "gzip 4": {**ensembles.PACKED, "compression_opts": 4},
}
TURNS = 15
COMPARED = {"write": 0, "read": 1, "bytes": 3}


def main(n_configurations: str = "20000") -> None:
    """One row per filter."""
    made = fluxeq.sample(fluxeq.Theory(4.01, 1, 1.05), (60, 4), int(n_configurations), chains=32, seed=1, threads=2)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in FILTERS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.h5"
        for _ in range(TURNS):
            for name, packed in FILTERS.items():
                ensembles.PACKED = packed
                written = seconds(ensembles.save_ensemble, path, made)
                read, checked = seconds(ensembles.open_ensemble, path), seconds(check, path)
                found[name].append((written, read, checked, path.stat().st_size))
    least = {name: [min(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, (written, read, checked, n_bytes) in least.items():
        row = {"filter": name, "configurations": len(made), "write_seconds": written, "read_seconds": read}
        row |= {"check_seconds": checked, "bytes": n_bytes}
        row |= {f"{part}_ratio": least[name][i] / least["lzf"][i] for part, i in COMPARED.items()}
        keep("ensembles", row, 2)


def check(path: Path) -> None:
    """Verify the checksum of a file."""
    with hdf5.opened(path):
        pass


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """Duration of a call."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
