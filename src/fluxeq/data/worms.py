"""Ensembles with open worms: labelled data out of closed ensembles."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fluxeq.data.ensembles import Ensemble, stored_observables
from fluxeq.errors import InputError
from fluxeq.sampling.chains import require_seed
from fluxeq.sampling.open_worms import draw, require_drawable
from fluxeq.system.files import derived_seed


def open_worms(ensemble: Ensemble, numbers: Sequence[int], *, seed: int = 0) -> Ensemble:
    """Open worms in a closed ensemble: every configuration is used once, with one of the ``numbers`` of worms.

    The numbers are dealt in equal shares at random, so that closed and open configurations come from the same chains
    but never from the same configuration. Raises InputError for numbers that cannot be.
    """
    if ensemble.worms is not None:
        raise InputError("the ensemble has open worms already; draw them from the closed ensemble")
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise InputError(f"number = {list(numbers)!s:.80}: different whole numbers from 0 on are needed, as in 0,5")
    if len(ensemble) < len(numbers):
        raise InputError(f"{len(ensemble)} configurations for {len(numbers)} numbers of worms: sample more of them")
    require_seed(seed)
    require_drawable(ensemble.theory, ensemble.shape, max(numbers))
    dealt = np.resize(numbers, len(ensemble))
    np.random.default_rng(derived_seed(seed, "deal")).shuffle(dealt)
    worms = draw(ensemble.theory, ensemble.configurations, dealt, seed)
    return replace(
        ensemble,
        configurations=worms.configurations,
        observables=stored_observables(ensemble.theory, worms.configurations),
        worms=worms,
        worm_seed=seed,
        state=None,
    )
