"""Searches: history, network sizes of all settings and of the winner, and importance of the choices.

A pruned setting is drawn hollow, at the mean of its losses; the line is the best setting so far among the others.
Importances are those of ``fluxeq.searching.importance``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator, NullFormatter

from fluxeq.analysis.tables import WAY_OUT
from fluxeq.errors import InputError
from fluxeq.report.figures.figure import Figure, OfSearches
from fluxeq.report.figures.looks import Style, looks_of_architectures
from fluxeq.study.section import Section
from fluxeq.system.files import read_json

BARS = 0.7
"""Relative width of the bars of a choice."""
MOST = 7
"""Number of choices shown, the most important ones of all architectures."""
COLUMNS = {
    **dict.fromkeys(("task", "architecture", "quantity"), "str"),
    "search": "str",
    "number": "Int64",
    **dict.fromkeys(("value", "best_so_far"), "float64"),
    "n_parameters": "Int64",
    **dict.fromkeys(("pruned", "winner"), "bool"),
    "choice": "str",
    "importance": "float64",
}


def numbers(folders: Sequence[Path], sections: Mapping[str, Section]) -> pd.DataFrame:
    """One row per setting in the order of its search, and one per importance.

    Ordered by section of the study, if there is one, and architecture. Raises InputError if there are no searches, or a
    folder does not hold the results of one.
    """
    if not folders:
        raise InputError(f"searches: none is done; {WAY_OUT}")
    tables = pd.concat(map(_one, folders))
    order = [*sections, *(name for section in sections.values() for name in section.searched)]
    position = {name: i for i, name in reversed([*enumerate(order)])}
    return tables.sort_values(
        ["task", "architecture"],
        key=lambda column: column.map(lambda name: position.get(name, len(position))),
        kind="stable",
        ignore_index=True,
    )


def _one(folder: Path) -> pd.DataFrame:
    """The rows of one search, named by its folder."""
    best, trials = read_json(folder / "best.json"), read_json(folder / "trials.json")
    try:
        rows = [*_settings(trials), *_importances(trials)]
        named = {"task": best["task"], "architecture": best["architecture"], "search": folder.name}
        table = pd.DataFrame([{**named, **row} for row in rows], columns=list(COLUMNS))
        return table.fillna({"pruned": False, "winner": False}).astype(COLUMNS)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{folder}: not the results of a search ({error!r}); {WAY_OUT}") from None


def _settings(trials: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The settings in the order of the search. Raises IndexError if there are none."""
    winner, best = trials[0], np.inf
    for i, trial in enumerate(sorted(trials, key=lambda trial: trial["number"]), 1):
        value = np.inf if trial["value"] is None else trial["value"]
        best = best if trial["pruned"] else min(best, value)
        row = {"quantity": "setting", "number": i, "value": value, "best_so_far": best, "winner": trial is winner}
        yield row | {"n_parameters": trial["n_parameters"], "pruned": trial["pruned"]}


