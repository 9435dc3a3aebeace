"""A section of a study: one task on data of one theory, the networks trained for it, and their tests.

Errors that a job would raise hours later are raised here if the file alone shows them: invalid couplings, more worms
than a lattice can hold, empty lists or repeated values, more examples than available.
"""

import itertools
import math
from collections.abc import Iterable
from contextlib import suppress
from operator import not_
from types import SimpleNamespace
from typing import Annotated, Any, Self, cast

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from fluxeq.config import Frozen, first_problem
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.searching.space import Space
from fluxeq.study.family import Family, file_stem
from fluxeq.study.values import Count, Coupling, Couplings, Different, NumberOfWorms, Shape, Some
from fluxeq.tasks.task import TASKS, Task
from fluxeq.theory import FluxTheory, theory_of
from fluxeq.training.recipe import Recipe

MOST_INSTANCES = 1000
"""Per training; file names have three digits."""
LEAST_PER_NUMBER = 10
"""Minimum number of training configurations per coupling and number of worms; validation uses a tenth of it."""


class SearchSettings(Frozen):
    """The hyperparameter search of a section, with equal budgets for all architectures."""

    space: Space = Space()
    """The search space."""
    trials: Count
    """Number of different settings per architecture."""
    repeats: Count = 3
    """Trainings per setting; settings are ranked by the mean of their best validation losses."""
    n_training: Count
    """Number of training configurations, the first ones of the section."""
    recipe: Recipe
    """Recipe of these trainings."""
    prune: bool = Field(default=False, exclude_if=not_)
    """Stop a setting as soon as its losses so far exclude that it wins."""
    elsewhere: Couplings | None = Field(default=None, exclude_if=lambda elsewhere: elsewhere is None)
    """Couplings of a second validation set, replacing those of the first training point. All trainings are scored on
    it and on the test sets of the training lattice, without effect on the search."""


class Test(Frozen):
    """Test sets of a section: all combinations of couplings, on all lattices."""

    __test__ = False

    couplings: dict[str, Some[Coupling]] = Field(default_factory=dict)
    """Values of the couplings that the section does not fix."""
    shapes: Some[Shape]
    """Lattices, time first."""
    configurations: Count
    """Configurations per ensemble, and per number of worms if there are any."""
    n_worms: Different[NumberOfWorms] = ()
    """Numbers of open worms, for tasks that count them."""
    reference: Annotated[Count | None, Field(exclude_if=lambda n: n is None)] = None
    """Configurations of an additional ensemble at each point, for means that are independent of the test sets."""

    @property
    def n_configurations(self) -> int:
        """Configurations per ensemble, over all numbers of worms."""
        return self.configurations * max(1, len(self.n_worms))


