"""A section of a study: one task on data of one theory, the networks that are trained for it, where they are tested.

What a job would refuse hours later is refused here, as far as the file alone can tell: couplings without a theory, more
worms than a lattice holds, lists that are empty or hold a value twice, more examples than there will be.
"""

import itertools
import math
from collections.abc import Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Annotated, Any, Self, cast

import numpy as np
from pydantic import Field, field_validator, model_validator

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.lattice import named
from fluxeq.searching.space import Space
from fluxeq.study.family import Family, file_stem
from fluxeq.study.values import Count, Coupling, Couplings, Different, NumberOfWorms, Shape, Some
from fluxeq.tasks.task import TASKS, Task
from fluxeq.theory import FluxTheory, theory_of
from fluxeq.training.recipe import Recipe

MOST_INSTANCES = 1000
"""Of one training; their files are numbered with three digits."""
LEAST_PER_NUMBER = 10
"""Training configurations of each coupling and number of worms: a tenth validates, where none may be missing."""


class SearchSettings(Frozen):
    """The hyper-parameter search of every architecture of a section: equal budgets for all."""

    space: Space = Space()
    """What varies."""
    trials: Count
    """Different settings of each architecture."""
    repeats: Count = 3
    """Trainings of each setting; the mean of their best validation losses counts."""
    n_training: Count
    """Training configurations, the first ones of those of the section."""
    recipe: Recipe
    """Of these trainings."""
    prune: bool = Field(default=False, exclude_if=lambda prune: not prune)
    """Give a setting up as soon as its losses alone say that it cannot win; written only where it is wanted."""
    elsewhere: Couplings | None = Field(default=None, exclude_if=lambda elsewhere: elsewhere is None)
    """Couplings, in place of those of the first training point, of a second validation set, on which every training is
    scored, as on the test sets of the training lattice. They choose nothing; written only where they are given."""


class Test(Frozen):
    """Where the networks of a section are tested: every combination of couplings, on every lattice."""

    __test__ = False

    couplings: dict[str, Some[Coupling]] = Field(default_factory=dict)
    """Values of each coupling that the section leaves open."""
    shapes: Some[Shape]
    """Lattices, time first."""
    configurations: Count
    """Of each ensemble; with worms, of each number of them."""
    n_worms: Different[NumberOfWorms] = ()
    """Numbers of open worms, for tasks that count them."""
    reference: Annotated[Count | None, Field(exclude_if=lambda n: n is None)] = None
    """Configurations of another ensemble at each point, for means that share nothing with the test sets."""

    @property
    def n_configurations(self) -> int:
        """Of each ensemble, over all numbers of worms."""
        return self.configurations * max(1, len(self.n_worms))