def _importances(trials: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    from fluxeq.searching.importance import importances  # late, as it takes a second

    values = [np.inf if trial["value"] is None else trial["value"] for trial in trials]
    for choice, importance in importances([trial["choices"] for trial in trials], values).items():
        yield {"quantity": "importance", "choice": choice, "importance": importance}


def draw(numbers: pd.DataFrame) -> Picture:
    """Draw one row per task: history, sizes and importances; losses and sizes on logarithmic axes."""
    looks = looks_of_architectures(numbers)
    tasks = list(numbers["task"].unique())
    figure = Picture(figsize=(9.6, 2.7 * len(tasks) + 0.6), layout="constrained")
    for task, row in zip(tasks, figure.subplots(len(tasks), 3, squeeze=False), strict=True):
        rows = numbers[numbers["task"] == task]
        history, sizes, choices = row
        for name, of_architecture in rows[rows["quantity"] == "setting"].groupby("architecture", sort=False):
            for _, of_one in of_architecture.groupby("search"):
                _draw_history(history, of_one, looks[name])
            _draw_sizes(sizes, of_architecture, looks[name])
        history.set(ylabel=f"{task}\nmean validation loss", xlabel="settings tried", yscale="log")
        history.xaxis.set_major_locator(MaxNLocator(integer=True))
        sizes.set(xlabel="parameters (star: winner)", xscale="log", yscale="log")
        sizes.sharey(history)
        sizes.xaxis.set_minor_formatter(NullFormatter())
        _draw_importances(choices, rows[rows["quantity"] == "importance"], looks)
    figure.legend(*figure.axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=len(looks))
    return figure


def _draw_history(axes: Axes, rows: pd.DataFrame, look: Style) -> None:
    drawn = rows.replace(np.inf, np.nan)
    at = drawn["number"].to_numpy(dtype=float)
    axes.step(at, drawn["best_so_far"], where="post", color=look.colour)
    _draw_settings(axes, at, drawn, look)


def _draw_sizes(axes: Axes, rows: pd.DataFrame, look: Style) -> None:
    name, drawn = rows["architecture"].iloc[0], rows.replace(np.inf, np.nan)
    _draw_settings(axes, drawn["n_parameters"].to_numpy(dtype=float), drawn, look, name)
    winner = drawn[drawn["winner"]]
    style: dict[str, Any] = {"color": look.colour, "markersize": 13, "markeredgecolor": "black", "markeredgewidth": 0.6}
    axes.plot(winner["n_parameters"].astype(float), winner["value"], "*", **style, zorder=5)


def _draw_settings(axes: Axes, at: np.ndarray, rows: pd.DataFrame, look: Style, label: str = "") -> None:
    """Draw a marker for each setting, hollow if it was pruned."""
    pruned, value = rows["pruned"].to_numpy(), rows["value"].to_numpy()
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": "none", "alpha": 0.7}
    axes.plot(at[~pruned], value[~pruned], markersize=4, label=label, **style)
    axes.plot(at[pruned], value[pruned], markersize=4, fillstyle="none", **style)


def _draw_importances(axes: Axes, rows: pd.DataFrame, looks: dict[str, Style]) -> None:
    """Draw bars for the choices that are most important for any architecture."""
    axes.set_xlabel("importance")
    if rows.empty:
        axes.set(yticks=[], xticks=[])
        axes.text(0.5, 0.5, "too few settings", ha="center", transform=axes.transAxes)
        return
    n_searches = rows.groupby("architecture")["search"].nunique()
    table = rows.groupby(["choice", "architecture"])["importance"].sum().unstack().fillna(0.0) / n_searches
    shown = table.loc[table.max(axis="columns").sort_values().index[-MOST:]]
    names = [name for name in looks if name in shown]
    width = BARS / len(names)
    for i, name in enumerate(names):
        at = np.arange(len(shown)) + ((len(names) - 1) / 2 - i) * width
        axes.barh(at, shown[name], width, color=looks[name].colour)
    axes.set_yticks(range(len(shown)), [choice.replace("_", " ") for choice in shown.index])


def alt_text(numbers: pd.DataFrame) -> str:
    """The winner of every search, in words."""
    settings = numbers[numbers["quantity"] == "setting"]
    winners = settings[settings["winner"].astype(bool)]
    listed = (f"{row.search} {row.n_parameters:.0f} parameters, {row.value:.2g}" for row in winners.itertuples())
    return f"Parameters and validation loss of the best setting. {'; '.join(listed)}."


FIGURE = Figure(
    "search",
    "Searches with equal budgets for all architectures. Left: all settings, and the best so far. Middle: the numbers "
    "of parameters; a star is the winner. Right: importance of the choices, by PED-ANOVA.",
    "Small and medium-sized networks were preferred, of 10^2 to 10^5 parameters.",
    lambda study: any(section.searched for section in study.tasks.values()),
    OfSearches(numbers),
    draw,
    alt_text,
)
