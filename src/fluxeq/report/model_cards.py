"""The best network of every task and architecture as a small file, with a card that says what it is and what it is not.

The best is the one with the lowest validation loss among the instances of the largest training set: test data choose
nothing. All numbers of a card come from the header of its model and from the table of scores.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluxeq.analysis import tables
from fluxeq.analysis.spread import sizes
from fluxeq.nets.architecture import takes
from fluxeq.nets.network import total_stride
from fluxeq.system.files import whole, write_text
from fluxeq.theory import written
from fluxeq.training.models import Model, describe, load_model

PREDICTS = {
    "regression": "n and phi2 of a configuration: particle density and mean squared modulus of the field",
    "detection": "the probability that a configuration has an open worm",
    "counting": "the number of open worms in a configuration",
}


def write_winners(run: Path, models: dict[str, dict[str, list[str]]], output: Path) -> list[Path]:
    """Write ``TASK-ARCHITECTURE.safetensors`` and its card ``.md``, by task and architecture; the model files."""
    metrics, study, made = tables.metrics(run), tables.study_name(run), []
    for task, by_architecture in models.items():
        for architecture, files in by_architecture.items():
            best = min((run / file for file in files), key=lambda path: describe(path).validation_loss)
            made.append(output / f"{task}-{architecture}.safetensors")
            with whole(made[-1]) as temporary:
                shutil.copyfile(best, temporary)
            scores = metrics[metrics["model"] == best.relative_to(run).as_posix()]
            write_text(made[-1].with_suffix(".md"), card(load_model(made[-1]), scores, study, len(files)))
    return made


def card(model: Model, scores: pd.DataFrame, study: str, n_instances: int) -> str:
    """The card of a model, from its description and its rows in the table of scores, as Markdown."""
    about, name = model.description, model.path.stem
    facts = {
        "predicts": PREDICTS[about.task],
        "architecture": f"{about.architecture}, {about.n_parameters} parameters, {layers(model.config)}",
        "training data": f"{about.n_training} configurations: {'; '.join(about.training_origins)}",
        "validation data": f"{about.n_validation} configurations, other chains: {'; '.join(about.validation_origins)}",
        "augmentation": "random translations" if about.augmentation else "none",
        "recipe": ", ".join(f"{key} {value}" for key, value in about.recipe.model_dump(mode="json").items()),
        "chosen": f"lowest validation loss of {n_instances} instances in one run of the study `{study}`",
        "validation loss": f"{about.validation_loss:.3g}, at epoch {about.best_epoch} of {about.epochs}",
        "lattices": _lattices(model),
        "made by": f"fluxeq {about.version}",
    }
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return "\n\n".join(
        [
            f"# {name}",
            f"| | |\n|---|---|\n{rows}",
            f"## Test\n\nOn chains that neither training nor validation has seen. {_tested(scores)}",
            *_results(about.task, scores, _lattice(about.shape)),
            "## Limits\n\nNothing is known outside the couplings and lattices of the test. The input must be flux "
            "configurations in the conventions of fluxeq, with channels k_t, k_x, l_t, l_x.",
            f"## Use\n\n```sh\nfluxeq predict {model.path.name} --data e.h5 --output p.csv\n```\n",
        ]
    )


def layers(config: Any) -> str:
    """The layers of a network in words."""
    blocks = [
        f"convolution {block.kernel}x{block.kernel} to {block.channels} channels"
        + (f" with stride {block.stride}" if block.stride > 1 and block.pooling == 1 else "")
        + (f", pooling {block.pooling}x{block.pooling} with stride {block.stride}" if block.pooling > 1 else "")
        for block in config.blocks
    ]
    fields = {key: value for key, value in config.model_dump(mode="json").items() if key not in ("blocks", "shape")}
    return "; ".join([*blocks, *(f"{key} {value}" for key, value in fields.items())])


def _lattices(model: Model) -> str:
    about, stride = model.description, total_stride(getattr(model.config, "blocks", ()))
    doubled = tuple(2 * extent for extent in about.shape)
    if not takes(model.config, doubled):
        return f"{_lattice(about.shape)} only"
    return "all" if stride == 1 else f"those whose extents are divisible by {stride}"


def _tested(scores: pd.DataFrame) -> str:
    ranges = [f"{name} = {_values(scores[name])}" for name in ("eta", "lam", "mu")]
    return f"Couplings of the test: {', '.join(ranges)}."


def _values(column: pd.Series) -> str:
    values = sorted(column.unique())
    if len(values) > 3:
        return f"{written(values[0])} ... {written(values[-1])} ({len(values)} values)"
    return ", ".join(map(written, values))


def _results(task: str, scores: pd.DataFrame, trained: str) -> list[str]:
    """The table of losses by lattice and, for tasks on worms, by number of worms on the lattice of the training."""
    parts = [_table(scores, "shape", "lattice")]
    if task != "regression":
        parts.append(_table(scores[scores["shape"] == trained], "n_worms", f"open worms, {trained}"))
    return parts


def _table(scores: pd.DataFrame, by: str, title: str) -> str:
    """Means over all configurations; errors of independent test sets add up in squares."""
    lines = [f"| {title} | configurations | loss | accuracy |", "|---|---|---|---|"]
    ordered = scores.sort_values(by, key=sizes if by == "shape" else None, kind="stable")
    for value, rows in ordered.groupby(by, sort=False):
        n = rows["configurations"].to_numpy()
        loss = float((rows["loss"] * n).sum() / n.sum())
        error = float(np.sqrt(((rows["loss_error"] * n) ** 2).sum()) / n.sum())
        accuracy = float((rows["accuracy"] * n).sum(skipna=False) / n.sum())
        shown = "" if np.isnan(accuracy) else f"{accuracy:.4f}"
        lines.append(f"| {value} | {n.sum()} | {loss:.3g} +- {error:.1g} | {shown} |")
    return "\n".join(lines)


def _lattice(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
