"""Model files of the best network of every family, each with a model card.

The best network has the lowest validation loss among the instances for the largest training set; test data are not
used. All numbers of a card come from the header of its model file and from the table of scores.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fluxeq.analysis.spread import sizes
from fluxeq.analysis.tables import Results, couplings_of
from fluxeq.lattice import shape_name
from fluxeq.nets.architecture import takes
from fluxeq.study.family import file_stem
from fluxeq.system.files import atomic_write, write_text
from fluxeq.theory import coupling_text
from fluxeq.training.models import Model, describe, load_model


def write_cards(run: Path, models: dict[str, dict[str, list[str]]], output: Path) -> list[Path]:
    """Write ``SECTION-FAMILY.safetensors`` and its card ``.md`` for each family; returns the model files."""
    results, made = Results(run), []
    for section, families in models.items():
        for family, files in families.items():
            best = min((run / file for file in files), key=lambda path: describe(path).validation_loss)
            made.append(output / f"{section}-{file_stem(family)}.safetensors")
            with atomic_write(made[-1]) as temporary:
                shutil.copyfile(best, temporary)
            scores = results.scores(section, model=best.relative_to(run).as_posix())
            write_text(made[-1].with_suffix(".md"), card(load_model(made[-1]), scores, results.study.name, len(files)))
    return made


def card(model: Model, scores: pd.DataFrame, study: str, n_instances: int) -> str:
    """The card of a model as Markdown, from its description and its rows in the table of scores."""
    about, name = model.description, model.path.stem
    facts = {
        "predicts": model.task.predicts,
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
            f"## Test\n\nOn chains that were not used in training or validation. {_tested(scores)}",
            *_results(scores, shape_name(about.shape)),
            "## Limits\n\nNot tested outside these couplings and lattices. The input must be flux "
            "configurations in the conventions of fluxeq, with channels k_t, k_x, ..., l_t, l_x, ....",
            f"## Use\n\n```sh\nfluxeq predict {model.path.name} --data e.h5 --output p.csv\n```\n",
        ]
    )


def layers(config: Any) -> str:
    """The layers of a network in words: its blocks, if it has any, and all other fields of the config."""
    blocks = [
        f"convolution {block.kernel}x{block.kernel} to {block.channels} channels"
        + (f" with stride {block.stride}" if block.stride > 1 and block.pooling == 1 else "")
        + (f", pooling {block.pooling}x{block.pooling} with stride {block.stride}" if block.pooling > 1 else "")
        for block in getattr(config, "blocks", ())
    ]
    fields = {key: value for key, value in config.model_dump(mode="json").items() if key not in ("blocks", "shape")}
    return "; ".join([*blocks, *(f"{key} {value}" for key, value in fields.items())])


def _lattices(model: Model) -> str:
    shape = model.description.shape
    return "all" if takes(model.config, tuple(extent + 1 for extent in shape)) else f"{shape_name(shape)} only"


def _tested(scores: pd.DataFrame) -> str:
    ranges = [f"{name} = {_values(column)}" for name, column in couplings_of(scores).items()]
    return f"Couplings of the test: {', '.join(ranges)}."


def _values(column: pd.Series) -> str:
    values = sorted(column.unique())
    if len(values) > 3:
        return f"{coupling_text(values[0])} ... {coupling_text(values[-1])} ({len(values)} values)"
    return ", ".join(map(coupling_text, values))


def _results(scores: pd.DataFrame, trained: str) -> list[str]:
    """The table of losses by lattice and, if worms were counted, by their number on the training lattice."""
    parts = [_table(scores, "shape", "lattice")]
    if scores["n_worms"].notna().any():
        parts.append(_table(scores[scores["shape"] == trained], "n_worms", f"open worms, {trained}"))
    return parts


def _table(scores: pd.DataFrame, by: str, title: str) -> str:
    """Means over all configurations, per target; errors of independent test sets add in quadrature."""
    n, key = scores["configurations"], sizes if by == "shape" else None
    weighted = {"loss": scores["loss"] * n, "loss_error": (scores["loss_error"] * n) ** 2}
    rows = scores.assign(**weighted, accuracy=scores["accuracy"] * n).sort_values(by, key=key, kind="stable")
    summed = ["configurations", "loss", "loss_error", "accuracy"]
    targets = {target: of.groupby(by, sort=False)[summed].sum(skipna=False) for target, of in rows.groupby("target")}
    found: dict[str, pd.Series] = {}
    for target, sums in targets.items():
        loss, error = sums["loss"] / sums["configurations"], np.sqrt(sums["loss_error"]) / sums["configurations"]
        name = f"loss of {target}" if len(targets) > 1 else "loss"
        found[name] = loss.map("{:.3g}".format) + error.map(" +- {:.1g}".format)
    accuracy = (sums["accuracy"] / sums["configurations"]).map("{:.4f}".format).replace("nan", "")
    table = pd.DataFrame({"configurations": sums["configurations"].astype(str), **found, "accuracy": accuracy})
    lines = [[title, *table], ["---"] * (1 + len(table.columns)), *([str(of), *row] for of, row in table.iterrows())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
