"""Instances in processes side by side: as one process trains them, and stopped with nothing left behind."""

from contextlib import contextmanager

import pytest
from fluxeq.runs.side_by_side import train_side_by_side

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.nets.architecture import configured
from fluxeq.runs import side_by_side as module
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    ensembles = {"training": small_ensembles.closed(1), "validation": small_ensembles.closed(2, n=12)}
    found = small_ensembles.save(tmp_path_factory.mktemp("inputs"), ensembles)
    return "regression", (found["training"],), (found["validation"],)


def train(files, output, n_workers, seen, **changes):
    """Three instances of a tiny network."""
    config = configured("EQ", {"blocks": [{"channels": 2, "kernel": 2}]}, small_ensembles.SHAPE)
    recipe = Recipe(**{"epochs": 50, "patience": 2, "learning_rate": 0.3, "levenberg_marquardt": 1} | changes)
    return train_side_by_side(files, "EQ", config, recipe, False, range(3), 1, output, n_workers, seen.append)


def test_whichever_process_trains_them(files, tmp_path):
    seen = []
    paths = train(files, tmp_path / "two", 2, seen)
    assert [path.name for path in paths] == ["EQ-000.safetensors", "EQ-001.safetensors", "EQ-002.safetensors"]
    assert seen == sorted(seen)
    assert seen[-1] == 3 * (50 + 1)  # also of those that have stopped early
    alone = train(files, tmp_path / "one", 1, [])
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in alone]
    before = [path.stat().st_mtime_ns for path in paths]
    assert train(files, tmp_path / "two", 2, []) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before

    half = tmp_path / "two" / ".EQ-001.0a1b2c3d.unfinished.safetensors"
    half.touch()  # as from a process that was killed while it wrote
    with pytest.raises(InputError, match=r"EQ-00[012]\.safetensors: trained with recipe = .*; choose another output"):
        train(files, tmp_path / "two", 2, [], epochs=4)
    assert not half.exists()


def test_no_more_are_given_away_than_begin_at_once(files, tmp_path, monkeypatch):
    """Whoever stops this process then hits it while it waits, not in the midst of thousands of submissions."""
    under_way, processes = [], module.processes

    @contextmanager
    def counted(*arguments):
        with processes(*arguments) as pool:
            submit, given = pool.submit, []

            def counting(*work):
                given.append(submit(*work))
                under_way.append(sum(not future.done() for future in given))
                return given[-1]

            pool.submit = counting
            yield pool

    monkeypatch.setattr(module, "processes", counted)
    assert len(train(files, tmp_path, 1, [])) == 3
    assert under_way == [1, 1, 1]
