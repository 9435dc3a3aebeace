"""The plan of a study: its jobs in order, each with its work, dependencies and output files.

This module does not access files.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from fluxeq.report.figures.figure import OfScores, OfSearches
from fluxeq.report.figures.registry import FIGURES
from fluxeq.runs.ensembles import Ensemble, SectionData, closed_tests, data_of, references
from fluxeq.runs.jobs import (
    ByFamily,
    CollectScores,
    DrawFigure,
    Evaluate,
    Examples,
    JudgeClaims,
    MeasureNetworks,
    ModelCards,
    OpenWorms,
    ReferenceMeans,
    Report,
    Search,
    Train,
)
from fluxeq.runs.weights import Weight
from fluxeq.study.family import Family, FixedNetwork, file_stem
from fluxeq.study.section import Section
from fluxeq.study.study import Study
from fluxeq.workflow.job import Job, fingerprints

MEASUREMENTS = tuple(f"measurements/{name}.csv" for name in ("translation", "responses", "example", "feature_maps"))


def plan(study: Study) -> list[Job]:
    """All jobs of a study, each after its dependencies."""
    shared = closed_tests(study)
    data = {name: data_of(study, name, section, shared) for name, section in study.tasks.items()}
    jobs = [closed.job for closed in shared.values()]
    for name, section in study.tasks.items():
        jobs += data[name].jobs
        jobs += _searches(study, name, section, data[name])
        jobs += _networks(study, name, section, data[name])
        jobs += _references(study, name, section)
    return jobs + _shown(study, jobs, data)


def part(jobs: list[Job], sections: Collection[str]) -> list[Job]:
    """The jobs required for scores and references of some sections, in the same order; all jobs if none are given."""
    if not sections:
        return jobs
    wanted = {
        job.name for job in jobs if isinstance(job.work, (Evaluate, ReferenceMeans)) and job.work.section in sections
    }
    for job in reversed(jobs):
        if job.name in wanted:
            wanted.update(job.needs)
    return [job for job in jobs if job.name in wanted]


def figure_files(name: str) -> tuple[str, ...]:
    """The output files of a figure."""
    return tuple(f"figures/{name}.{suffix}" for suffix in ("csv", "pdf", "png"))


def _examples(section: Section, data: SectionData) -> Examples:
    training, validation = (tuple(ensemble.file for ensemble in some) for some in (data.training, data.validation))
    return Examples(task=section.task, training=training, validation=validation)


def _search_names(name: str, architecture: str, n: int) -> list[str]:
    """Names of the independent searches of one architecture."""
    first = f"{name}-{file_stem(architecture)}"
    return [first, *(f"{first}-{i}" for i in range(2, n + 1))]


def _searches(study: Study, name: str, section: Section, data: SectionData) -> Iterator[Job]:
    """The searches of all architectures; the first of each has the seed of the trainings."""
    groups = _observed(section, data)
    observed = {group: [(ensemble.file, ensemble.n) for ensemble in some] for group, some in groups.items()}
    needs = (*data.needs, *(ensemble.job.name for some in groups.values() for ensemble in some))
    for architecture in section.searched:
        for i, search in enumerate(_search_names(name, architecture, section.searches), 1):
            assert section.search is not None  # ensured by the validation of the study
            work = Search(
                section=name,
                examples=_examples(section, data),
                architecture=architecture,
                settings=section.search,
                seed=study.seed_of(name, *([i] if i > 1 else [])),
                output=f"searches/{search}",
                observed=observed,
            )
            yield Job(f"search/{search}", work, (work.output,), needs, weight=Weight.SEARCH)


def _observed(section: Section, data: SectionData) -> dict[str, list[Ensemble]]:
    """Data on which the trainings of a search are also scored, without effect on the search, if requested."""
    if not data.elsewhere:
        return {}
    tests = [test for test in data.tests if test.point[1] == section.shape]
    return {"elsewhere": [*data.elsewhere], "test": tests}


def _networks(study: Study, name: str, section: Section, data: SectionData) -> Iterator[Job]:
    """Trainings and scores of all families; other lattices are tested for the largest training set only."""
    largest = section.n_training[-1]
    for family in section.families:
        if section.families[family].function is not None:
            yield _scored(name, family, section, [], data.tests)
            continue
        for n_training in section.n_training:
            trained = _trained(study, name, family, section, data, n_training)
            tests = [test for test in data.tests if n_training == largest or test.point[1] == section.shape]
            yield from trained
            yield _scored(name, family, section, trained, tests)


def _trained(study: Study, name: str, family: str, section: Section, data: SectionData, n_training: int) -> list[Job]:
    """The jobs of all instances of one training."""
    about = section.families[family]
    variant = f"{name}-{file_stem(family)}-{n_training}"
    small = Weight.TRAINING - n_training + about.augmentation / 2
    group, weight = f"train/{variant}", Weight.LARGEST if n_training == section.n_training[-1] else small
    jobs = []
    for instance in range(section.instances):
        network, needs = _network(name, about, section, instance)
        work = Train(
            examples=_examples(section, data),
            n_training=n_training,
            architecture=about.architecture,
            augmentation=about.augmentation,
            network=network,
            recipe=section.recipe,
            seed=study.seed_of(name),
            instance=instance,
            output=f"models/{variant}",
        )
        needed = (*data.needs, *needs)
        jobs.append(Job(f"{group}/{instance:03d}", work, (work.model,), needed, work.byproducts, group, weight))
    return jobs


def _network(name: str, family: Family, section: Section, instance: int) -> tuple[FixedNetwork | str, list[str]]:
    """The network of an instance, fixed or from a search, and the name of the search job.

    Instance i uses network i modulo the number of networks.
    """
    if family.networks:
        return family.networks[instance % len(family.networks)], []
    search = _search_names(name, family.architecture, section.searches)[instance % section.searches]
    return f"searches/{search}/best.json", [f"search/{search}"]


def _references(study: Study, name: str, section: Section) -> list[Job]:
    """The jobs that compute independent reference means, with their ensembles; empty unless requested."""
    sampled, solved = references(study, name, section)
    if not sampled and not solved:
        return []
    work = ReferenceMeans(
        section=name,
        task=section.task,
        ensembles=tuple(ensemble.file for ensemble in sampled),
        theory=section.theory,
        solved=tuple((theory.couplings, shape) for theory, shape in solved),
        output=f"references/{name}.csv",
    )
    jobs = [replace(ensemble.job, weight=Weight.REFERENCE) for ensemble in sampled]
    needs = tuple(job.name for job in jobs)
    return [*jobs, Job(f"reference/{name}", work, (work.output,), needs, weight=Weight.REFERENCE)]


def _scored(name: str, family: str, section: Section, trained: list[Job], tests: list[Ensemble]) -> Job:
    variant = trained[0].group.removeprefix("train/") if trained else f"{name}-{file_stem(family)}"
    work = Evaluate(
        section=name,
        family=family,
        models=tuple(job.outputs[0] for job in trained),
        function=section.families[family].function,
        tests=[(test.file, test.n) for test in tests],
        output=f"scores/{variant}.csv",
    )
    needs = (*(job.name for job in trained), *(test.job.name for test in tests))
    return Job(f"evaluate/{variant}", work, (work.output,), needs, weight=Weight.SCORES)


def _shown(study: Study, jobs: list[Job], data: dict[str, SectionData]) -> list[Job]:
    """The jobs whose outputs are shown: tables, measurements, figures, claims, best networks and report."""
    scores = [job for job in jobs if isinstance(job.work, Evaluate)]
    collect = CollectScores(scores=tuple(job.outputs[0] for job in scores))
    metrics = Job("metrics", collect, ("metrics.csv",), tuple(job.name for job in scores))
    measurements = _measured(study, jobs, data)
    assert isinstance(measurements.work, MeasureNetworks)
    cards = Job("model_cards", ModelCards(models=measurements.work.models, output="best"), ("best",), (metrics.name,))
    tables = (metrics.name, measurements.name, *(job.name for job in jobs if isinstance(job.work, ReferenceMeans)))
    figures = [_drawn(name, study, jobs, tables) for name in FIGURES if FIGURES[name].shows(study)]
    claims = Job("claims", JudgeClaims(), ("claims.json",), tables)
    made = [metrics, measurements, cards, *figures, claims]
    report = Report(fingerprints=fingerprints([*jobs, *made]))
    needs = (claims.name, *(figure.name for figure in figures))
    return [*made, Job("report", report, ("provenance.json", "report.html"), needs)]


def _drawn(name: str, study: Study, jobs: list[Job], tables: tuple[str, ...]) -> Job:
    """The job of a figure; one of searches only depends on these, one of scores only on the first of ``tables``."""
    numbers, searches = FIGURES[name].numbers, []
    if isinstance(numbers, OfSearches):
        shown = {name for name, section in study.tasks.items() if numbers.shows(section)}
        searches = [job for job in jobs if isinstance(job.work, Search) and job.work.section in shown]
    work = DrawFigure(name=name, searches=tuple(job.outputs[0] for job in searches))
    needs = tuple(job.name for job in searches) or (tables[:1] if isinstance(numbers, OfScores) else tables)
    return Job(f"figures/{name}", work, figure_files(name), needs)


def _measured(study: Study, jobs: list[Job], data: dict[str, SectionData]) -> Job:
    """The job of measurements on networks, for the largest training sets without augmentation."""
    models: ByFamily = {name: {} for name in study.tasks}
    for work in (job.work for job in jobs if isinstance(job.work, Evaluate)):
        if work.models and not study.tasks[work.section].families[work.family].augmentation:
            models[work.section][work.family] = list(work.models)  # larger sets come later
    tests = {name: _first_test(section, data[name]) for name, section in study.tasks.items()}
    closed = {name: test.work.source for name, test in tests.items() if isinstance(test.work, OpenWorms)}
    files = {name: test.outputs[0] for name, test in tests.items()}
    measure = MeasureNetworks(models=models, tests=files, closed=closed)
    used = {file for of_family in models.values() for several in of_family.values() for file in several}
    used |= {*files.values(), *closed.values()}
    makers = tuple(job.name for job in jobs if not used.isdisjoint(job.outputs))
    return Job("measurements", measure, MEASUREMENTS, makers)


def _first_test(section: Section, data: SectionData) -> Job:
    """The job of the test set on the training lattice at the first training couplings."""
    first = (section.training_points[0], section.shape)
    return next(test.job for test in data.tests if test.point == first)
