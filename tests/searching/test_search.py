"""Budget, duplicates and resumption of a search; mostly without trainings."""

import json
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import optuna
import pytest
from no_data import NO_DATA

import small_ensembles
from damage import damages
from fluxeq.errors import DivergedError, InputError
from fluxeq.searching import search as module
from fluxeq.searching.results import budget, save_results
from fluxeq.searching.search import Problem, Setting, search
from fluxeq.searching.space import Space
from fluxeq.searching.storage import open_storage
from fluxeq.system.files import derived_seed, read_json
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import evaluate
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

FOUR = Space(layers=(1, 1), kernels=(1, 2), channels=(2, 3), poolings=(1,), activations=("gelu",), dense_layers=(0, 0))
WIDE = Space(layers=(1, 2), dense_layers=(0, 1), start={"layers": 1, "channels_0": 4, "kernel_0": 2, "pooling_0": 1})


class Killed(BaseException):
    """Stands for the death of a process during a trial."""


class Trainings:
    """Replaces the trainings: a value computed from the fields, and a list of the requested settings."""

    def __init__(self, fatal=None):
        self.asked, self.fatal = [], fatal

    def __call__(self, problem, fields, chosen, cannot_win):
        self.asked.append(fields)
        if len(self.asked) == self.fatal:
            raise Killed
        value = derived_seed(str(fields)) % 1000 / 1000
        return Setting(fields, value, (value,) * problem.repeats, 10, recipe=chosen)


def run(
    monkeypatch, storage, trainings, n_trials, space=WIDE, architecture="ST", seed=1, repeats=2, told=None, **recipe
):
    monkeypatch.setattr(module, "_train", trainings)
    note = {"progress": lambda *said: told.append(said)} if told is not None else {}
    problem = Problem(NO_DATA, architecture, space, Recipe(**recipe), n_trials, repeats, seed)
    return search(problem, storage, "s", **note)


def in_memory():
    return optuna.storages.InMemoryStorage()


def n_stored(storage):
    return len(storage.get_all_trials(storage.get_study_id_from_name("s")))


def test_the_budget_counts_different_settings(monkeypatch):
    trainings, storage = Trainings(), in_memory()
    found = run(monkeypatch, storage, trainings, 4, FOUR, "EQ")
    pairs = [(setting.config["blocks"][0]["channels"], setting.config["blocks"][0]["kernel"]) for setting in found]
    assert sorted(pairs) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert len(trainings.asked) == 4
    assert n_stored(storage) > 4  # some were proposed twice: with this seed, duplicates are tested
    assert [setting.value for setting in found] == sorted(setting.value for setting in found)


def test_settings_done_and_the_best_so_far_are_told(monkeypatch):
    told = []
    best, *_ = found = run(monkeypatch, in_memory(), Trainings(), 4, FOUR, "EQ", told=told)
    in_order = sorted(found, key=lambda setting: setting.number)
    for done, total, so_far in told:
        assert total == 4
        assert so_far == min(in_order[:done], key=lambda setting: setting.value, default=None)
    assert {done for done, *_ in told} == {0, 1, 2, 3, 4}
    assert told[-1] == (4, 4, best)


def test_duplicates_reuse_the_value(monkeypatch):
    storage = in_memory()
    run(monkeypatch, storage, Trainings(), 4, FOUR, "EQ")
    values = {}
    for trial in storage.get_all_trials(storage.get_study_id_from_name("s")):
        values.setdefault(str(trial.user_attrs["config"]), set()).add(trial.value)
    assert len(values) == 4
    assert all(len(found) == 1 for found in values.values())


def test_an_exhausted_space(monkeypatch):
    with pytest.raises(InputError, match="trials = 5: the space has only 4 settings; enlarge it"):
        run(monkeypatch, in_memory(), Trainings(), 5, FOUR, "EQ")


