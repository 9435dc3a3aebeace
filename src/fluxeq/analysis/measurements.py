"""Measurements beside the losses: how well networks keep translations, and what they react to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas

from fluxeq import observables
from fluxeq.analysis.architectures import pools_feature_maps
from fluxeq.analysis.responses import responses
from fluxeq.analysis.tables import MEASUREMENTS
from fluxeq.data.ensembles import Ensemble, open_ensemble
from fluxeq.nets.network import total_stride
from fluxeq.testing import translation_error
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import evaluate
from fluxeq.training.models import Model, load_model

Files = dict[str, dict[str, list[Path]]]
"""Model files by section and family."""
Row = dict[str, Any]


def tables(models: Files, tests: dict[str, Path], closed: dict[str, Path]) -> Iterator[tuple[str, pandas.DataFrame]]:
    """All measurements, by the name of their file.

    ``tests`` names a test set of each section, ``closed`` the ensemble in which its worms were opened, if it has any:
    only networks of these sections are measured for what they react to, and only on lattices of two dimensions.
    """
    found: dict[str, list[Any]] = {name: [] for name in MEASUREMENTS}
    for section, families in models.items():
        ensemble = open_ensemble(tests[section])
        loaded = {family: [load_model(path) for path in paths] for family, paths in families.items()}
        named = [(_named(section, family, model), model) for family, models in loaded.items() for model in models]
        first = [(_named(section, family, models[0]), models[0]) for family, models in loaded.items()]
        found["translation"] += [_translation_error(*each, ensemble.configurations[0]) for each in first]
        opened = np.flatnonzero(ensemble.n_worms == 1)
        if section not in closed or len(ensemble.shape) != 2 or not len(opened):
            continue
        example = ensemble.configurations[opened[0]]
        before = open_ensemble(closed[section]).configurations[opened[0]]
        pooling = [each for each in named if pools_feature_maps(each[1].description.architecture)]
        scored = [_scored(*each, ensemble) for each in pooling if hasattr(each[1].network, "feature_maps")]
        found["responses"] += [row for row, _ in scored]
        found["example"].append(_example(example, before).assign(task=section))
        found["feature_maps"] += _feature_maps(scored, example)
    for name in ("translation", "responses"):
        yield name, pandas.DataFrame(found[name], columns=list(MEASUREMENTS[name]))
    for name in ("example", "feature_maps"):
        empty = [pandas.DataFrame(columns=list(MEASUREMENTS[name]))]
        yield name, pandas.concat(found[name] or empty, ignore_index=True)[list(MEASUREMENTS[name])]


def _named(section: str, family: str, model: Model) -> Row:
    about = model.description
    return {"task": section, "family": family, "architecture": about.architecture, "instance": about.instance}


def _translation_error(named: Row, model: Model, configuration: np.ndarray) -> Row:
    """A network over all translations, and over those by multiples of its stride, if it has one."""
    stride, net = model.config.stride, model.network
    return {
        **named,
        "augmentation": model.description.augmentation,
        "n_parameters": model.description.n_parameters,
        "translation_error": translation_error(net, configuration),
        "stride": stride,
        "residual_error": translation_error(net, configuration, stride) if stride else None,
    }


def _scored(named: Row, model: Model, ensemble: Ensemble) -> tuple[Row, Model]:
    """What a network reacts to in configurations with one open worm, and how well it has learned its task."""
    found = responses(model, ensemble.configurations[ensemble.n_worms == 1])
    accuracy = evaluate(model, dataset(model.task, ensemble)).accuracy
    row = {**named, "accuracy": accuracy, "positive": found.positive, "negative": found.negative}
    return {**row, "selectivity": found.selectivity, "by_channel": found.by_channel}, model


def _example(opened: np.ndarray, closed: np.ndarray) -> pandas.DataFrame:
    """One configuration with an open worm, and the flux by which it differs from the closed one it was drawn from."""
    worm = opened.astype(np.int64) - closed
    t, x = np.indices(opened.shape[1:])
    columns = {"t": t, "x": x} | dict(zip(("k_t", "k_x", "l_t", "l_x"), opened, strict=True))
    columns |= {"divergence": observables.divergence(opened[None])[0], "worm_t": worm[0], "worm_x": worm[1]}
    return pandas.DataFrame({name: values.ravel() for name, values in columns.items()})


def _feature_maps(scored: list[tuple[Row, Model]], example: np.ndarray) -> Iterator[pandas.DataFrame]:
    """Every channel of the best network of each family, the one that responds most marked."""
    for family in dict.fromkeys(row["family"] for row, _ in scored):
        candidates = [pair for pair in scored if pair[0]["family"] == family]
        row, model = max(candidates, key=lambda pair: (pair[0]["accuracy"] or 0, -pair[1].description.validation_loss))
        maps = np.asarray(model.network.feature_maps(jnp.asarray(example)))
        channel, *site = np.indices(maps.shape)
        t, x = np.array(site) * total_stride(model.config.blocks)  # type: ignore[attr-defined]
        columns = {"channel": channel, "t": t, "x": x, "value": maps}
        table = pandas.DataFrame({name: values.ravel() for name, values in columns.items()})
        selected = table["channel"] == int(np.argmax(row["by_channel"]))
        yield table.assign(**{name: row[name] for name in ("task", "family", "architecture")}, selected=selected)
