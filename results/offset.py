"""What a sum over all sites leaves open: ``python results/offset.py runs/counting`` in the root of the project.

A network that counts on one lattice size can add any constant at every site and take it off again behind the sum; on
other sizes that does not cancel. Writes ``results/counting/offset.csv``: for every EQ and ST network that counts, and
every lattice of the tests, the mean error and its standard deviation, the mean error for each site that the lattice has
more than that of the training, and the accuracy; then the accuracy without the difference between what the network
says of an empty lattice of this size and of one of the training's.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fluxeq.data.ensembles import open_ensemble
from fluxeq.nets.architecture import takes
from fluxeq.runs.jobs import Evaluate
from fluxeq.runs.plan import plan
from fluxeq.study.study import load_study
from fluxeq.study.values import named
from fluxeq.system.files import whole
from fluxeq.training.evaluation import predict
from fluxeq.training.models import Model, load_model

ROOT = Path(__file__).parent.parent
SCORES = ("evaluate/counting-EQ", "evaluate/counting-ST")


def main() -> None:
    """Make the table."""
    run = Path(sys.argv[1])
    study = load_study(run / "study.toml")
    counting, rows = study.tasks["counting"], []
    for job in plan(study):
        if not (isinstance(job.work, Evaluate) and job.name.startswith(SCORES)):
            continue
        for model in (load_model(run / path) for path in job.work.models):
            for shape in counting.test.shapes:
                if takes(model.config, shape):
                    files = [run / file for file, _ in job.work.tests if f"-{named(shape)}-" in file]
                    rows.append(row(model, files, shape, counting.shape))
    with whole(ROOT / "results" / run.name / "offset.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


def row(model: Model, files: list[Path], shape: tuple[int, ...], trained: tuple[int, ...]) -> dict[str, object]:
    """One network on all test sets of one lattice."""
    ensembles = [open_ensemble(file) for file in files]
    labels = np.concatenate([ensemble.n_worms for ensemble in ensembles])
    found = np.concatenate([predict(model, ensemble.configurations)[:, 0] for ensemble in ensembles])
    errors, more = found - labels, np.prod(shape) - np.prod(trained)
    mean = errors.mean()
    return {
        "architecture": model.description.architecture,
        "instance": model.description.instance,
        "shape": named(shape),
        "mean_error": mean,
        "standard_deviation": errors.std(),
        "mean_error_a_site": mean / more if more else None,
        "accuracy": np.mean(np.round(found) == labels),
        "accuracy_without": np.mean(np.round(found - empty(model, shape) + empty(model, trained)) == labels),
    }


def empty(model: Model, shape: tuple[int, ...]) -> float:
    """What the network says of a lattice without any flux."""
    return float(predict(model, np.zeros((1, 2 * len(shape), *shape), dtype=np.int8))[0, 0])


if __name__ == "__main__":
    main()