def test_again_trains_nothing_and_more_trials_go_on(monkeypatch):
    storage, again, more = in_memory(), Trainings(), Trainings()
    first = run(monkeypatch, storage, Trainings(), 3)
    assert run(monkeypatch, storage, again, 3) == first
    assert again.asked == []
    assert len(run(monkeypatch, storage, more, 5)) == 5
    assert len(more.asked) == 2


@pytest.mark.parametrize("fatal", [1, 2, 5, 12])
def test_a_killed_search_goes_on_to_the_same_result(monkeypatch, tmp_path, fatal):
    expected = run(monkeypatch, in_memory(), Trainings(), 13)
    url = str(tmp_path / "journal.log")
    with pytest.raises(Killed):
        run(monkeypatch, open_storage(url), Trainings(fatal), 13)
    trainings = Trainings()
    assert run(monkeypatch, open_storage(url), trainings, 13) == expected
    assert len(trainings.asked) == 13 - (fatal - 1)


def test_the_start_is_tried_first(monkeypatch):
    trainings = Trainings()
    run(monkeypatch, in_memory(), trainings, 2)
    assert trainings.asked[0]["blocks"] == [{"channels": 4, "kernel": 2, "pooling": 1, "stride": 2}]


def test_seeds_differ(monkeypatch):
    asked = []
    for seed in (1, 1, 2):
        trainings = Trainings()
        run(monkeypatch, in_memory(), trainings, 4, seed=seed)
        asked.append(trainings.asked)
    assert asked[0] == asked[1] != asked[2]


@pytest.fixture(scope="module")
def trained():
    """A search with real trainings."""
    data, recipe = small_ensembles.data("regression"), Recipe(epochs=2)
    space = FOUR.model_copy(update={"start": {"kernel_0": 2, "channels_0": 2}})
    return search(Problem(data, "EQ", space, recipe, 2, 2, 1), optuna.storages.InMemoryStorage(), "s")


def test_the_value_is_the_mean_of_the_best_losses(trained):
    for setting in trained:
        assert setting.value == pytest.approx(np.mean(setting.losses))
        assert len(set(setting.losses)) == 2  # two random starts
    assert trained[0].value < trained[1].value
    first = next(s for s in trained if s.config["blocks"][0] == {"channels": 2, "kernel": 2, "pooling": 1})
    assert first.n_parameters == (4 * 4 + 1) * 2 + (2 + 1) * 2


