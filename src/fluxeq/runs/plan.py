"""What a study consists of: its jobs in order, each with its settings, what it needs and the files it leaves.

A job is data, and the function that does it is named in ``jobs``; nothing here touches a file.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from fluxeq.study.study import TASK_NAMES, Searched, Shape, Study, Worms
from fluxeq.system.files import derived_seed, digest, model_file
from fluxeq.theory import written


@dataclass(frozen=True)
class Job:
    """One piece of work: ``jobs.<kind>(run, **settings)`` leaves ``outputs``, paths in the run folder."""

    name: str
    kind: str
    settings: dict[str, Any]
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    weight: float = field(default=1.0, compare=False)
    """Of the jobs that could begin, the heaviest does."""

    def parts(self, n_instances: int | None) -> list[dict[str, Any]]:
        """Settings of its parts, which can be done at the same time: trainings of at most so many instances.

        Any other job is one part, and so is a training if ``n_instances`` is None. The parts change no result.
        """
        if self.kind != "train" or n_instances is None:
            return [self.settings]
        every = self.settings["instances"]
        starts = range(0, len(every), n_instances)
        return [{**self.settings, "instances": every[i : i + n_instances]} for i in starts]

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that what is there of its outputs must have been made with.

        All but the number of instances: if a study wants more of them, those that it has had stay.
        """
        return {name: value for name, value in self.settings.items() if name != "instances"}

    @property
    def places(self) -> tuple[str, ...]:
        """All that it writes to: its outputs, or the folder of a training with its curves and checkpoints."""
        return (self.settings["output"],) if self.kind == "train" else self.outputs


class Tested(NamedTuple):
    """One file of test configurations, and the lattice they live on."""

    file: str
    shape: Shape
    job: str


def plan(study: Study) -> list[Job]:
    """All jobs of a study, in an order in which each comes after what it needs."""
    jobs = [*_regression(study), *_worms(study), *_reference(study)]
    results = tuple(job.name for job in jobs)
    scores = [job.outputs[0] for job in jobs if job.kind == "evaluate"]
    jobs.append(Job("metrics", "collect", {"scores": scores}, ("metrics.csv",), results))
    measured = _measured(study, jobs)
    of_models = {file for task in measured["models"].values() for files in task.values() for file in files}
    used = of_models | set(measured["data"].values())
    makers = tuple(job.name for job in jobs if not used.isdisjoint(job.outputs))
    jobs.append(Job("measurements", "measure", measured, _MEASUREMENTS, makers))
    best = {"models": measured["models"], "output": "winners"}
    jobs.append(Job("winners", "winners", best, ("winners",), ("metrics",)))
    tables = ("metrics", "measurements")
    drawn = figures(study)
    jobs += [Job(f"figures/{name}", "figure", {"name": name}, figure_files(name), tables) for name in drawn]
    jobs.append(Job("claims", "claims", {}, ("claims.json",), tables))
    shown = ("claims", *(f"figures/{name}" for name in drawn))
    jobs.append(Job("report", "report", {}, ("provenance.json", "report.html"), shown))
    return jobs


def part(jobs: list[Job], tasks: Collection[str]) -> list[Job]:
    """The jobs that the scores of some tasks need, in the same order; without any tasks, all jobs."""
    if not tasks:
        return jobs
    trained = {job.name for job in jobs if job.kind == "train" and job.settings["task"] in tasks}
    wanted = {job.name for job in jobs if job.kind == "evaluate" and not trained.isdisjoint(job.needs)}
    for job in reversed(jobs):
        if job.name in wanted:
            wanted.update(job.needs)
    return [job for job in jobs if job.name in wanted]


def digests(jobs: list[Job]) -> dict[str, str]:
    """A fingerprint of every job, which changes with its settings and with those of all that it builds on."""
    found: dict[str, str] = {}
    for job in jobs:
        found[job.name] = digest([job.kind, job.identity, job.places, [found[need] for need in job.needs]])
    return found


