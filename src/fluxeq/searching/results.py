"""Results of a search: all settings, the best one, and the budget."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from fluxeq.errors import DivergedError
from fluxeq.searching.search import Setting
from fluxeq.system.files import remove, with_checksum, write_json
from fluxeq.training.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """The budget of a search, equal for all architectures that are compared."""

    trials: int
    repeats: int
    steps: int
    """Maximum number of optimiser steps of a training; independent of the batch size."""
    levenberg_marquardt: int
    """Maximum number of Levenberg-Marquardt steps that follow."""

    def __str__(self) -> str:
        total = self.trials * self.repeats * self.steps
        further = f" and {self.levenberg_marquardt} Levenberg-Marquardt steps" if self.levenberg_marquardt else ""
        return (
            f"{self.trials} settings, {self.repeats} trainings each, at most {self.steps} steps{further} per training; "
            f"{total} steps in total"
        )


def budget(recipe: Recipe, n_training: int, n_trials: int, repeats: int) -> Budget:
    """The budget of a search on ``n_training`` configurations."""
    return Budget(n_trials, repeats, recipe.steps(n_training), recipe.levenberg_marquardt)


def save_results(folder: Path, task: str, architecture: str, settings: list[Setting], allowed: Budget) -> None:
    """Write ``trials.json``, the best setting first, and ``best.json``; the loss of a diverged training is null.

    Raises DivergedError if every setting has a diverged training.
    """
    rows, best = [_plain(setting) for setting in settings], folder / "best.json"
    write_json(folder / "trials.json", rows)
    if not math.isfinite(settings[0].value):
        remove(best)  # from an earlier search
        raise DivergedError(
            f"{folder}: the search of {architecture} for {task}: trainings of all {len(rows)} settings diverged; "
            "lower the learning rate"
        )
    named = {"task": task, "architecture": architecture, **rows[0], "budget": asdict(allowed)}
    write_json(best, with_checksum(named))


def _plain(setting: Setting) -> dict[str, object]:
    """A setting as JSON; ``observed`` only if there is any."""
    plain = {**asdict(setting), "value": _finite(setting.value), "losses": [*map(_finite, setting.losses)]}
    observed = {name: [*map(_finite, means)] for name, means in plain.pop("observed").items()}
    return plain | {"observed": observed} if observed else plain


def _finite(loss: float) -> float | None:
    return loss if loss < float("inf") else None
