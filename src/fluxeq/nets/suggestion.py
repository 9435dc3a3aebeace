"""Suggestion of the fields of EQ, ST and FL from a search space.

The space is conditional (a third layer has a kernel only if it exists), which the sampler must know. A trial is
Optuna's, or any object with ``suggest_int`` and ``suggest_categorical``.
"""

from typing import Any, Literal

from fluxeq.nets.network import Block, ends_in_whole_windows


def suggested(trial: Any, space: Any, strides: Literal["never", "once", "maybe"], pooled: bool) -> dict[str, Any]:
    """The fields of a config; ``strides``: how many blocks have a stride above 1; ``pooled``: global pooling."""
    n_layers = trial.suggest_int("layers", *space.layers)
    blocks = [_block(trial, space, i) for i in range(n_layers)]
    if strides == "once":
        i = trial.suggest_int("strided_layer", 0, n_layers - 1) if n_layers > 1 else 0
        blocks[i]["stride"] = choose(trial, "stride", space.strides)
    elif strides == "maybe":
        blocks[0]["stride"] = choose(trial, "stride", (1, *space.strides))
    n_dense = trial.suggest_int("dense_layers", *space.dense_layers)
    fields: dict[str, Any] = {
        "blocks": blocks,
        "activation": choose(trial, "activation", space.activations),
        "dense": [choose(trial, f"width_{i}", space.widths) for i in range(n_dense)],
    }
    if strides == "once" and blocks[-1].get("stride", 1) > 1 and ends_in_whole_windows([Block(**blocks[-1])]):
        fields["pooling"] = "maximum"  # averages would undo the stride
    elif any(block["pooling"] > 1 for block in blocks):
        fields["pooling"] = trial.suggest_categorical("pooling", ["average", "maximum"])
    if pooled and space.global_poolings:
        fields["global_pooling"] = choose(trial, "global_pooling", space.global_poolings)
    return fields


def choose(trial: Any, name: str, choices: tuple[Any, ...]) -> Any:
    """One of the choices; a single one is no parameter of the search."""
    return choices[0] if len(choices) == 1 else trial.suggest_categorical(name, choices)


def _block(trial: Any, space: Any, i: int) -> dict[str, int]:
    return {
        "channels": choose(trial, f"channels_{i}", space.channels),
        "kernel": choose(trial, f"kernel_{i}", space.kernels),
        "pooling": choose(trial, f"pooling_{i}", space.poolings),
    }
