"""How the winner of each search of the regression does: ``python results/by_winner.py`` in the root of the project.

Writes ``results/laptop/by_winner.csv``, from the tables that are kept there: for every winner its layers, the value
that its search gave it, and the lowest, median and highest test loss of its instances at the largest training set, on
the lattice of the training, at the mu of the training and over all mu.
"""

from pathlib import Path

import pandas as pd

from fluxeq.figures import tables
from fluxeq.figures.scores import instance_scores
from fluxeq.files import read_json, whole
from fluxeq.nets.architectures import configured
from fluxeq.studies.plan import plan
from fluxeq.studies.study import load_study
from fluxeq.studies.winners import layers

RUN = Path(__file__).parent / "laptop"


def main() -> None:
    """Make the table."""
    study = load_study(RUN / "study.toml")
    shape, mu, n_training = tables.training_shape(RUN, "regression"), study.regression.mu, study.regression.n_training
    jobs = [job for job in plan(study) if job.name.startswith("train/regression-")]
    metrics, rows = tables.metrics(RUN), []
    for job in jobs:
        about = {name: job.settings[name] for name in ("task", "architecture", "augmentation", "n_training")}
        if about["n_training"] != n_training[-1]:
            continue
        scores = tables.select(metrics, group="study", **about, shape=shape)
        for i, winner in enumerate(job.settings["winners"]):
            of_winner = scores[scores["instance"] % len(job.settings["winners"]) == i]
            best = read_json(RUN / winner)
            config = configured(about["architecture"], best["config"], study.regression.shape)
            row = about | {"search": i + 1, "parameters": best["n_parameters"], "layers": layers(config)}
            row |= {"validation_loss_in_search": best["value"], "instances": of_winner["instance"].nunique()}
            for where, chosen in (("training_mu", tables.select(of_winner, mu=mu)), ("all_mu", of_winner)):
                losses = instance_scores(chosen, "loss")["loss"]
                row |= {f"{name}_{where}": getattr(losses, name)() for name in ("min", "median", "max")}
            rows.append(row)
    with whole(RUN / "by_winner.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
