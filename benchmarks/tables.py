"""Tables of measurements, ``results/benchmarks/NAME.csv``, which the documentation quotes."""

from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.system.files import atomic_write

FOLDER = Path("results/benchmarks")


def read(name: str) -> pd.DataFrame:
    """A stored table; empty if there is none."""
    path = FOLDER / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def keep(name: str, row: dict[str, Any], keys: int) -> pd.DataFrame:
    """Print a row and store it, replacing a row that agrees in the first ``keys`` columns; returns the whole table."""
    print(", ".join(f"{column} {shown(value)}" for column, value in row.items()), flush=True)
    table = pd.concat([read(name), pd.DataFrame([row])]).drop_duplicates([*row][:keys], keep="last")
    with atomic_write(FOLDER / f"{name}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return table


def shown(value: object) -> str:
    """A value as text, floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
