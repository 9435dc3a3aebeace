"""The table of scores: one row per model and test set, the raw material of every figure and claim."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas

from fluxeq import statistics
from fluxeq.data.ensembles import Ensemble, open_ensemble
from fluxeq.nets.architecture import takes
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import Score, outputs, score
from fluxeq.training.models import Model, load_model


def score_table(run: Path, group: str, paths: list[Path], tests: list[Any]) -> pandas.DataFrame:
    """Scores of all models on all test sets ``(file, shape)`` whose lattice they can take; all share one task.

    A test set with worms is scored separately for every number of them.
    """
    models = [load_model(path) for path in paths]
    rows = []
    for file, shape in tests:
        able = [model for model in models if takes(model.config, tuple(shape))]
        if not able:
            continue
        ensemble = open_ensemble(run / file)
        data = dataset(models[0].task, ensemble)
        truth = _truth(ensemble) if models[0].task.name == "regression" else {}
        for model in able:
            about = _about(run, group, model, ensemble)
            found = outputs(model.network, data.configurations)
            for number in np.unique(ensemble.n_worms):
                chosen = ensemble.n_worms == number
                result = score(model.task, found[chosen], data.labels[chosen], data.chain[chosen])
                n_worms = None if models[0].task.name == "regression" else int(number)
                rows.append({**about, "n_worms": n_worms, **_numbers(result), **truth})
    return pandas.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("group", "task", "architecture", "augmentation", "n_training", "instance", "model", "n_parameters"),
    *("shape", "eta", "lam", "mu", "n_worms", "configurations", "loss", "loss_error", "accuracy"),
    *("loss_n", "loss_phi2", "mean_n", "mean_phi2", "true_n", "true_n_error", "true_phi2", "true_phi2_error"),
]


def _about(run: Path, group: str, model: Model, ensemble: Ensemble) -> dict[str, Any]:
    description, theory = model.description, ensemble.theory
    return {
        "group": group,
        "task": description.task,
        "architecture": description.architecture,
        "augmentation": description.augmentation,
        "n_training": description.n_training,
        "instance": description.instance,
        "model": model.path.relative_to(run).as_posix(),
        "n_parameters": description.n_parameters,
        "shape": "x".join(map(str, ensemble.shape)),
        "eta": theory.eta,
        "lam": theory.lam,
        "mu": theory.mu,
    }


def _numbers(result: Score) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in ("configurations", "loss", "loss_error", "accuracy")}
    for target in ("n", "phi2"):
        values[f"loss_{target}"] = result.per_target.get(target)
        values[f"mean_{target}"] = result.mean_prediction.get(target)
    return values


def _truth(ensemble: Ensemble) -> dict[str, Any]:
    """Monte-Carlo means with errors from the Gamma method."""
    found: dict[str, float | None] = {}
    for name in ("n", "phi2"):
        estimate = statistics.estimate(statistics.by_chain(getattr(ensemble, name), ensemble.chain))
        found |= {f"true_{name}": estimate.value, f"true_{name}_error": estimate.error}
    return found
