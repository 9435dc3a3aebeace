"""How each network of the regression does: ``python results/by_network.py laptop`` in the root of the project.

Writes ``by_network.csv`` into ``results/laptop``, or into the folder of another kept run, from the tables there: for
every winner of a search or given network its layers, the value that its search gave it, and the lowest, median and
highest test loss of its instances, on the lattice of the training, at the mu of the training and over all mu.
"""

import sys
from pathlib import Path

import pandas as pd

from fluxeq.analysis import tables
from fluxeq.analysis.spread import instance_scores
from fluxeq.errors import InputError
from fluxeq.nets.architecture import configured
from fluxeq.report.model_cards import layers
from fluxeq.runs.jobs import networks_of
from fluxeq.runs.plan import plan
from fluxeq.study.study import load_study
from fluxeq.system.files import whole


def main() -> None:
    """Make the table."""
    run = Path(__file__).parent / sys.argv[1]
    study = load_study(run / "study.toml")
    shape, metrics, rows = tables.training_shape(run, "regression"), tables.metrics(run), []
    for job in plan(study):
        if not job.name.startswith("train/regression-"):
            continue
        about = {name: job.settings[name] for name in ("task", "architecture", "augmentation", "n_training")}
        try:
            scores = tables.select(metrics, group="study", **about, shape=shape)
        except InputError:  # an unfinished run has not come to them
            continue
        networks = networks_of(run, job.settings.get("winners"), job.settings.get("networks"))
        for i, network in enumerate(networks):
            chosen = scores[scores["instance"] % len(networks) == i]
            config = configured(about["architecture"], network["config"], study.regression.shape)
            row = about | {"network": i + 1, "parameters": chosen["n_parameters"].iloc[0], "layers": layers(config)}
            row |= {"validation_loss_in_search": network.get("value"), "instances": chosen["instance"].nunique()}
            for where, there in (("training_mu", tables.select(chosen, mu=study.regression.mu)), ("all_mu", chosen)):
                losses = instance_scores(there, "loss")["loss"]
                row |= {f"{name}_{where}": getattr(losses, name)() for name in ("min", "median", "max")}
            rows.append(row)
    with whole(run / "by_network.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
