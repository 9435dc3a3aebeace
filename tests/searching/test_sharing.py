"""Several workers in one study: which trials count, and what happens to the trial of a killed worker."""

import errno
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import psycopg
import pytest
from no_data import NO_DATA
from optuna.trial import TrialState

import postgresql
from fluxeq.searching import search as module
from fluxeq.searching.search import Setting
from fluxeq.searching.space import Space
from fluxeq.searching.storage import MOST_RETRIES, fail_stale, open_storage, registered_worker
from fluxeq.searching.suggestion import suggest
from fluxeq.system.files import locked
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_TRIALS = 8


COMPLETE, RUNNING, WAITING, FAIL = TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL


def in_turn(fields):
    """Replaces the trainings: values 1.0, 2.0, ... in turn; ``fields`` collects the requested settings."""

    def train(problem, config, chosen, cannot_win):
        fields.append(config)
        return Setting(config, float(len(fields)), (1.0,), 1)

    return train


def searched(storage, n_trials=2):
    return module.search(module.Problem(NO_DATA, "EQ", Space(), Recipe(), n_trials, 1, 1), storage, "s")


def states(study):
    return [trial.state for trial in study.get_trials()]


def test_only_the_first_settings_by_number_count(monkeypatch, tmp_path):
    """A rival starts first and ends last: its setting is within the budget, and the last one of this worker is not."""
    trained, storage = [], open_storage(str(tmp_path / "journal.log"))
    study = optuna.create_study(storage=storage, study_name="s")
    monkeypatch.setattr(module, "_train", in_turn(trained))
    with registered_worker(study, storage):
        rival = study.ask()
        assert [setting.config for setting in searched(storage)] == trained
        for name, value in {"config": {"a": "rival"}, "losses": [0.0], "n_parameters": 1}.items():
            rival.set_user_attr(name, value)
        study.tell(rival, 0.5)
        assert [setting.config for setting in searched(storage)] == [{"a": "rival"}, trained[0]]
    assert len(trained) == 2


def test_a_worker_alone_takes_up_what_a_killed_one_left(monkeypatch, tmp_path):
    """With the setting that had been chosen; while another worker is active, it is left alone."""
    storage, trained = open_storage(str(tmp_path / "journal.log")), []
    study = optuna.create_study(storage=storage, study_name="s")
    killed = study.ask()
    fields = suggest(killed, "EQ", Space())
    killed.set_user_attr("config", fields)
    study.ask()  # no setting chosen yet
    monkeypatch.setattr(module, "_train", in_turn(trained))
    with locked(tmp_path / "journal.log.0.lock"):
        searched(storage, 1)
    assert trained[0] != fields
    assert states(study) == [RUNNING, RUNNING, COMPLETE]
    searched(storage, 3)
    assert trained[1] == fields
    assert states(study) == [FAIL, FAIL, COMPLETE, COMPLETE, COMPLETE]


