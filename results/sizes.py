"""How the sizes of networks did in the searches: ``python results/sizes.py wide`` in the root of the project.

Writes ``sizes.csv`` into ``results/wide``, or into the folder of another kept run, from the searches there: for every
search and power of ten of parameters how many settings were tried, how many of them were trained in full, and the
lowest value with the parameters of its network. Settings that were given up count with the mean of what was trained.
"""

import math
import sys
from pathlib import Path

import pandas as pd

from fluxeq.system.files import read_json, whole


def main() -> None:
    """Make the table."""
    run = Path(__file__).parent / sys.argv[1]
    rows = []
    for path in sorted(run.glob("searches/*/trials.json")):
        tried = pd.DataFrame(read_json(path))
        for power, found in tried.groupby(tried["n_parameters"].map(lambda n: math.floor(math.log10(n)))):
            best = found.loc[found["value"].idxmin()]
            row = {"search": path.parent.name, "from": 10**power, "settings": len(found)}
            row |= {"in_full": (~found["pruned"]).sum(), "lowest": best["value"], "parameters": best["n_parameters"]}
            rows.append(row)
    with whole(run / "sizes.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
