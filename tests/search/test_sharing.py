"""Several workers in one study: who has a place, and that a killed worker costs nothing but time."""

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
from optuna.trial import TrialState, create_trial

import postgresql
from fluxeq.search import claims, workers
from fluxeq.search import search as module
from fluxeq.search.search import Setting
from fluxeq.search.space import Space
from fluxeq.search.storage import open_storage
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_TRIALS = 8


def trial(number, state, kernel=None, **further):
    """A trial that has chosen a kernel, or has not chosen yet."""
    value = 1.0 if state == TrialState.COMPLETE else None
    chosen = {} if kernel is None else {"config": {"kernel": kernel}}
    found = create_trial(state=state, value=value, user_attrs=chosen | further)
    found.number = number
    return found


COMPLETE, RUNNING, WAITING, FAIL = TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL
ASIDE = {claims.SET_ASIDE: True}


def key(kernel):
    return claims.key_of({"kernel": kernel}, {})


def test_places_go_by_the_first_trial_of_a_setting():
    trials = [
        trial(0, COMPLETE, 1),
        trial(1, RUNNING, 2),
        trial(2, RUNNING),
        trial(3, COMPLETE, 1),
        trial(4, RUNNING, 3),
    ]
    assert claims.places(trials[::-1]) == [key(1), key(2), "2", key(3)]
    assert claims.has_place(trials, key(2), 2)
    assert not claims.has_place(trials, key(3), 3)
    assert claims.has_place(trials, key(3), 4)


def test_a_lost_setting_keeps_its_place_until_it_is_taken_up():
    """Or a worker that asks in between would train one setting too many."""
    trials = [trial(0, FAIL, 1), trial(1, RUNNING, 2)]
    assert claims.places(trials) == [key(1), key(2)]
    assert list(claims.lost_settings(trials)) == [key(1)]
    again = [*trials, trial(2, WAITING, 1)]
    assert claims.lost_settings(again) == {}
    assert sorted(claims.places(again)) == [key(1), key(2)]


def test_what_was_set_aside_or_never_chose_is_not_lost():
    trials = [trial(0, FAIL, 1, **ASIDE), trial(1, FAIL), trial(2, RUNNING, 1, **ASIDE)]
    assert claims.lost_settings(trials) == {}
    assert claims.places(trials) == []
    assert claims.n_set_aside(trials) == 2


def test_a_setting_that_kills_its_workers_is_given_up():
    trials = [trial(number, FAIL, 1) for number in range(claims.MOST_LOSSES)]
    assert claims.lost_settings(trials) == {}
    assert len(claims.lost_settings(trials[1:])) == 1


def test_a_setting_is_free_unless_another_trial_has_chosen_it():
    """Whichever came first: the later one may have asked before the earlier one had chosen."""
    trials = [trial(0, RUNNING, 1), trial(1, RUNNING), trial(2, RUNNING, 2), trial(3, FAIL, 1), trial(4, COMPLETE, 3)]
    assert claims.is_free(trials, 0, key(1))
    assert not claims.is_free(trials, 1, key(1))
    assert not claims.is_free(trials, 1, key(2))
    assert claims.is_free(trials, 1, key(3))
    assert not claims.is_free([*trials, trial(5, WAITING, 4)], 1, key(4))


def test_a_trial_that_nobody_signs_is_given_up(monkeypatch, tmp_path):
    """In time while others work, for it may be theirs; at once when nobody else does, whatever a killed one left."""
    study = optuna.create_study(storage=open_storage(str(tmp_path / "journal.log")))
    here, there = (workers.OneMachine(tmp_path / "journal.log") for _ in range(2))

    def states():
        return [found.state for found in study.trials]

    study.ask()
    with here.working(), there.working():
        here.bury(study)
        assert states() == [RUNNING]
        with monkeypatch.context() as patch:
            patch.setattr(workers, "UNSIGNED", 0.0)
            here.bury(study)
        assert states() == [FAIL]
        study.ask()
        here.bury(study)
        assert states() == [FAIL, RUNNING]
    (tmp_path / "journal.log.worker-killed").touch()
    with here.working():
        here.bury(study)
    assert states() == [FAIL, FAIL]


def test_the_lock_tells_a_living_worker_from_one_that_left(tmp_path):
    study = optuna.create_study(storage=open_storage(str(tmp_path / "journal.log")))
    here, there = (workers.OneMachine(tmp_path / "journal.log") for _ in range(2))
    with here.working(), there.working(), there.training(study.ask()):
        here.bury(study)
        assert study.trials[0].state == RUNNING
    here.bury(study)
    assert study.trials[0].state == FAIL
    assert [path.name for path in tmp_path.iterdir()] == ["journal.log"]


