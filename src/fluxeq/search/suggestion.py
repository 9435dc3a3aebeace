"""How a trial chooses a setting from the space.

An architecture takes what concerns it: EQ has no strides, FL no global pooling. The space is conditional (a third layer
has a kernel only if there is one), which the sampler must know about. The optimiser's settings come last and are the
same for all architectures.
"""

from typing import Any

from optuna import Trial

from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.nets.network import Block, ends_in_whole_windows
from fluxeq.search.space import Space


def suggest(space: Space, architecture: str, trial: Trial) -> dict[str, Any]:
    """The fields of an architecture's config, as a trial chooses them. Raises InputError for an unknown name."""
    kind = ARCHITECTURES[architecture]
    n_layers = trial.suggest_int("layers", *space.layers)
    blocks = [_block(space, trial, i) for i in range(n_layers)]
    if kind.STRIDES == "once":
        i = trial.suggest_int("strided_layer", 0, n_layers - 1) if n_layers > 1 else 0
        blocks[i]["stride"] = _choose(trial, "stride", space.strides)
    elif kind.STRIDES == "maybe":
        blocks[0]["stride"] = _choose(trial, "stride", (1, *space.strides))
    n_dense = trial.suggest_int("dense_layers", *space.dense_layers)
    fields: dict[str, Any] = {
        "blocks": blocks,
        "activation": _choose(trial, "activation", space.activations),
        "dense": [_choose(trial, f"width_{i}", space.widths) for i in range(n_dense)],
    }
    if kind.STRIDES == "once" and blocks[-1].get("stride", 1) > 1 and ends_in_whole_windows([Block(**blocks[-1])]):
        fields["pooling"] = "maximum"  # averages would undo the stride
    elif any(block["pooling"] > 1 for block in blocks):
        fields["pooling"] = trial.suggest_categorical("pooling", ["average", "maximum"])
    if "global_pooling" in kind.model_fields:
        fields["global_pooling"] = _choose(trial, "global_pooling", space.global_poolings)
    return fields


def suggest_recipe(space: Space, trial: Trial) -> dict[str, Any]:
    """The settings of the optimiser that the space leaves open, as a trial chooses them."""
    return {name: _choose(trial, name, choices) for name, choices in _open(space).items() if choices}


def _open(space: Space) -> dict[str, tuple[Any, ...]]:
    """The choices for each field of the recipe that can be searched."""
    return {
        "learning_rate": space.learning_rates,
        "batch_size": space.batch_sizes,
        "schedule": space.schedules,
        "weight_decay": space.weight_decays,
    }


def _block(space: Space, trial: Trial, i: int) -> dict[str, int]:
    return {
        "channels": _choose(trial, f"channels_{i}", space.channels),
        "kernel": _choose(trial, f"kernel_{i}", space.kernels),
        "pooling": _choose(trial, f"pooling_{i}", space.poolings),
    }


def _choose(trial: Trial, name: str, choices: tuple[Any, ...]) -> Any:
    """One of the choices; nothing to choose is no parameter of the search."""
    return choices[0] if len(choices) == 1 else trial.suggest_categorical(name, choices)
