"""Cost of an independent configuration against volume and mu, as a table and a figure (``docs/volume.png``).

``python -m benchmarks.volume [LARGEST]`` in the root of the repository, where LARGEST is the largest extent, by default
1024. For square lattices at eta = 4.01, lam = 1, on one core: 2 tau_int of the slowest of n, |phi|^2 and the mean of l,
in worms, from the pilot run and accurate to about 30 %, times the measured time of a worm. Existing rows of the table
are kept, so that an interrupted run can be resumed.
"""

import sys
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.tables import keep, read
from fluxeq.report.figures import canvas
from fluxeq.sampling import chains, tuning
from fluxeq.theory import Theory

EXTENTS = (8, 16, 32, 64, 128, 256, 512, 1024)
MU = (0.8, 0.95, 1.05, 1.5)
MOST_CHAINS, FEWEST_CHAINS, SITES = 32, 4, 2**18  # chains: SITES over the volume, within these bounds
SECONDS = 3.0  # to measure the time of a worm
PICTURE = Path("docs/volume.png")
STYLES = {0.8: ("#56B4E9", "v"), 0.95: ("#009E73", "^"), 1.05: ("#0072B2", "o"), 1.5: ("#D55E00", "s")}


def main() -> None:
    """Measure the points missing in the table, and draw it."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else EXTENTS[-1]
    known = {(row["extent"], row["mu"]) for row in read("volume").to_dict("records")}
    for extent in (extent for extent in EXTENTS if extent <= largest):
        for mu in MU:
            if (extent, mu) not in known:
                table = keep("volume", measured(extent, mu), 2)
                canvas.save(draw(table.sort_values("extent")), PICTURE)


def measured(extent: int, mu: float) -> dict[str, float]:
    """Cost on one square lattice."""
    theory, shape = Theory(4.01, 1.0, mu), (extent, extent)
    n_chains = max(FEWEST_CHAINS, min(MOST_CHAINS, SITES // extent**2))
    state, found = tuning.tune(theory, chains.empty_chains(shape, n_chains, seed=1))
    n_worms, seconds, steps = max(1, found.spacing // 8), 0.0, 0
    while seconds < SECONDS:
        n_worms = 2 * n_worms
        before, start = state.tally[:, 2:].sum(), time.process_time()
        state, _ = chains.record(theory, state, 1, n_worms, entry=found.entry)
        seconds, steps = time.process_time() - start, int(state.tally[:, 2:].sum() - before)
    cost = 2 * found.tau_int * seconds / (n_worms * n_chains)
    return {
        "extent": extent,
        "mu": mu,
        "chains": n_chains,
        "tau_int_worms": round(found.tau_int, 3),
        "steps_a_worm": round(steps / (n_worms * n_chains), 2),
        "ns_a_step": round(seconds / steps * 1e9, 2),
        "ms_an_independent_configuration": float(f"{1e3 * cost:.4g}"),
    }


@canvas.styled
def draw(table: pd.DataFrame) -> Figure:
    """Time per independent configuration above, and per site below."""
    figure, panels = canvas.panels(2, 1, 2.3)
    total, share = panels[:, 0]
    for mu, rows in table.groupby("mu"):
        colour, marker = STYLES[mu]
        cost, n_sites = rows["ms_an_independent_configuration"], rows["extent"] ** 2
        label = rf"$\mu = {mu:g}$"
        total.plot(rows["extent"], cost, marker=marker, color=colour, label=label)
        share.plot(rows["extent"], 1e3 * cost / n_sites, marker=marker, color=colour)
    total.set(xscale="log", yscale="log", ylabel="time for an independent\nconfiguration (ms, one core)")
    share.set(yscale="log", ylabel="the same for each site\n(microseconds)", xlabel=r"extent of a square lattice $L$")
    extents = sorted(table["extent"].unique())
    share.set_xticks(extents, [str(extent) for extent in extents])
    share.minorticks_off()
    total.legend(ncols=2)
    return figure


if __name__ == "__main__":
    main()
