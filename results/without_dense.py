"""EQ without its dense layer, on the data of a run: ``python results/without_dense.py runs/laptop`` in the root.

Trains the best setting of the regression's search for EQ that has no hidden dense layer, as the study trains the best
of all, and writes ``results/laptop/without_dense.csv``: the test loss of every instance on every lattice at every mu.
The run must still have its ensembles. It says why EQ does what it does; no claim is judged by it.
"""

import sys
import tempfile
from pathlib import Path

from fluxeq.files import read_json, whole
from fluxeq.nets.architectures import configured
from fluxeq.studies.plan import plan
from fluxeq.studies.run import open_run
from fluxeq.studies.scores import score_table
from fluxeq.training.datasets import load_data
from fluxeq.training.instances import train_instances
from fluxeq.training.recipe import Recipe

ROOT = Path(__file__).parent.parent
COLUMNS = ["instance", "n_parameters", "shape", "mu", "configurations", "loss", "loss_error"]


def main() -> None:
    """Train, score, write."""
    run = Path(sys.argv[1])
    jobs = {job.name: job.settings for job in plan(open_run(run))}
    settings, scores = (jobs[f"{kind}/regression-EQ-5000"] for kind in ("train", "evaluate"))
    trials = [trial for trial in read_json(run / "searches/regression-EQ/trials.json") if trial["value"] is not None]
    best = min((trial for trial in trials if not trial["config"]["dense"]), key=lambda trial: trial["value"])
    training, validation = ([run / path for path in settings[name]] for name in ("training", "validation"))
    data = load_data("regression", training, validation, settings["n_training"])
    config = configured("EQ", best["config"], data.training.shape)
    recipe = Recipe.model_validate(settings["recipe"])
    with tempfile.TemporaryDirectory(dir=run) as folder:  # scores name models as seen from their run
        models = Path(folder)
        train_instances(data, "EQ", config, recipe, False, range(settings["instances"]), settings["seed"], models)
        table = score_table(run, "study", sorted(models.glob("*.safetensors")), scores["tests"])
    with whole(ROOT / "results" / "laptop" / "without_dense.csv") as temporary:
        table[COLUMNS].to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
