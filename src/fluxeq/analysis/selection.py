"""Selection by validation loss: what a search selected, and what a second validation set would have selected.

A search selects the setting with the lowest loss on a validation set at the training couplings. If the study requests
it (``search.elsewhere``), all trainings are also scored on a second validation set at other couplings and on all test
sets on their lattice. The loss of a setting is the mean over its repeats, infinite if one of them diverged. A pruned
setting never wins the search; the second validation set, which had no part in the pruning, selects among all settings
by the repeats each of them has.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluxeq.analysis.tables import WAY_OUT
from fluxeq.errors import InputError
from fluxeq.study.section import Section
from fluxeq.system.files import read_json
from fluxeq.theory import coupling_text

COLUMNS = {
    **dict.fromkeys(("task", "architecture", "search", "trained_at", "elsewhere_at"), "str"),
    **{"number": "int64", "n_parameters": "int64", "dense": "bool", "pruned": "bool"},
    **dict.fromkeys(("validation", "elsewhere", "test"), "float64"),
    **dict.fromkeys(("chosen", "chosen_elsewhere"), "bool"),
}
"""Columns of the table of settings. ``trained_at`` and ``elsewhere_at`` are the couplings of the two validation sets,
``dense`` tells whether there is a hidden dense layer, the last two columns what each validation set selects."""


def is_observed(section: Section) -> bool:
    """Whether the searches of a section have a second validation set."""
    return bool(section.searched) and section.search is not None and section.search.elsewhere is not None


def settings(folders: Iterable[Path], sections: Mapping[str, Section]) -> pd.DataFrame:
    """One row per setting of the searches in these folders that have a second validation set.

    Rows are ordered by section, architecture, search and setting. Raises InputError if there are none, or a folder does
    not hold the results of such a search.
    """
    observed = {name: section.searched for name, section in sections.items() if is_observed(section)}
    found: dict[tuple[str, str], list[pd.DataFrame]]
    found = {(name, architecture): [] for name, searched in observed.items() for architecture in searched}
    for folder in folders:
        best = read_json(folder / "best.json")
        try:
            which = best["task"], best["architecture"]
            if which in found:
                found[which].append(_one(folder, *which, sections[which[0]]))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{folder}: not the results of a search ({error!r}); {WAY_OUT}") from None
    tables = [table for several in found.values() for table in several]
    if not tables:
        raise InputError(f"searches: none with a second validation set is done; {WAY_OUT}")
    return pd.concat(tables, ignore_index=True)


def _one(folder: Path, task: str, architecture: str, section: Section) -> pd.DataFrame:
    """The rows of one search, named by its folder. Raises ValueError if there are none."""
    trials = read_json(folder / "trials.json")
    common = {"task": task, "architecture": architecture, "search": folder.name, **_places(section)}
    rows = [{**common, **row} for row in _settings(trials)]
    best = min(range(len(rows)), key=lambda i: rows[i]["elsewhere"])
    rows = [{**row, "chosen_elsewhere": i == best} for i, row in enumerate(rows)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _settings(trials: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The settings in the order of the search, numbered from 1; the first trial in the list is the winner."""
    for i, trial in enumerate(sorted(trials, key=lambda trial: trial["number"]), 1):
        losses = {"validation": trial["losses"], **trial["observed"]}
        yield {
            **{"number": i, "n_parameters": trial["n_parameters"], "pruned": trial["pruned"]},
            **{"dense": bool(trial["config"].get("dense")), "chosen": trial is trials[0]},
            **{name: _mean(losses[name]) for name in ("validation", "elsewhere", "test")},
        }


def _mean(losses: list[float | None]) -> float:
    """The mean over the repeats; null stands for a loss that is infinite or NaN."""
    return float(np.mean([np.inf if loss is None else loss for loss in losses]))


def _places(section: Section) -> dict[str, str]:
    """The couplings in which the two validation sets differ."""
    assert section.search is not None
    assert section.elsewhere is not None
    names = section.search.elsewhere or {}
    trained = [theory.couplings for theory in section.training_points]
    return {"trained_at": _place(names, *trained), "elsewhere_at": _place(names, section.elsewhere.couplings)}


def _place(names: Iterable[str], *points: Mapping[str, float]) -> str:
    """In words, as mu = 1.05, or lam = 1, mu = 0.91 and 1.05."""
    values = {name: dict.fromkeys(coupling_text(point[name]) for point in points) for name in names}
    return ", ".join(f"{name} = {' and '.join(several)}" for name, several in values.items())


def gains(settings: pd.DataFrame) -> pd.DataFrame:
    """The gain by the second validation set: one row per task and architecture of a table of settings.

    ``chosen`` and ``chosen_elsewhere`` are the test losses of the settings selected by each validation set, medians
    over searches; ``median``, ``lowest`` and ``highest`` refer to the ratio of the two in each search.
    """
    rows = []
    for (task, architecture), of_one in settings.groupby(["task", "architecture"], sort=False):
        first, second = (_test_losses(of_one, by) for by in ("chosen", "chosen_elsewhere"))
        ratios = (first / second).fillna(1.0)  # both infinite, or both 0
        rows.append(
            {
                **{"task": task, "architecture": architecture, "searches": len(ratios)},
                **{"chosen": first.median(), "chosen_elsewhere": second.median()},
                **{"median": ratios.median(), "lowest": ratios.min(), "highest": ratios.max()},
            }
        )
    return pd.DataFrame(rows)


def _test_losses(settings: pd.DataFrame, by: str) -> pd.Series:
    """The test loss of the setting selected by one of the validation sets, by search."""
    return settings[settings[by]].set_index("search")["test"]