class Section(Frozen):
    """One task: its data, trainings and tests."""

    task: str
    """A name in ``fluxeq.tasks`` or ``package.module:NAME``; by default the name of the section."""
    theory: str = "phi4"
    """A name in ``fluxeq.theories`` or ``package.module:Class``."""
    couplings: Couplings = Field(default_factory=dict)
    """Couplings shared by all data of the section."""
    training: Some[Couplings] = cast(tuple[Couplings, ...], ({},))
    """The other couplings, for each training ensemble."""
    shape: Shape
    """The training lattice."""
    n_training: Some[Count]
    """Training-set sizes over all couplings and numbers of worms, increasing; validation sets have a tenth."""
    n_worms: Different[NumberOfWorms] = ()
    """Numbers of open worms, for tasks that count them."""
    instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)]
    """Trainings per network, with different random initialisations."""
    recipe: Recipe
    """Training recipe of the networks."""
    searches: Count = 1
    """Independent searches per architecture. Instances use the resulting networks in turn, so that the spread over
    instances includes the variation between searches."""
    test: Test
    """The test sets; they must include the training couplings and lattice."""
    farther: tuple[Test, ...] = ()
    """Further tests, on lattices that are not in ``test``."""
    families: dict[str, Family] = Field(
        default={name: Family(architecture=name) for name in ("EQ", "ST", "FL")}, min_length=1
    )
    """A list of names from the families table at the top of the file, or a table; by default searched EQ, ST and FL."""
    search: SearchSettings | None = None
    """Required if a family has no fixed networks."""

    @field_validator("families", mode="before")
    @classmethod
    def _named_by_their_architecture(cls, families: Any) -> Any:
        if not isinstance(families, dict):
            return families
        unnamed = {
            name: {"architecture": name, **family}
            for name, family in families.items()
            if isinstance(family, dict) and "function" not in family
        }
        return families | unnamed

    @model_validator(mode="after")
    def _data_there(self) -> Self:
        trained, tested = self.training_points, self.test_points(self.test)
        for theory in (*trained, *(theory for test in self.tests for theory in self.test_points(test))):
            theory.require_stable(len(self.shape))
        if not {*trained} <= {*tested} or self.shape not in self.test.shapes:
            raise ValueError("test: couplings and shapes must include those of the training")
        shapes = [shape for test in self.tests for shape in test.shapes]
        if len({len(shape) for shape in shapes}) > 1:
            raise ValueError("test.shapes: all lattices must have the dimension of the training lattice")
        if len({*shapes}) < len(shapes):
            raise ValueError("farther: must have lattices that are not in test, each once")
        if list(self.n_training) != sorted(self.n_training):
            raise ValueError("n_training: sizes must be strictly increasing")
        if self.n_training[0] < len(trained):
            raise ValueError(f"n_training: must be at least one for each of {len(trained)} couplings")
        return self

    @model_validator(mode="after")
    def _worms_fit(self) -> Self:
        task = TASKS[self.task]
        if not task.counts_worms:
            if self.n_worms or any(test.n_worms for test in self.tests):
                raise ValueError(f"n_worms: {self.task} uses closed configurations; leave it out, in the test as well")
            return self
        if len(self.n_worms) < 2 or not all(test.n_worms for test in self.tests):
            raise ValueError(f"n_worms: {self.task} needs at least two numbers of worms, and at least one in the test")
        if any(test.reference for test in self.tests):
            raise ValueError(f"test.reference: {self.task} counts worms, whose number is known exactly; leave it out")
        _require_room("n_worms", self.n_worms, self.shape)
        for test in self.tests:
            for shape in test.shapes:
                _require_room("test.n_worms", test.n_worms, shape)
        _require_different_labels(task, self.n_worms)
        least = LEAST_PER_NUMBER * len(self.n_worms) * len(self.training)
        if self.n_training[0] < least:
            raise ValueError(
                f"n_training = {self.n_training[0]}: must be at least {least}, {LEAST_PER_NUMBER} for each coupling "
                "and number of worms"
            )
        return self

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        _require_file_names("families", self.families)
        trained = {name: family for name, family in self.families.items() if family.function is None}
        _require_file_names("families: architecture", {family.architecture for family in trained.values()})
        for name, family in trained.items():
            if len(family.networks) > self.instances:
                raise ValueError(f"families.{name}.networks: must be at most {self.instances}, one per instance")
            for network in family.networks:
                try:
                    Recipe.model_validate(self.recipe.model_dump() | network.recipe)
                except ValidationError as error:
                    raise ValueError(f"families.{name}.networks.recipe.{first_problem(error)}") from None
        if self.searched and self.search is None:
            raise ValueError(f"search: missing, but {self.searched[0]} has no fixed networks")
        if self.search and self.search.n_training > self.n_training[-1]:
            raise ValueError(f"search.n_training = {self.search.n_training}: must be at most {self.n_training[-1]}")
        if self.searches > self.instances:
            raise ValueError(f"searches = {self.searches}: must be at most the number of instances ({self.instances})")
        return self

    @model_validator(mode="after")
    def _elsewhere_is_another_place(self) -> Self:
        theory = self.elsewhere
        if theory is None:
            return self
        if TASKS[self.task].counts_worms:
            raise ValueError(f"search.elsewhere: only for tasks on closed configurations, but {self.task} counts worms")
        theory.require_stable(len(self.shape))
        if theory in self.training_points:
            raise ValueError("search.elsewhere: must differ from the training couplings")
        return self

    @property
    def searched(self) -> tuple[str, ...]:
        """The architectures to search, without duplicates."""
        return tuple(dict.fromkeys(family.architecture for family in self.families.values() if family.searched))

    @property
    def training_points(self) -> list[FluxTheory]:
        """The theory of each training ensemble."""
        return [self._theory(f"training.{i}", point) for i, point in enumerate(self.training)]

    @property
    def tests(self) -> tuple[Test, ...]:
        """All tests."""
        return (self.test, *self.farther)

    def test_points(self, test: Test) -> list[FluxTheory]:
        """The theory of each ensemble of a test; the last coupling of the theory varies fastest."""
        grid = test.couplings
        names = [name for name in self.training_points[0].couplings if name in grid]
        names += [name for name in grid if name not in names]  # unknown to the theory, which raises the error
        points = itertools.product(*(grid[name] for name in names))
        return [self._theory("test.couplings", dict(zip(names, point, strict=True))) for point in points]

    @property
    def elsewhere(self) -> FluxTheory | None:
        """The theory of the second validation set of the search, if any."""
        if self.search is None or self.search.elsewhere is None:
            return None
        try:
            return theory_of(self.theory, self.couplings | self.training[0] | self.search.elsewhere)
        except InputError as error:
            raise ValueError(f"search.elsewhere: {error}") from None

    def _theory(self, place: str, couplings: Couplings) -> FluxTheory:
        """The theory at these couplings and those of the section."""
        if twice := self.couplings.keys() & couplings.keys():
            raise ValueError(f"{place}.{min(twice)}: already among the couplings of the section")
        try:
            return theory_of(self.theory, self.couplings | couplings)
        except InputError as error:
            raise ValueError(f"{place}: {error}") from None


def _require_file_names(place: str, names: Iterable[str]) -> None:
    """Raise ValueError for names that give the same file name, or an empty one."""
    found: dict[str, str] = {}
    for name in names:
        stem = file_stem(name)
        if not stem or stem in found:
            raise ValueError(f"{place}: {name!r}: must have letters or digits, and differ from other names in them")
        found[stem] = name


def _require_room(name: str, numbers: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ValueError for more open worms than a lattice can hold."""
    most = math.prod(shape) // 4
    if max(numbers) > most:
        raise ValueError(f"{name}: {max(numbers)} worms on {shape_name(shape)}: at most {most} there")


def _require_different_labels(task: Task, n_worms: tuple[int, ...]) -> None:
    """Raise ValueError if the task gives all these numbers of worms the same label; tasks of other labels pass."""
    with suppress(AttributeError):
        labels = task.labels(cast(Any, SimpleNamespace(n_worms=np.array(n_worms))))
        if (labels == labels[0]).all():
            raise ValueError(f"n_worms: {task.name} has the same label for all of them; add another number")