class Section(Frozen):
    """One task: its data, trainings and tests."""

    task: str
    """A name in ``fluxeq.tasks`` or ``package.module:NAME``; that of the section unless given."""
    theory: str = "phi4"
    """A name in ``fluxeq.theories`` or ``package.module:Class``."""
    couplings: Couplings = Field(default_factory=dict)
    """Those that all data of the section share."""
    training: Some[Couplings] = cast(tuple[Couplings, ...], ({},))
    """The others, for each ensemble of the training."""
    shape: Shape
    """The lattice of the training."""
    n_training: Some[Count]
    """Training-set sizes over all couplings and numbers of worms, rising; the validation set is a tenth."""
    n_worms: Different[NumberOfWorms] = ()
    """Numbers of open worms, for tasks that count them."""
    instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)]
    """Trainings of each network, from different random starts."""
    recipe: Recipe
    """How the networks are trained."""
    searches: Count = 1
    """Independent searches of each architecture. Instances are shared out among their winners, one after another, so
    that the spread over instances tells what depends on the luck of a search."""
    test: Test
    """Where they are tested; contains the couplings and the lattice of the training."""
    farther: tuple[Test, ...] = ()
    """Further tests, on lattices that ``test`` does not have."""
    families: dict[str, Family] = Field(
        default={name: Family(architecture=name) for name in ("EQ", "ST", "FL")}, min_length=1
    )
    """A list of names from the table at the top of the file, or a table; searched EQ, ST and FL unless given."""
    search: SearchSettings | None = None
    """Needed where a family has no fixed networks."""

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
            raise ValueError("test: its couplings and shapes must contain those of the training")
        shapes = [shape for test in self.tests for shape in test.shapes]
        if len({len(shape) for shape in shapes}) > 1:
            raise ValueError("test.shapes: lattices of one dimension are needed, since a network takes no others")
        if len({*shapes}) < len(shapes):
            raise ValueError("farther: other lattices than those of the test are needed, each once")
        if list(self.n_training) != sorted(self.n_training):
            raise ValueError("n_training: different sizes in rising order are needed")
        if self.n_training[0] < len(trained):
            raise ValueError(f"n_training: at least one for each of {len(trained)} couplings is needed")
        return self

    @model_validator(mode="after")
    def _worms_fit(self) -> Self:
        task = TASKS[self.task]
        if not task.counts_worms:
            if self.n_worms or any(test.n_worms for test in self.tests):
                raise ValueError(f"n_worms: {self.task} is of closed configurations; leave it out, also of the test")
            return self
        if len(self.n_worms) < 2 or not all(test.n_worms for test in self.tests):
            raise ValueError(f"n_worms: {self.task} needs at least two numbers of worms, and at least one in the test")
        if any(test.reference for test in self.tests):
            raise ValueError(f"test.reference: {self.task} counts worms, whose number is known; leave it out")
        _require_room("n_worms", self.n_worms, self.shape)
        for test in self.tests:
            for shape in test.shapes:
                _require_room("test.n_worms", test.n_worms, shape)
        _require_different_labels(task, self.n_worms)
        least = LEAST_PER_NUMBER * len(self.n_worms) * len(self.training)
        if self.n_training[0] < least:
            raise ValueError(
                f"n_training = {self.n_training[0]}: at least {least} are needed, {LEAST_PER_NUMBER} for each coupling "
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
                raise ValueError(f"families.{name}.networks: at most {self.instances} are needed, one an instance")
            for network in family.networks:
                try:
                    network.require_recipe(self.recipe)
                except ValueError as error:
                    raise ValueError(f"families.{name}.networks.{error}") from None
        if self.searched and self.search is None:
            raise ValueError(f"search: is needed, since {self.searched[0]} has no fixed networks")
        if self.search and self.search.n_training > self.n_training[-1]:
            raise ValueError(f"search.n_training = {self.search.n_training}: there are {self.n_training[-1]} at most")
        if self.searches > self.instances:
            raise ValueError(f"searches = {self.searches}: at most the instances ({self.instances}), one a winner")
        return self

    @model_validator(mode="after")
    def _elsewhere_is_another_place(self) -> Self:
        theory = self.elsewhere
        if theory is None:
            return self
        if TASKS[self.task].counts_worms:
            raise ValueError(f"search.elsewhere: {self.task} counts worms; it is for tasks of closed configurations")
        theory.require_stable(len(self.shape))
        if theory in self.training_points:
            raise ValueError("search.elsewhere: it is where the training is; other couplings are needed")
        return self

    @property
    def searched(self) -> tuple[str, ...]:
        """The architectures that are searched, each once."""
        return tuple(dict.fromkeys(family.architecture for family in self.families.values() if family.searched))

    @property
    def training_points(self) -> list[FluxTheory]:
        """The theory of each ensemble of the training."""
        return [self._theory(f"training.{i}", point) for i, point in enumerate(self.training)]

    @property
    def tests(self) -> tuple[Test, ...]:
        """All of them."""
        return (self.test, *self.farther)

    def test_points(self, test: Test) -> list[FluxTheory]:
        """The theory of each ensemble of a test, the last coupling of the theory fastest."""
        grid = test.couplings
        names = [name for name in self.training_points[0].couplings if name in grid]
        names += [name for name in grid if name not in names]  # which the theory then refuses
        points = itertools.product(*(grid[name] for name in names))
        return [self._theory("test.couplings", dict(zip(names, point, strict=True))) for point in points]

    @property
    def elsewhere(self) -> FluxTheory | None:
        """The theory of the second validation set of the search, if there is one."""
        if self.search is None or self.search.elsewhere is None:
            return None
        try:
            return theory_of(self.theory, self.couplings | self.training[0] | self.search.elsewhere)
        except InputError as error:
            raise ValueError(f"search.elsewhere: {error}") from None

    def _theory(self, place: str, couplings: Couplings) -> FluxTheory:
        """The theory at the couplings of the section and these."""
        if twice := self.couplings.keys() & couplings.keys():
            raise ValueError(f"{place}.{min(twice)}: is among the couplings of the section already")
        try:
            return theory_of(self.theory, self.couplings | couplings)
        except InputError as error:
            raise ValueError(f"{place}: {error}") from None

    def require_there(self) -> None:
        """Raise InputError for classes and functions that are not there, or networks that cannot be built."""
        for name, family in self.families.items():
            try:
                family.require_there(self.shape)
            except InputError as error:
                raise InputError(f"families.{name}: {error}") from None


def _require_file_names(place: str, names: Iterable[str]) -> None:
    """Raise ValueError for names that give one and the same file, or none."""
    found: dict[str, str] = {}
    for name in names:
        stem = file_stem(name)
        if not stem or stem in found:
            raise ValueError(f"{place}: {name!r}: letters and digits are needed, and others than in the other names")
        found[stem] = name


def _require_room(name: str, numbers: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ValueError for more open worms than a lattice has room for, as when they are drawn."""
    most = math.prod(shape) // 4
    if max(numbers) > most:
        raise ValueError(f"{name}: {max(numbers)} worms on {named(shape)}: at most {most} there")


def _require_different_labels(task: Task, n_worms: tuple[int, ...]) -> None:
    """Raise ValueError if a task makes no difference between these numbers; of one that looks at more, who knows."""
    with suppress(AttributeError):
        labels = task.labels(cast(Any, SimpleNamespace(n_worms=np.array(n_worms))))
        if (labels == labels[0]).all():
            raise ValueError(f"n_worms: {task.name} has one label for all of them; there is nothing to learn")