def test_a_training_that_diverges_is_the_worst(monkeypatch, tmp_path):
    class Diverging:
        n_parameters = 3

        def __init__(self, *_, **__):
            pass

        def fit(self, seed):
            raise DivergedError("never finite")

    monkeypatch.setattr(module, "Trainer", Diverging)
    data, space = small_ensembles.data("regression"), FOUR.model_copy(update={"channels": (2,), "kernels": (1,)})
    found = search(Problem(data, "EQ", space, Recipe(), 1, 2, 1), in_memory(), "s")
    assert found[0].losses == (np.inf, np.inf)
    assert found[0].observed == {}
    (tmp_path / "best.json").write_text("of an earlier search")
    with pytest.raises(DivergedError, match="the search of EQ for regression: trainings of all 1 settings diverged"):
        save_results(tmp_path, "regression", "EQ", found, budget(Recipe(), 40, 1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["trials.json"]
    assert read_json(tmp_path / "trials.json")[0]["losses"] == [None, None]


def test_some_trainings_that_diverge_do_not_matter(monkeypatch, tmp_path):
    trainings = Trainings()

    def train(problem, fields, chosen, cannot_win):
        found = trainings(problem, fields, chosen, cannot_win)
        return replace(found, value=np.inf, losses=(0.5, np.inf)) if len(trainings.asked) != 2 else found

    found = run(monkeypatch, in_memory(), train, 3)
    assert [np.isfinite(setting.value) for setting in found] == [True, False, False]
    save_results(tmp_path, "regression", "ST", found, budget(Recipe(), 8, 3, 2))
    assert read_json(tmp_path / "best.json")["config"] == trainings.asked[1]


def test_what_a_search_leaves_behind_is_checked(trained, tmp_path):
    """Every byte of the best setting is protected, or has no effect; without a digest, edits are accepted."""
    save_results(tmp_path, "regression", "EQ", trained, budget(Recipe(epochs=2), 40, 2, 2))
    path, n_read = tmp_path / "best.json", 0
    whole, best = path.read_bytes(), read_json(path)
    for content in damages(whole):
        path.unlink()
        path.write_bytes(content)
        with suppress(InputError):
            found = read_json(path)
            n_read += 1
            assert "digest" not in json.loads(content) or found == best
    assert n_read < 40
    path.write_text(whole.decode().replace("gelu", "tanh"))
    with pytest.raises(InputError, match=r"best\.json: checksum mismatch: damaged, or changed since .*remove the"):
        read_json(path)
    edited = {name: value for name, value in json.loads(path.read_text()).items() if name != "digest"}
    path.write_text(json.dumps(edited))
    assert read_json(path) == edited


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"repeats": 3}, "repeats = 2, requested 3"),
        ({"learning_rate": 0.5}, r"recipe\.learning_rate = 0\.01, requested 0\.5"),
        ({"space": FOUR}, r"space\.layers = \[1, 2\], requested \[1, 1\]"),
        ({"data": "another"}, r"data = \['some chains'\], requested \['another'\]"),
    ],
)
def test_the_trials_of_another_search_are_not_mixed_in(monkeypatch, changed, named):
    storage, trainings = in_memory(), Trainings()
    first, changed = run(monkeypatch, storage, Trainings(), 3), dict(changed)
    if "data" in changed:
        other = NO_DATA._replace(training=replace(NO_DATA.training, origins=(changed.pop("data"),)))
        monkeypatch.setitem(globals(), "NO_DATA", other)
    with pytest.raises(InputError, match=rf"storage: s was searched there with {named}; choose another storage"):
        run(monkeypatch, storage, trainings, 3, **changed)
    assert trainings.asked == []
    assert n_stored(storage) == len(first)


def test_results(trained, tmp_path):
    save_results(tmp_path, "regression", "EQ", trained, budget(Recipe(epochs=2), 40, 2, 2))
    trials, best = (read_json(tmp_path / f"{name}.json") for name in ("trials", "best"))
    allowed = {"trials": 2, "repeats": 2, "steps": 2, "levenberg_marquardt": 0}
    assert best == {"task": "regression", "architecture": "EQ", **trials[0], "budget": allowed}
    assert [trial["value"] for trial in trials] == sorted(setting.value for setting in trained)
    settings = json.loads(json.dumps(asdict(trained[0])))
    assert trials[0] == {name: value for name, value in settings.items() if name != "observed"}  # nothing was observed


@pytest.fixture(scope="module")
def observed():
    """Data at another coupling, and at two of them: groups of different size."""
    data = [dataset("regression", small_ensembles.closed(seed, n, mu=mu)) for seed, n, mu in OTHERS]
    return {"elsewhere": data[:1], "test": data[1:]}


OTHERS = ((3, 12, 1.0), (4, 20, 1.0), (5, 8, 1.5))
"""Seeds, numbers of configurations, and mu."""


def searched(storage, observed=None, n_trials=4):
    data, recipe = small_ensembles.data("regression"), Recipe(epochs=2)
    space = FOUR.model_copy(update={"channels": (2,), "global_poolings": ("average", "sum")})  # a sum is far off
    problem = Problem(data, "EQ", space, recipe, n_trials, 3, 1, observed=observed or {})
    return search(problem, storage, "s", prune=True)


def trials_of(storage):
    """Everything stored on the trials, except times and what was observed."""
    found = storage.get_all_trials(storage.get_study_id_from_name("s"))
    attributes = [
        {name: value for name, value in trial.user_attrs.items() if name != "observed"} | trial.system_attrs
        for trial in found
    ]
    plain = [(t.number, t.state, t.value, t.params, t.intermediate_values) for t in found]
    return [*zip(plain, attributes, strict=True)]