def test_a_race_for_the_last_place(monkeypatch, tmp_path):
    """A rival asks first: this worker sets its trial aside and waits for the rival's value."""
    trained, rivals, storage = [], [], open_storage(str(tmp_path / "journal.log"))
    ask, rival = module._ask, workers.OneMachine(tmp_path / "journal.log")

    def ask_second(study):
        if trained and not rivals:
            rivals.append(study.ask())
            rivals[0].set_user_attr(workers.SIGNED, rival.name)
            rivals[0].set_user_attr("config", {"a": "rival"})
        return ask(study)

    def rival_ends(seconds):
        assert storage.get_all_trials(0)[-1].user_attrs[claims.SET_ASIDE]
        study = optuna.load_study(study_name="s", storage=storage)
        module._tell(study, rivals[0], Setting({"a": "rival"}, 0.0, (0.0,), 1))

    def train(problem, fields, chosen, is_lost):
        trained.append(fields)
        return Setting(fields, 1.0, (1.0,), 1)

    for name, changed in (("_ask", ask_second), ("_train", train)):
        monkeypatch.setattr(module, name, changed)
    monkeypatch.setattr(module.time, "sleep", rival_ends)
    with rival.working():
        found = module.search(NO_DATA, "EQ", Space(), Recipe(), 2, 1, 1, storage, "s")
    assert [setting.config for setting in found] == [{"a": "rival"}, trained[0]]
    assert len(trained) == 1


def test_a_worker_that_was_taken_for_dead_is_not_counted_twice(monkeypatch, tmp_path):
    """It comes back with a value for a trial that has failed: the setting is trained again, by whoever is next."""
    trained, storage = [], open_storage(str(tmp_path / "journal.log"))

    def train(problem, fields, chosen, is_lost):
        trained.append(fields)
        if len(trained) == 1:
            study = optuna.load_study(study_name="s", storage=storage)
            study.tell(study.trials[-1].number, state=FAIL)
        return Setting(fields, float(len(trained)), (1.0,), 1)

    monkeypatch.setattr(module, "_train", train)
    found = module.search(NO_DATA, "EQ", Space(), Recipe(), 2, 1, 1, storage, "s")
    assert trained[0] == trained[1] != trained[2]
    assert [setting.value for setting in found] == [2.0, 3.0]


@pytest.fixture(scope="module")
def database():
    with postgresql.server() as url:
        yield url


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # filters are those of the process
def test_workers_that_begin_together_on_an_empty_database(database):
    """Without a lock, all but one would find the tables half made."""
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
    """Workers in processes of their own, and what they wrote to their common log."""

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
        """The settings whose training has begun, or ended, each with the seed of the worker."""
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
    """All trials, from a connection that is closed again."""
    storage = open_storage(url)
    trials = optuna.load_study(storage=storage, study_name="s").trials
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.remove_session()
        storage.engine.dispose()
    return trials


def test_three_workers_one_of_which_is_killed(crowd, storage):
    """Its trial is taken up again, none is lost or counted twice, and the budget is exact at every moment."""
    stalled = crowd.start(seed=1, stall=2)
    crowd.wait_until(lambda: len(crowd.settings("begun")) == 2)
    others = [crowd.start(seed) for seed in (2, 3)]
    crowd.wait_until(lambda: len(crowd.settings("ended")) == N_TRIALS - 1)
    time.sleep(5 if "postgresql" in storage else 1)  # longer than a heart may be silent: it still beats
    assert len(crowd.settings("begun")) == N_TRIALS, "a setting too many, though one was still being trained"
    assert [process.poll() for process in (stalled, *others)] == [None] * 3
    (killed,) = set(crowd.settings("begun")) - set(crowd.settings("ended"))
    stalled.kill()
    printed = [process.communicate(timeout=60) for process in others]
    assert [process.returncode for process in others] == [0, 0], printed
    assert printed[0][0] == printed[1][0]

    assert len(crowd.settings("begun")) == N_TRIALS + 1
    ended = [line.split(" ", 1) for line in crowd.settings("ended")]
    fields = [setting for _, setting in ended]
    assert len(fields) == len(set(fields)) == N_TRIALS
    seed, setting = killed.split(" ", 1)
    assert seed == "1"
    assert {by for by, trained in ended if trained == setting} < {"2", "3"}

    trials = stored(storage)
    complete = [str(found.user_attrs["config"]) for found in trials if found.state == COMPLETE]
    assert set(complete) == set(fields)
    assert all(found.state in (COMPLETE, FAIL) for found in trials)
    assert any(claims.setting_of(found) == setting and found.state == FAIL for found in trials)
