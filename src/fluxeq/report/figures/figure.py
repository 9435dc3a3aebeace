"""What a figure is: its words, the numbers that it shows of a run, how they are drawn, and which studies have them."""

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
    """The numbers of a figure that shows the scores of one section and nothing else: of a run, or of tables."""

    section: str
    numbers: Callable[[Scores], pd.DataFrame]

    def __call__(self, run: Path) -> pd.DataFrame:
        """Those of a run."""
        return self.numbers(of_run(run, self.section))

    def of_tables(self, files: Sequence[Path], shape: str | None) -> pd.DataFrame:
        """Those of networks that were trained on a lattice of this shape, if it is known."""
        return self.numbers(of_tables(files, self.section, shape))


@dataclass(frozen=True)
class OfSearches:
    """The numbers of a figure that shows searches and nothing else: it is drawn when these are done."""

    numbers: Callable[[Sequence[Path], Mapping[str, Section]], pd.DataFrame]
    """Of the folders of some searches, in the order of the sections of their study, if there is one. Raises InputError
    if there are none."""
    shows: Callable[[Section], bool] = lambda section: True
    """Whether it shows the searches of a section."""

    def __call__(self, run: Path) -> pd.DataFrame:
        """Those of a run."""
        return self.numbers(
            sorted(path.parent for path in run.glob("searches/*/trials.json")), Results(run).study.tasks
        )


@dataclass(frozen=True)
class Figure:
    """A figure; it is drawn in the style of the package, whatever the settings of the user are."""

    name: str
    """Of its files."""
    caption: str
    paper: str
    """What the paper's text says of it, in our words; empty if it is not in the paper."""
    shows: Callable[[Study], bool]
    """Whether a study has what it shows."""
    numbers: Callable[[Path], pd.DataFrame]
    """Exactly the numbers that it shows, of a run folder. Raises InputError if the run lacks them. If they are
    ``OfScores`` or ``OfSearches``, the figure can be drawn without a run as well."""
    draw: Callable[[pd.DataFrame], Picture]
    seen: Callable[[pd.DataFrame], str] = lambda numbers: ""
    """What is to be seen in it, in words and numbers, for those who cannot see it; empty if the caption says it all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "draw", styled(self.draw))
