"""The ensembles of a study: training data of each section, and closed test ensembles, which all sections share.

The random streams of an ensemble depend on its name, which includes its purpose, so purposes never share chains.
"""

import math
from typing import NamedTuple

from fluxeq.analysis.reference import has_exact_means
from fluxeq.lattice import shape_name
from fluxeq.runs.jobs import OpenWorms, Sample
from fluxeq.runs.weights import Weight
from fluxeq.study.family import file_stem
from fluxeq.study.section import Section, Test
from fluxeq.study.study import Study
from fluxeq.theory import FluxTheory, coupling_text
from fluxeq.workflow.job import Job

Point = tuple[FluxTheory, tuple[int, ...]]
"""A theory and a lattice."""


class Ensemble(NamedTuple):
    """An ensemble file: the job that makes it, its theory and lattice, and its number of configurations."""

    job: Job
    point: Point
    n: int

    @property
    def file(self) -> str:
        """Path in the run folder."""
        return self.job.outputs[0]


class SectionData(NamedTuple):
    """Training, validation and test data of a section."""

    training: list[Ensemble]
    validation: list[Ensemble]
    tests: list[Ensemble]
    jobs: list[Job]
    """All jobs that make the data, except those of the shared test ensembles."""
    elsewhere: tuple[Ensemble, ...] = ()
    """The second validation set of the search, if any; it does not influence the search."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that make the training data."""
        return tuple(ensemble.job.name for ensemble in (*self.training, *self.validation))


def closed_tests(study: Study) -> dict[Point, Ensemble]:
    """The closed test ensembles, each as large as the largest test that uses it."""
    sizes: dict[Point, int] = {}
    for section in study.tasks.values():
        for test, point in _tested(section):
            sizes[point] = max(sizes.get(point, 0), test.n_configurations)
    return {point: _sampled(study, "test", point, n) for point, n in sizes.items()}


def references(study: Study, name: str, section: Section) -> tuple[list[Ensemble], list[Point]]:
    """Independent ensembles at the test points, unused in training and tests, and points with exactly known means."""
    wanted = [(test.reference, point) for test, point in _tested(section) if test.reference]
    solved = [point for _, point in wanted if has_exact_means(section.task, *point)]
    sampled = [_sampled(study, f"{name}-reference", point, n) for n, point in wanted if point not in solved]
    return sampled, solved


def data_of(study: Study, name: str, section: Section, shared: dict[Point, Ensemble]) -> SectionData:
    """The data of a section."""
    most, points = section.n_training[-1], section.training_points
    tests = [(test, shared[point]) for test, point in _tested(section)]

    def sampled(purpose: str, size: int) -> list[Ensemble]:
        each = -(-size // len(points))  # rounded up
        return [_sampled(study, f"{name}-{purpose}", (theory, section.shape), each) for theory in points]

    def opened(closed: list[Ensemble], numbers: tuple[int, ...]) -> list[Ensemble]:
        return [_opened(study, ensemble, name, numbers) for ensemble in closed]

    training, validation = sampled("training", most), sampled("validation", max(1, most // 10))
    jobs = [ensemble.job for ensemble in training + validation]
    if not section.n_worms:
        elsewhere = _elsewhere(study, name, section)
        jobs += [ensemble.job for ensemble in elsewhere]
        closed = [ensemble._replace(n=test.n_configurations) for test, ensemble in tests]
        return SectionData(training, validation, closed, jobs, elsewhere)
    found = [opened(some, section.n_worms) for some in (training, validation)]
    with_worms = [_opened(study, ensemble, name, test.n_worms) for test, ensemble in tests]
    jobs += [ensemble.job for ensemble in (*found[0], *found[1], *with_worms)]
    return SectionData(found[0], found[1], with_worms, jobs)


def _elsewhere(study: Study, name: str, section: Section) -> tuple[Ensemble, ...]:
    """The second validation set of the search, as large as the first, if there is one."""
    theory = section.elsewhere
    if section.search is None or theory is None or not section.searched:
        return ()
    n = max(1, section.search.n_training // 10)
    return (_sampled(study, f"{name}-elsewhere", (theory, section.shape), n),)


def _tested(section: Section) -> list[tuple[Test, Point]]:
    """All pairs of a test and one of its points."""
    return [
        (test, (theory, shape))
        for test in section.tests
        for shape in test.shapes
        for theory in section.test_points(test)
    ]


def _sampled(study: Study, purpose: str, point: Point, n: int) -> Ensemble:
    """An ensemble of closed configurations."""
    theory, shape = point
    kind = () if theory.name == Section.model_fields["theory"].default else (file_stem(theory.name),)
    couplings = (f"{coupling}{coupling_text(value)}" for coupling, value in theory.couplings.items())
    name = "-".join((purpose, *kind, shape_name(shape), *couplings))
    output = f"ensembles/{name}.h5"
    work = Sample(
        theory=theory.name,
        couplings=theory.couplings,
        shape=shape,
        n_configurations=n,
        n_chains=study.sampling.chains,
        seed=study.seed_of(name),
        output=output,
    )
    weight = Weight.DATA + math.prod(shape) * (n + 200)
    return Ensemble(Job(f"sample/{name}", work, (output,), byproducts=(f"{output}.parts",), weight=weight), point, n)


def _opened(study: Study, closed: Ensemble, section: str, numbers: tuple[int, ...]) -> Ensemble:
    """A worm ensemble made from all configurations of an ensemble."""
    name = f"{section}-{closed.job.name.removeprefix('sample/').removeprefix(f'{section}-')}-open"
    output = f"ensembles/{name}.h5"
    work = OpenWorms(source=closed.file, numbers=numbers, seed=study.seed_of(name), output=output)
    job = Job(f"worms/{name}", work, (output,), (closed.job.name,), weight=Weight.DATA)
    return closed._replace(job=job)
