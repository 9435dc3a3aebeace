"""Index of the data sets of a study."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq.lattice import shape_name
from fluxeq.runs.ensembles import closed_tests, data_of
from fluxeq.study.study import Study
from fluxeq.system.files import write_text


def write_index(run: Path, study: Study, sections: Collection[str] = ()) -> Path:
    """Write ``data.csv`` for some or all sections to the run folder; returns its path.

    One row per ensemble of each section: purpose (training, validation or test), file, number of configurations used
    (the first ones), lattice and couplings.
    """
    rows = [row for name in study.tasks if not sections or name in sections for row in _rows(study, name)]
    write_text(run / "data.csv", pd.DataFrame(rows).to_csv(index=False))
    return run / "data.csv"


def _rows(study: Study, name: str) -> list[dict[str, Any]]:
    section = study.tasks[name]
    found = data_of(study, name, section, closed_tests(study))
    return [
        {
            "section": name,
            "task": section.task,
            "purpose": purpose,
            "file": ensemble.file,
            "configurations": ensemble.n,
            "shape": shape_name(ensemble.point[1]),
            **ensemble.point[0].couplings,
        }
        for purpose, some in (("training", found.training), ("validation", found.validation), ("test", found.tests))
        for ensemble in some
    ]
