"""A worker of a search with synthetic trainings: ``worker.py URL LOG N_TRIALS SEED [STALL]``.

Every training writes a line to the log when it starts and when it ends; number ``STALL`` never ends.
"""

import sys
import time
from pathlib import Path

from no_data import NO_DATA

from fluxeq.searching import search as module
from fluxeq.searching.search import Problem, Setting, search
from fluxeq.searching.space import Space
from fluxeq.searching.storage import open_storage
from fluxeq.system.files import derived_seed
from fluxeq.training.recipe import Recipe

SPACE = Space(layers=(1, 2), dense_layers=(0, 1), start={"layers": 1, "channels_0": 4, "kernel_0": 2, "pooling_0": 1})


def main(url: str, log: str, n_trials: str, seed: str, stall: str = "0") -> None:
    n_begun = 0

    def write(event: str, fields: object) -> None:
        with Path(log).open("a") as file:  # one short line is written as a whole, also by concurrent processes
            file.write(f"{event} {seed} {fields}\n")

    def train(problem, fields, chosen, cannot_win):
        nonlocal n_begun
        n_begun += 1
        write("begun", fields)
        time.sleep(0.1 if n_begun != int(stall) else 1e6)
        write("ended", fields)
        value = derived_seed(str(fields)) % 1000 / 1000
        return Setting(fields, value, (value,) * problem.repeats, 10)

    module._train = train
    problem = Problem(NO_DATA, "ST", SPACE, Recipe(), int(n_trials), 2, int(seed))
    found = search(problem, open_storage(url, heartbeat=2), "s")
    print([(str(setting.config), setting.value) for setting in found])


if __name__ == "__main__":
    main(*sys.argv[1:])
