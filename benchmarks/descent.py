"""Loss of an EQ network against the number and time of Levenberg-Marquardt steps.

``python -m benchmarks.descent [CONFIGURATIONS] [STEPS] [INSTANCE]`` in the root of the repository; the defaults are
20000, 150 and 0. The network is that of ``benchmarks.floor``, first trained for 20 epochs on the first 2000
configurations of 60x4 at mu = 1.05; the test sets are those of ``benchmarks.runaway``. Seconds are CPU time, including
compilation. The table is ``results/benchmarks/descent.csv``.
"""

import sys
import time

import numpy as np

from benchmarks.floor import MU, NETWORK, SHAPE
from benchmarks.runaway import N_TESTED, RECIPE, TESTED_MU, ensemble
from benchmarks.tables import keep
from fluxeq.nets.architecture import configured
from fluxeq.system.files import derived_seed
from fluxeq.training.compiled import keep_compiled
from fluxeq.training.datasets import Data
from fluxeq.training.evaluation import outputs, score
from fluxeq.training.fit import Trainer

EPOCHS, N_EPOCHS = 20, 2000
EVERY = 10  # steps


def main(n: str = "20000", n_steps: str = "150", instance: str = "0") -> None:
    """Train; store a row after the epochs and after every tenth step."""
    keep_compiled()
    training, validation = ensemble(MU, int(n), 1), ensemble(MU, N_EPOCHS // 2, 2)
    tests = [ensemble(mu, N_TESTED, seed) for seed, mu in enumerate(TESTED_MU, 3)]
    recipe = RECIPE.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS, "levenberg_marquardt": int(n_steps)})
    config, start = configured("EQ", NETWORK, SHAPE), time.process_time()
    first = Trainer(Data(training.first(min(int(n), N_EPOCHS)), validation), config, recipe)
    ((_, now),) = first.epochs({0: first.begin(derived_seed(1, int(instance)))})
    trainer, seconds = Trainer(Data(training, validation), config, recipe), time.process_time() - start
    while True:
        if now.n_levenberg_marquardt % EVERY == 0:
            network, curve = trainer.result(now)
            losses = [score(t.task, outputs(network, t.configurations), t.labels, t.chain).loss for t in tests]
            at: dict[str, float] = {
                "configurations": int(n),
                "instance": int(instance),
                "steps": now.n_levenberg_marquardt,
            }
            seen = now.levenberg_marquardt.n if now.levenberg_marquardt else N_EPOCHS
            at |= {"seen": seen, "seconds": seconds, "validation_loss": curve.best}
            keep("descent", at | {"test_loss": float(np.mean(losses)), "worst_mu": max(losses)}, 3)
        if not trainer._has_steps_to_come(now):
            return
        start = time.process_time()
        now = trainer._after_step(now)
        seconds += time.process_time() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
