"""The learning curve beside a model, as ``training.instances`` writes it."""

from pathlib import Path

import pandas as pd

from fluxeq.errors import InputError

COLUMNS = ["epoch", "training_loss", "validation_loss"]


def learning_curve(path: Path) -> pd.DataFrame:
    """The losses of every epoch, Levenberg-Marquardt steps included, beside a model file or in a file of their own.

    Raises InputError if there are none.
    """
    path = path.with_suffix(".csv") if path.name else path  # a root has no name
    if not path.is_file():
        raise InputError(f"{path}: no such learning curve; train a model with an --output, which leaves one beside it")
    try:
        return pd.read_csv(path)[COLUMNS].astype(float)
    except (ValueError, KeyError):
        raise InputError(f"{path}: not a learning curve, with columns {', '.join(COLUMNS)}") from None
