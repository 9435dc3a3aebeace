"""Tables of an archived run: compressed, and refused if damaged."""

import gzip
import shutil
from pathlib import Path

import pandas as pd
import pytest

from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.runs.status import is_archived

KEPT = Path(__file__).parents[2] / "results" / "quick"


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(KEPT, tmp_path / "run")


def test_an_archive(run):
    assert is_archived(run)
    compressed = Results(run).metrics
    (run / "metrics.csv").write_bytes(gzip.decompress((run / "metrics.csv.gz").read_bytes()))
    (run / "metrics.csv.gz").write_bytes(b"")  # the uncompressed one takes precedence
    pd.testing.assert_frame_equal(Results(run).metrics, compressed)


DAMAGES = {
    "cut": lambda content: content[:1000],
    "empty": lambda content: b"",
    "another beginning": lambda content: b"xx" + content[2:],
    "another end": lambda content: content[:-8] + bytes(8),
    "another middle": lambda content: content[:20] + b"\xff" * 50 + content[70:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one(run, damage):
    path = run / "metrics.csv.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"metrics\.csv\.gz: "):
        Results(run).metrics  # noqa: B018
