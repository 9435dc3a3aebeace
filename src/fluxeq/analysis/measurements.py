"""Measurements beside the losses: how well networks keep translations, and what they react to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas

from fluxeq import observables
from fluxeq.analysis.responses import responses
from fluxeq.data.ensembles import Ensemble, open_ensemble
from fluxeq.nets.network import Parts, total_stride
from fluxeq.testing import translation_error
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import evaluate
from fluxeq.training.models import Model, load_model

Files = dict[str, dict[str, list[Path]]]
"""Model files by task and architecture."""
MAPS = ["architecture", "channel", "t", "x", "value", "selected"]
"""Columns of the table of feature maps, which has no rows if all networks are flattened."""


def tables(models: Files, data: dict[str, Path]) -> Iterator[tuple[str, pandas.DataFrame]]:
    """All measurements, by the name of their file. ``data`` names a test set of each task, and the closed partner."""
    detection, closed = open_ensemble(data["detection"]), open_ensemble(data["closed"])
    yield "translation", pandas.DataFrame(_translation_errors(models, data))
    scored = list(_detectors(models["detection"], detection))
    columns = ["architecture", "instance", "accuracy", "positive", "negative", "selectivity"]
    yield "responses", pandas.DataFrame([row for row, _ in scored], columns=columns)
    index = int(np.argmax(detection.n_worms == 1))
    yield "example", _example(detection.configurations[index], closed.configurations[index])
    maps = [pandas.DataFrame(columns=MAPS), *_feature_maps(scored, detection.configurations[index])]
    yield "feature_maps", pandas.concat(maps[1:] or maps, ignore_index=True)


def _translation_errors(models: Files, data: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Every trained network over all translations, and over those by multiples of its strides."""
    for task, by_architecture in models.items():
        configuration = open_ensemble(data[task]).configurations[0]
        for model in (load_model(path) for paths in by_architecture.values() for path in paths):
            stride = model.config.stride
            net = eqx.filter_jit(model.network)
            yield {
                "architecture": model.description.architecture,
                "augmentation": model.description.augmentation,
                "task": task,
                "instance": model.description.instance,
                "n_parameters": model.description.n_parameters,
                "translation_error": translation_error(net, configuration),
                "stride": stride,
                "residual_error": translation_error(net, configuration, stride) if stride else None,
            }


def _detectors(models: dict[str, list[Path]], ensemble: Ensemble) -> Iterator[tuple[dict[str, Any], Model]]:
    """Scores of all detectors that pool globally, on configurations with one open worm."""
    opened = ensemble.configurations[ensemble.n_worms == 1]
    for architecture, paths in models.items():
        for model in map(load_model, paths):
            if "shape" in model.description.config:  # flattened: no feature map has a meaning of its own
                continue
            found = responses(cast(Parts, model.config), model.network, opened)
            accuracy = evaluate(model, dataset(model.task, ensemble)).accuracy
            row = {"architecture": architecture, "instance": model.description.instance, "accuracy": accuracy}
            row |= {"positive": found.positive, "negative": found.negative, "selectivity": found.selectivity}
            yield {**row, "by_channel": found.by_channel}, model


def _example(opened: np.ndarray, closed: np.ndarray) -> pandas.DataFrame:
    """One configuration with an open worm, and the flux by which it differs from the closed one it was drawn from."""
    worm = opened.astype(np.int64) - closed
    t, x = np.indices(opened.shape[1:])
    columns = {"t": t, "x": x} | dict(zip(("k_t", "k_x", "l_t", "l_x"), opened, strict=True))
    columns |= {"divergence": observables.divergence(opened[None])[0], "worm_t": worm[0], "worm_x": worm[1]}
    return pandas.DataFrame({name: values.ravel() for name, values in columns.items()})


def _feature_maps(scored: list[tuple[dict[str, Any], Model]], example: np.ndarray) -> Iterator[pandas.DataFrame]:
    """Every channel of the best detector of each architecture, the one that responds most marked."""
    for architecture in dict.fromkeys(row["architecture"] for row, _ in scored):
        candidates = [pair for pair in scored if pair[0]["architecture"] == architecture]
        row, model = max(candidates, key=lambda pair: (pair[0]["accuracy"], -pair[1].description.validation_loss))
        maps = np.asarray(model.network.feature_maps(jnp.asarray(example)))
        channel, *site = np.indices(maps.shape)
        t, x = np.array(site) * total_stride(model.config.blocks)  # type: ignore[attr-defined]
        columns = {"channel": channel, "t": t, "x": x, "value": maps}
        table = pandas.DataFrame({name: values.ravel() for name, values in columns.items()})
        selected = table["channel"] == int(np.argmax(row["by_channel"]))
        yield table.assign(architecture=architecture, selected=selected)[MAPS]
