"""How each network of the regression does: ``python results/by_network.py laptop`` in the root of the project.

Writes ``by_network.csv`` into ``results/laptop``, or into the folder of another kept run, from the tables there: for
every winner of a search or given network its layers, the value that its search gave it, and the lowest, median and
highest test loss of its instances, on the lattice of the training, at the mu of the training and over all mu.
"""

import sys
from pathlib import Path

import pandas as pd

from fluxeq.analysis.spread import instance_scores
from fluxeq.analysis.tables import Results, select
from fluxeq.errors import InputError
from fluxeq.nets.architecture import configured
from fluxeq.report.model_cards import layers
from fluxeq.runs.jobs import Train, network_of
from fluxeq.runs.plan import plan
from fluxeq.system.files import read_json, whole

SECTION = "regression"


def main() -> None:
    """Make the table."""
    results, rows = Results(Path(__file__).parent / sys.argv[1]), []
    section, there = results.section(SECTION), results.trained_at(SECTION)
    groups: dict[tuple[str, str], list[Train]] = {}
    for job in plan(results.study):
        if isinstance(job.work, Train) and job.group.startswith(f"train/{SECTION}-"):
            groups.setdefault((job.group, str(job.work.network)), []).append(job.work)
    for works in groups.values():
        first, files = works[0], [work.model for work in works]
        try:
            scores = results.scores(SECTION, shape=there["shape"], n_training=first.n_training)
        except InputError:  # an unfinished run has not come to them
            continue
        chosen = scores[scores["model"].isin(files)]
        config = configured(first.architecture, network_of(results.run, first.network).config, section.shape)
        row = {name: chosen[name].iloc[0] for name in ("family", "architecture", "augmentation", "n_training")}
        row |= {"network": first.instance + 1, "parameters": chosen["n_parameters"].iloc[0], "layers": layers(config)}
        found = read_json(results.run / first.network) if isinstance(first.network, str) else {}
        row |= {"validation_loss_in_search": found.get("value"), "instances": len(works)}
        for where, rows_there in (("training_mu", select(chosen, mu=there["mu"])), ("all_mu", chosen)):
            losses = instance_scores(rows_there, "loss")["loss"]
            row |= {f"{name}_{where}": getattr(losses, name)() for name in ("min", "median", "max")}
        rows.append(row)
    with whole(results.run / "by_network.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
