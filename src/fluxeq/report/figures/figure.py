"""Definition of a figure: text, numbers from a run, drawing, and the studies that have it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Picture

from fluxeq.report.figures.canvas import styled
from fluxeq.study.study import Study


@dataclass(frozen=True)
class Figure:
    """A figure, drawn in the style of the package independent of user settings."""

    name: str
    """Stem of its file names."""
    caption: str
    paper: str
    """The paper's statement on it, paraphrased; empty if it is not in the paper."""
    shows: Callable[[Study], bool]
    """Whether a study has the data for it."""
    numbers: Callable[[Path], pd.DataFrame]
    """The numbers shown, from a run folder. Raises InputError if the run lacks them."""
    draw: Callable[[pd.DataFrame], Picture]
    seen: Callable[[pd.DataFrame], str] = lambda numbers: ""
    """Text alternative with numbers; empty if the caption is sufficient."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "draw", styled(self.draw))
