"""How the winner of each search of the regression does: ``python results/by_winner.py`` in the root of the project.

Writes ``results/laptop/by_winner.csv``, from the tables that are kept there: for every winner its layers, the value
that its search gave it, and the lowest, median and highest test loss of its instances at the largest training set, on
the lattice of the training, at the mu of the training and over all mu.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.figures import tables
from fluxeq.figures.scores import instance_scores
from fluxeq.files import read_json, whole
from fluxeq.studies.plan import plan
from fluxeq.studies.study import load_study

RUN = Path(__file__).parent / "laptop"


def main() -> None:
    """Make the table."""
    study = load_study(RUN / "study.toml")
    shape, mu, n_training = tables.training_shape(RUN, "regression"), study.regression.mu, study.regression.n_training
    jobs = [job for job in plan(study) if job.name.startswith("train/regression-")]
    rows = []
    for job in jobs:
        about = {name: job.settings[name] for name in ("task", "architecture", "augmentation", "n_training")}
        if about["n_training"] != n_training[-1]:
            continue
        scores = tables.select(tables.metrics(RUN), group="study", **about, shape=shape)
        for i, winner in enumerate(job.settings["winners"]):
            of_winner = scores[scores["instance"] % len(job.settings["winners"]) == i]
            best = read_json(RUN / winner)
            row = about | {"search": i + 1, "parameters": best["n_parameters"], "layers": layers(best["config"])}
            row |= {"validation_loss_in_search": best["value"], "instances": of_winner["instance"].nunique()}
            for where, chosen in (("training_mu", tables.select(of_winner, mu=mu)), ("all_mu", of_winner)):
                losses = instance_scores(chosen, "loss")["loss"]
                row |= {f"{name}_{where}": getattr(losses, name)() for name in ("min", "median", "max")}
            rows.append(row)
    with whole(RUN / "by_winner.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def layers(config: dict[str, Any]) -> str:
    """The layers of a network in short: kernel and channels, pooling, stride; then dense layers and the activation."""
    parts = [
        f"{block['kernel']}x{block['kernel']} to {block['channels']}"
        + (f", pooling {block['pooling']}" if block.get("pooling", 1) > 1 else "")
        + (f", stride {block['stride']}" if block.get("stride", 1) > 1 else "")
        for block in config["blocks"]
    ]
    return "; ".join([*parts, *(f"dense {width}" for width in config.get("dense", ())), config["activation"]])


if __name__ == "__main__":
    main()