class Weight(float, Enum):
    """The order of the work, so that an unfinished run says as much as it can.

    Its claims are judged on the networks of the largest training sets; of the others small ones come first, which cost
    least, and of equal ones those with augmentation, which take longest and would keep the end waiting.
    """

    SCORES = 1e15
    DATA = 1e14
    SEARCH = 1e13
    LARGEST = 1e12
    TRAINING = 0.0


FLATTENING = "FL"
"""The architecture that is bound to one lattice, and has no feature maps."""
FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig5a", "fig5b", "fig6a", "fig6b", "fig7a", "fig7b", "search")


def figures(study: Study) -> tuple[str, ...]:
    """The figures that a study draws: those that it has networks for, and that of the searches only if there is one."""
    tasks = {"fig4": study.regression, "fig5b": study.detection, "fig6b": study.detection, "fig7b": study.counting}
    missing = {name for name, task in tasks.items() if not set(task.architectures) - {FLATTENING}}
    if "EQ" not in study.regression.architectures:
        missing.add("fig3")
    every = (study.regression, study.detection, study.counting)
    if all(architecture in task.networks for task in every for architecture in task.architectures):
        missing.add("search")
    return tuple(name for name in FIGURES if name not in missing)


def figure_files(name: str) -> tuple[str, ...]:
    """What a figure leaves in the run folder."""
    return tuple(f"figures/{name}.{suffix}" for suffix in ("csv", "pdf", "png"))


_ZHOU = "train/zhou"
_MEASUREMENTS = tuple(f"measurements/{name}.csv" for name in ("translation", "responses", "example", "feature_maps"))


def _sampled(study: Study, purpose: str, eta: float, lam: float, mu: float, shape: Shape, n: int) -> Job:
    """The job that samples one ensemble; its chains depend on the purpose, so purposes never share any."""
    name = _named_ensemble(purpose, eta, mu, shape)
    settings = {
        "output": f"ensembles/{name}.h5",
        "couplings": [eta, lam, mu],
        "shape": shape,
        "n_configurations": n,
        "n_chains": study.sampling.chains,
        "seed": derived_seed(study.seed, name),
    }
    sites = math.prod(shape)
    return Job(f"sample/{name}", "sample", settings, (f"ensembles/{name}.h5",), weight=Weight.DATA + sites * (n + 200))


def _named_ensemble(purpose: str, eta: float, mu: float, shape: Shape) -> str:
    """The name of an ensemble, from which its seed is derived; there is one lam for each purpose."""
    return f"{purpose}-{named(shape)}-eta{written(eta)}-mu{written(mu)}"


def _test_of_worms(lam: float) -> str:
    """The purpose of ensembles in which the worms of tests are opened; tasks with the same lam share them."""
    return f"test-lam{written(lam)}"


def _opened(study: Study, closed: Job, task: str, numbers: tuple[int, ...]) -> Job:
    """The job that opens worms in an ensemble."""
    source = closed.outputs[0]
    output = source.replace("ensembles/", f"ensembles/{task}-", 1)
    settings = {
        "source": source,
        "output": output,
        "numbers": numbers,
        "seed": derived_seed(study.seed, task, closed.name),
    }
    name = output.removesuffix(".h5").replace("ensembles/", "worms/", 1)
    return Job(name, "worms", settings, (output,), (closed.name,), weight=Weight.DATA)


def named(shape: Shape) -> str:
    """A lattice as people write it: 60x4."""
    return "x".join(map(str, shape))


def _regression(study: Study) -> Iterator[Job]:
    task = study.regression
    largest = task.n_training[-1]

    def sampled(purpose: str, mu: float, shape: Shape, n: int) -> Job:
        return _sampled(study, f"regression-{purpose}", task.eta, task.lam, mu, shape, n)

    training = sampled("training", task.mu, task.shape, largest)
    validation = sampled("validation", task.mu, task.shape, _tenth(largest))
    tests = [sampled("test", mu, shape, task.test_configurations) for shape in task.test_shapes for mu in task.test_mu]
    yield from (training, validation, *tests)
    data = {"training": [training.outputs[0]], "validation": [validation.outputs[0]]}
    test_sets = [Tested(job.outputs[0], job.settings["shape"], job.name) for job in tests]
    yield from _trained(study, "regression", task, data, (training, validation), task.n_training, test_sets)