def test_a_full_disk_is_told_as_such(monkeypatch, tmp_path):
    """With free space the search continues."""
    storage, trained = open_storage(str(tmp_path / "journal.log")), []

    def fill(problem, config, chosen, cannot_win):
        patch.setattr(type(storage._backend), "append_logs", full)
        return in_turn(trained)(problem, config, chosen, cannot_win)

    def full(backend, logs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_train", fill)
        with pytest.raises(OSError, match="No space left"):
            searched(storage)
    monkeypatch.setattr(module, "_train", in_turn(trained))
    assert len(searched(open_storage(str(tmp_path / "journal.log")))) == 2


def test_a_setting_that_kills_its_workers_is_given_up():
    study = optuna.create_study()
    study.ask().set_user_attr("config", {"a": 1})
    for _ in range(MOST_RETRIES):
        fail_stale(study)
        assert study.ask().user_attrs == {"config": {"a": 1}}
    fail_stale(study)
    assert study.ask().user_attrs == {}


def test_a_worker_that_was_taken_for_dead_is_not_counted_twice(monkeypatch, tmp_path):
    """It returns with a value for a trial that has failed: the setting is trained again, by the next worker."""
    trained, storage = [], open_storage(str(tmp_path / "journal.log"))
    train = in_turn(trained)

    def dead_first(*asked):
        if not trained:
            fail_stale(optuna.load_study(study_name="s", storage=storage))
        return train(*asked)

    monkeypatch.setattr(module, "_train", dead_first)
    found = searched(storage)
    assert trained[0] == trained[1] != trained[2]
    assert [setting.value for setting in found] == [2.0, 3.0]


@pytest.fixture(scope="module")
def database():
    with postgresql.server() as url:
        yield url


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # filters apply to the whole process
def test_workers_that_begin_together_on_an_empty_database(database):
    """Without a lock, all but one would find incomplete tables."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    url, together = database.replace("/postgres?", "/empty?"), threading.Barrier(6)

    def begin(_):
        together.wait()
        storage = open_storage(url)
        try:
            return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)._study_id
        finally:
            storage.remove_session()
            storage.engine.dispose()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(begin, range(6))) == {1}


@pytest.fixture(params=["journal", "postgresql"])
def storage(request, tmp_path):
    return str(tmp_path / "journal.log") if request.param == "journal" else request.getfixturevalue("database")


class Crowd:
    """Workers in separate processes, and their common log."""

    def __init__(self, url: str, log: Path) -> None:
        self._url, self._log, self._processes = url, log, []

    def start(self, seed: int, stall: int = 0) -> subprocess.Popen:
        script = Path(__file__).with_name("worker.py")
        arguments = [self._url, self._log, N_TRIALS, seed, stall]
        command = [sys.executable, script, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    def settings(self, event: str) -> list[str]:
        """The settings whose training has started, or ended, each with the seed of the worker."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line.split(" ", 1)[1] for line in lines if line.startswith(event)]

    def wait_until(self, reached) -> None:
        end = time.monotonic() + 120
        while not reached():
            assert time.monotonic() < end
            for process in self._processes:
                assert process.poll() in (None, 0), process.stderr.read()
            time.sleep(0.05)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def crowd(storage, tmp_path):
    found = Crowd(storage, tmp_path / "log")
    yield found
    found.stop()


def stored(url):
    """All trials, from a connection that is closed afterwards."""
    storage = open_storage(url)
    trials = optuna.load_study(storage=storage, study_name="s").trials
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
    return trials


def test_three_workers_one_of_which_is_killed(crowd, storage):
    """Nobody waits for it; its setting is tried again once this is noticed, if the budget is not used up by then."""
    stalled = crowd.start(seed=1, stall=2)
    crowd.wait_until(lambda: len(crowd.settings("begun")) == 2)
    (killed,) = set(crowd.settings("begun")) - set(crowd.settings("ended"))
    others = [crowd.start(seed) for seed in (2, 3)]
    crowd.wait_until(lambda: len(crowd.settings("ended")) >= 3)
    stalled.kill()
    printed = [process.communicate(timeout=60) for process in others]
    assert [process.returncode for process in others] == [0, 0], printed
    again = crowd.start(seed=4)  # alone, with nothing left to do
    assert again.communicate(timeout=60)[0].count("blocks") == N_TRIALS

    trials = stored(storage)
    complete = {str(found.user_attrs["config"]) for found in trials if found.state == COMPLETE}
    assert N_TRIALS <= len(complete) <= N_TRIALS + 1  # including one that was being trained when the budget was used up
    assert complete == {setting.split(" ", 1)[1] for setting in crowd.settings("ended")}
    retried = [found for found in trials if found.system_attrs.get("retry_history")]
    assert all(str(found.user_attrs["config"]) == killed.split(" ", 1)[1] for found in retried)
    assert retried or "postgresql" in storage  # there the budget may be used up before the missing heartbeat is noticed
