"""Definition of a figure: text, numbers from a run, drawing, and the studies that have it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Picture

from fluxeq.analysis.scores import Scores, of_run, of_tables
from fluxeq.analysis.tables import Results
from fluxeq.report.figures.canvas import styled
from fluxeq.study.section import Section
from fluxeq.study.study import Study


@dataclass(frozen=True)
class OfScores:
    """The numbers of a figure that only shows the scores of one section, from a run or from tables."""

    section: str
    numbers: Callable[[Scores], pd.DataFrame]

    def __call__(self, run: Path) -> pd.DataFrame:
        """The numbers from a run."""
        return self.numbers(of_run(run, self.section))

    def of_tables(self, files: Sequence[Path], shape: str | None) -> pd.DataFrame:
        """The numbers from tables; ``shape`` is the lattice of the training, if known."""
        return self.numbers(of_tables(files, self.section, shape))


@dataclass(frozen=True)
class OfSearches:
    """The numbers of a figure that only shows searches; it is drawn as soon as these are done."""

    numbers: Callable[[Sequence[Path], Mapping[str, Section]], pd.DataFrame]
    """Called with search folders and the sections of their study, if there is one, which define the order. Raises
    InputError if there are none."""
    shows: Callable[[Section], bool] = lambda section: True
    """Whether it shows the searches of a section."""

    def __call__(self, run: Path) -> pd.DataFrame:
        """The numbers from a run."""
        return self.numbers(
            sorted(path.parent for path in run.glob("searches/*/trials.json")), Results(run).study.tasks
        )


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
    """The numbers shown, from a run folder. Raises InputError if the run lacks them. A figure with ``OfScores`` or
    ``OfSearches`` can also be drawn without a run."""
    draw: Callable[[pd.DataFrame], Picture]
    alt_text: Callable[[pd.DataFrame], str] = lambda numbers: ""
    """Text alternative with numbers; empty if the caption is sufficient."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "draw", styled(self.draw))
