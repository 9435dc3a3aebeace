"""What a search leaves behind: every setting it tried, the best one, and the budget that it had."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from fluxeq.errors import DivergedError
from fluxeq.searching.search import Setting
from fluxeq.system.files import remove, sealed, write_json
from fluxeq.training.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """What an architecture may spend; equal for all that are compared."""

    trials: int
    repeats: int
    steps: int
    """Optimiser steps that one training can take at most; other batches do not change it."""
    levenberg_marquardt: int
    """Steps of Levenberg-Marquardt that may follow."""

    def __str__(self) -> str:
        total = self.trials * self.repeats * self.steps
        further = f" and {self.levenberg_marquardt} Levenberg-Marquardt steps" if self.levenberg_marquardt else ""
        return (
            f"{self.trials} settings, {self.repeats} trainings each, at most {self.steps} steps{further} a training; "
            f"{total} steps in all"
        )


def budget(recipe: Recipe, n_training: int, n_trials: int, repeats: int) -> Budget:
    """The budget of a search on ``n_training`` configurations."""
    return Budget(n_trials, repeats, recipe.steps(n_training), recipe.levenberg_marquardt)


def save_results(folder: Path, task: str, architecture: str, settings: list[Setting], allowed: Budget) -> None:
    """Write ``trials.json``, the best setting first, and ``best.json``; a loss that diverged is null.

    Raises DivergedError if there is no best setting, since every one has a training that diverged.
    """
    rows, best = [_plain(setting) for setting in settings], folder / "best.json"
    write_json(folder / "trials.json", rows)
    if not math.isfinite(settings[0].value):
        remove(best)  # of an earlier search
        raise DivergedError(
            f"{folder}: the search of {architecture} for {task}: trainings of all {len(rows)} settings diverged; "
            "lower the learning rate"
        )
    named = {"task": task, "architecture": architecture, **rows[0], "budget": asdict(allowed)}
    write_json(best, sealed(named))


def _plain(setting: Setting) -> dict[str, object]:
    """A setting as JSON; what was observed only where anything was."""
    plain = {**asdict(setting), "value": _finite(setting.value), "losses": [*map(_finite, setting.losses)]}
    observed = {name: [*map(_finite, means)] for name, means in plain.pop("observed").items()}
    return plain | {"observed": observed} if observed else plain


def _finite(loss: float) -> float | None:
    return loss if loss < float("inf") else None
