"""Summary of the tasks of a study: a sentence each, and the median score of every family on the training lattice."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fluxeq.analysis.claims.bound import Bound
from fluxeq.analysis.spread import Interval, instance_scores, interval, median
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.report.chart import Chart, chart, short
from fluxeq.study.family import PROTOCOLS
from fluxeq.tasks.task import TASKS


@dataclass(frozen=True)
class TaskSummary:
    """Summary of a task: text, and a chart for each protocol."""

    title: str
    sentence: str
    quantity: str
    charts: dict[str, Chart | None]


def task_summaries(results: Results) -> list[TaskSummary]:
    """All tasks of a study that have scores."""
    found = []
    for section in results.study.tasks:
        try:
            found.append(_task_summary(results, section))
        except InputError:  # no scores yet
            continue
    return found


def _task_summary(results: Results, section: str) -> TaskSummary:
    settings = results.section(section)
    shape, task = shape_name(settings.shape), TASKS[settings.task]
    rows = results.largest(section, shape=shape, augmentation=False)
    quantity = "accuracy" if rows["accuracy"].notna().any() else "loss"
    numbers = {protocol: _medians(rows[rows["protocol"] == protocol], quantity) for protocol in PROTOCOLS}
    told = [f"{protocol}: {_ranked(bounds, quantity)}" for protocol, bounds in numbers.items() if bounds]
    n, first = rows["n_training"].iloc[0], "; ".join(told)
    return TaskSummary(
        f"{section.capitalize()}: {task.predicts}",
        f"Trained on {n} configurations on {shape}, tested there at all couplings. {first[:1].upper()}{first[1:]}.",
        f"median test {quantity}",
        {protocol: chart(bounds, logarithmic=quantity == "loss") for protocol, bounds in numbers.items()},
    )


def _medians(rows: pd.DataFrame, quantity: str) -> list[Bound]:
    """The median of every family over its instances, with interval."""
    found = []
    for family, scores in instance_scores(rows, quantity).groupby("family", sort=False)[quantity]:
        values = scores.to_numpy()
        found.append(
            Bound(str(family), Interval(*interval(median, values)), len(values), value=float(np.median(values)))
        )
    return found


def _ranked(bounds: list[Bound], quantity: str) -> str:
    """The best family and the next best, in words."""
    best, *others = sorted(bounds, key=lambda bound: bound.value, reverse=quantity == "accuracy")
    told = f"{best.name} has the {'highest accuracy' if quantity == 'accuracy' else 'lowest loss'}, {short(best.value)}"
    if not others:
        return told
    if quantity == "loss" and best.value > 0:
        return f"{told}, {others[0].name} {short(others[0].value / best.value)} times as much"
    return f"{told}, {others[0].name} {short(others[0].value)}"