def _worms(study: Study) -> Iterator[Job]:
    """Detection and counting, which share closed test ensembles where their lattices and couplings agree."""
    tasks: dict[str, Worms] = {"detection": study.detection, "counting": study.counting}
    sizes: dict[tuple[float, float, float, Shape], int] = {}
    for task in tasks.values():
        for point in _test_points(task):
            n = task.test_configurations * len(task.test_n_worms)
            sizes[point] = max(sizes.get(point, 0), n)
    closed = {
        (eta, lam, mu, shape): _sampled(study, _test_of_worms(lam), eta, lam, mu, shape, n)
        for (eta, lam, mu, shape), n in sizes.items()
    }
    yield from closed.values()
    for name, task in tasks.items():
        data: dict[str, list[str]] = {}
        made: list[Job] = []
        per_coupling = task.configurations * len(task.n_worms)
        sizes_of = {"training": per_coupling, "validation": _share_of_tenth(per_coupling, len(task.couplings))}
        for purpose, n in sizes_of.items():
            for eta, mu in task.couplings:
                ensemble = _sampled(study, f"{name}-{purpose}", eta, task.lam, mu, task.shape, n)
                opened = _opened(study, ensemble, "open", task.n_worms)
                data.setdefault(purpose, []).append(opened.outputs[0])
                made += [ensemble, opened]
        tests = [_opened(study, closed[point], name, task.test_n_worms) for point in _test_points(task)]
        yield from (*made, *tests)
        test_sets = [
            Tested(job.outputs[0], point[3], job.name) for job, point in zip(tests, _test_points(task), strict=True)
        ]
        n_training = (per_coupling * len(task.couplings),)
        yield from _trained(study, name, task, data, made, n_training, test_sets)


def _test_points(task: Worms) -> list[tuple[float, float, float, Shape]]:
    return [(eta, task.lam, mu, shape) for shape in task.test_shapes for eta in task.test_eta for mu in task.test_mu]