def test_what_is_observed_chooses_nothing(observed):
    """Neither the settings, nor their pruning, nor any value: the same trials, bit for bit."""
    alone, beside = in_memory(), in_memory()
    expected, found = searched(alone), searched(beside, observed)
    assert trials_of(alone) == trials_of(beside)
    assert len(trials_of(alone)) > len(expected)  # with duplicates
    assert [replace(setting, observed={}) for setting in found] == expected
    assert any(setting.pruned for setting in found)
    for setting in found:
        assert {name: len(means) for name, means in setting.observed.items()} == dict.fromkeys(
            observed, len(setting.losses)
        )


def test_the_observed_loss_is_the_mean_over_all_configurations(observed, monkeypatch):
    """For each group, with the network that training keeps, as computed by evaluation."""
    networks, fit = [], module.Trainer.fit

    def keep(trainer, seed):
        made = fit(trainer, seed)
        networks.append(made[0])
        return made

    monkeypatch.setattr(module.Trainer, "fit", keep)
    (setting,) = searched(in_memory(), observed, n_trials=1)
    for name, group in observed.items():
        sums = [sum(evaluate(network, one).loss * len(one) for one in group) for network in networks]
        assert setting.observed[name] == pytest.approx([total / sum(map(len, group)) for total in sums], rel=1e-5)
    assert len({*setting.observed["elsewhere"], *setting.observed["test"]}) == 6


def test_what_was_observed_is_kept(observed, tmp_path):
    """In the storage, from which a search resumes, and in the files."""
    url = str(tmp_path / "journal.log")
    expected = searched(in_memory(), observed)
    searched(open_storage(url), observed, n_trials=2)
    found = searched(open_storage(url), observed)
    assert found == expected
    save_results(tmp_path, "regression", "EQ", found, budget(Recipe(epochs=2), 40, 4, 3))
    for setting, trial in zip(found, read_json(tmp_path / "trials.json"), strict=True):
        assert {name: tuple(means) for name, means in trial["observed"].items()} == setting.observed
    assert read_json(tmp_path / "best.json")["observed"] == json.loads(json.dumps(found[0].observed))


def test_observed_losses_that_are_no_numbers(tmp_path):
    losses = Setting({}, 1.0, (1.0, np.inf), 3, observed={"test": (2.0, np.inf)})
    save_results(tmp_path, "regression", "EQ", [losses], budget(Recipe(), 40, 1, 2))
    assert read_json(tmp_path / "best.json")["observed"] == {"test": [2.0, None]}


def test_trials_that_observed_other_data_are_not_mixed_in(observed):
    """Including trials with observations if none are requested."""
    first, storage = {"elsewhere": observed["elsewhere"]}, in_memory()
    searched(storage, first, n_trials=1)
    for other in ({}, observed, {"elsewhere": observed["test"]}, {"test": observed["test"]}):
        with pytest.raises(InputError, match=r"searched there with observed\.\w+ = .*; choose another storage"):
            searched(storage, other)
    assert n_stored(storage) == 1


def test_what_cannot_be_observed_is_refused(observed):
    (one,), data = observed["elsewhere"], small_ensembles.data("regression")
    refused = {
        "must have at least one configuration": [],
        r"Dataset\(detection, .*must have the task and the lattice": [small_ensembles.data("detection").validation],
        r"of 6x4\): must have the task and the lattice": [
            dataset("regression", small_ensembles.closed(3, shape=(6, 4)))
        ],
        "shares chains with the search": [one, data.validation],
    }
    for message, group in refused.items():
        with pytest.raises(InputError, match=rf"^observed\.test: .*{message}"):
            searched(in_memory(), {"test": group})


def test_lines_of_the_budget():
    """Equal for all architectures: no part of it depends on one."""
    assert str(budget(Recipe(epochs=10, batch_size=7), 40, 5, 3)) == (
        "5 settings, 3 trainings each, at most 50 steps per training; 750 steps in total"
    )
    assert "at most 10 steps and 4 Levenberg-Marquardt steps per training" in str(
        budget(Recipe(epochs=10, levenberg_marquardt=4), 40, 5, 3)
    )