def _tenth(n: int) -> int:
    return max(1, n // 10)


def _share_of_tenth(n: int, n_ensembles: int) -> int:
    """What each of some ensembles gives to a validation set of a tenth of the training, ``n`` from each."""
    return max(1, -(-(n * n_ensembles // 10) // n_ensembles))


def _trained(
    study: Study,
    name: str,
    task: Searched,
    data: dict[str, list[str]],
    made: Any,
    sizes: tuple[int, ...],
    test_sets: list[Tested],
) -> Iterator[Job]:
    """Search, training and evaluation of all variants of a task; other lattices are tested at the largest size only."""
    needs = tuple(job.name for job in made)
    common = {"task": name, **data, "seed": derived_seed(study.seed, name)}
    searches = {
        each: {} if each in task.networks else _searches(study, name, each, task.searches)
        for each in task.architectures
    }
    for architecture in task.architectures:
        for search, seed in searches[architecture].items():
            settings = {**common, "seed": seed, "architecture": architecture, "output": f"searches/{search}"}
            settings["search"] = task.search.model_dump(mode="json")
            yield Job(f"search/{search}", "search", settings, (f"searches/{search}",), needs, weight=Weight.SEARCH)
    for architecture, augmentation in task.variants:
        found = searches[architecture]
        for n_training in sizes:
            small = Weight.TRAINING - n_training + augmentation / 2
            variant = f"{name}-{architecture}{'-augmented' if augmentation else ''}-{n_training}"
            settings = {
                **common,
                "architecture": architecture,
                "augmentation": augmentation,
                **_networks(task, architecture, found),
                "n_training": n_training,
                "recipe": task.recipe.model_dump(mode="json"),
                "instances": list(range(task.instances)),
                "output": f"models/{variant}",
            }
            train = Job(
                f"train/{variant}",
                "train",
                settings,
                _model_files(settings),
                (*needs, *(f"search/{search}" for search in found)),
                weight=Weight.LARGEST if n_training == sizes[-1] else small,
            )
            yield train
            tested = [test for test in test_sets if n_training == sizes[-1] or test.shape == task.shape]
            yield _evaluated("study", variant, train, tested)


def _searches(study: Study, task: str, architecture: str, n: int) -> dict[str, int]:
    """The independent searches of one architecture and their seeds; the seed of the first is that of the trainings."""
    first = {f"{task}-{architecture}": derived_seed(study.seed, task)}
    return first | {f"{task}-{architecture}-{i}": derived_seed(study.seed, task, i) for i in range(2, n + 1)}


def _networks(task: Searched, architecture: str, searches: dict[str, int]) -> dict[str, Any]:
    """Where a training has its networks from: given ones, or the winners of searches."""
    if given := task.networks.get(architecture):
        return {"networks": [network.model_dump(mode="json") for network in given]}
    return {"winners": [f"searches/{search}/best.json" for search in searches]}


def _model_files(settings: dict[str, Any]) -> tuple[str, ...]:
    """What a training leaves: one file an instance."""
    return tuple(f"{settings['output']}/{model_file(settings['architecture'], i)}" for i in settings["instances"])


def _evaluated(group: str, variant: str, train: Job, tests: list[Tested]) -> Job:
    settings = {
        "group": group,
        "models": list(train.outputs),
        "tests": [[test.file, list(test.shape)] for test in tests],
        "output": f"scores/{variant}.csv",
    }
    needs = (train.name, *(test.job for test in tests))
    return Job(f"evaluate/{variant}", "evaluate", settings, (f"scores/{variant}.csv",), needs, weight=Weight.SCORES)


def _reference(study: Study) -> Iterator[Job]:
    """The published flattening network, on its own data and on the test sets of the regression at its mu."""
    reference, task = study.reference, study.regression
    n = reference.n_training // len(reference.mu)
    data: dict[str, list[str]] = {}
    made = []
    for purpose, size in (("training", n), ("validation", _share_of_tenth(n, len(reference.mu)))):
        for mu in reference.mu:
            job = _sampled(study, f"zhou-{purpose}", reference.eta, reference.lam, mu, reference.shape, size)
            data.setdefault(purpose, []).append(job.outputs[0])
            made.append(job)
    settings = {
        "task": "regression",
        **data,
        "seed": derived_seed(study.seed, "zhou"),
        "architecture": "FL",
        "augmentation": False,
        "networks": [{"config": reference.config}],
        "n_training": n * len(reference.mu),
        "recipe": reference.recipe.model_dump(mode="json"),
        "instances": list(range(reference.instances)),
        "output": "models/zhou",
    }
    late = Weight.TRAINING - reference.n_training  # by far the largest network, for one claim
    train = Job(_ZHOU, "train", settings, _model_files(settings), tuple(job.name for job in made), weight=late)
    tests = [
        _sampled(study, "regression-test", task.eta, task.lam, mu, reference.shape, task.test_configurations)
        for mu in reference.mu
    ]
    yield from (*made, train)
    yield _evaluated("zhou", "zhou", train, [Tested(job.outputs[0], reference.shape, job.name) for job in tests])


def _measured(study: Study, jobs: list[Job]) -> dict[str, Any]:
    """Models and data of the measurements beside the losses: the largest training sets, without augmentation."""
    models: dict[str, dict[str, list[str]]] = {task: {} for task in TASK_NAMES}
    for job in jobs:
        if job.kind == "train" and job.name != _ZHOU and not job.settings["augmentation"]:
            models[job.settings["task"]][job.settings["architecture"]] = list(job.outputs)  # larger sets come later
    regression = study.regression
    shown = {name: _at_first_coupling(getattr(study, name)) for name in ("detection", "counting")}
    data = {
        "regression": _named_ensemble("regression-test", regression.eta, regression.mu, regression.shape),
        "closed": shown["detection"],
    }
    data |= {task: f"{task}-{closed}" for task, closed in shown.items()}
    return {"models": models, "data": {name: f"ensembles/{ensemble}.h5" for name, ensemble in data.items()}}


def _at_first_coupling(task: Worms) -> str:
    """The name of the closed test ensemble at the first coupling of the training, on its lattice."""
    return _named_ensemble(_test_of_worms(task.lam), *task.couplings[0], task.shape)
