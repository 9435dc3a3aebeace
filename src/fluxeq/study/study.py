"""The study file: one TOML file that fixes a whole run, validated; unknown keys are errors.

What a job would refuse hours later is refused here, as far as the file alone can tell: couplings without a theory, more
worms than a lattice holds, lists that are empty or hold a value twice, more examples than there will be.

``quick``, ``laptop`` and ``paper`` ship with the package; any other name is the path of a TOML file.
"""

import itertools
import math
import os
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, JsonValue, ValidationError, field_validator, model_validator

from fluxeq.config import Frozen, first_problem
from fluxeq.errors import InputError
from fluxeq.search.space import Space
from fluxeq.theory import Theory
from fluxeq.training.recipe import Recipe

SHIPPED = ("quick", "laptop", "paper")
TASK_NAMES: tuple[Literal["regression", "detection", "counting"], ...] = ("regression", "detection", "counting")

Value = TypeVar("Value")


def _different(values: tuple[Value, ...]) -> tuple[Value, ...]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{value!r} is there twice; different values are needed")
    return values


Different = Annotated[tuple[Value, ...], AfterValidator(_different)]
Some = Annotated[Different[Value], Field(min_length=1)]
"""At least one value, none of them twice."""
Count = Annotated[int, Field(ge=1, lt=2**31)]
Extent = Annotated[int, Field(ge=2, lt=2**15)]
Shape = Annotated[tuple[Extent, ...], Field(min_length=1)]
Coupling = Annotated[float, Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]
"""-0.0 is 0.0, also in names."""
NumberOfWorms = Annotated[int, Field(ge=0)]
MOST_INSTANCES = 1000
"""Of one training; their files are numbered with three digits."""
KNOWN_ARCHITECTURES = ("EQ", "ST", "FL")
"""Those that need not be looked up: the registry takes seconds to load."""
Augmented = tuple[str, bool]
"""An architecture, and whether it is trained with augmentation."""


class Sampling(Frozen):
    """How ensembles are sampled."""

    chains: Count = 4


class SearchSettings(Frozen):
    """The hyper-parameter search of every task and architecture: equal budgets for all."""

    space: Space = Space()
    trials: Count
    repeats: Count = 3
    n_training: Count
    """Training configurations, the first ones of those of the task."""
    recipe: Recipe
    prune: bool = Field(default=False, exclude_if=lambda prune: not prune)
    """Give a setting up as soon as its losses alone say that it cannot win; written only where it is wanted."""


class Training(Frozen):
    """How many instances are trained, and how."""

    instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)]
    recipe: Recipe


class Given(Frozen):
    """A network that is given in place of one that a search finds."""

    config: dict[str, JsonValue]
    """The fields of the architecture that differ from its defaults."""
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Those of the recipe of the task that this network wants otherwise."""

    def require_trainable(self, architecture: str, shape: Shape, recipe: Recipe) -> None:
        """Raise ValueError for what the architecture, the lattice or the recipe does not know."""
        from fluxeq.nets.architecture import configured  # takes seconds, which most studies need not wait for

        configured(architecture, self.config, shape)
        try:
            Recipe.model_validate(recipe.model_dump() | self.recipe)
        except ValidationError as error:
            raise ValueError(f"networks.{architecture}.recipe.{first_problem(error)}") from None


class Searched(Training):
    """A task whose networks are found by a search: which architectures, and which also with augmentation."""

    shape: Shape
    """The lattice of the training."""
    architectures: Some[str] = KNOWN_ARCHITECTURES
    augmented: Different[str] = ()
    search: SearchSettings
    searches: Count = 1
    """Independent searches of each architecture. Instances are shared out among their winners, one after another, so
    that the spread over instances tells what depends on the luck of a search."""
    networks: dict[str, tuple[Given, ...]] = Field(default_factory=dict)
    """By architecture: networks that its instances take in turn, in place of a search."""

    @field_validator("architectures")
    @classmethod
    def _architectures_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in KNOWN_ARCHITECTURES:
                from fluxeq.nets.architecture import ARCHITECTURES

                ARCHITECTURES.require_known(name)
        return names

    @model_validator(mode="after")
    def _augmented_ones_are_trained(self) -> Self:
        if unknown := [name for name in self.augmented if name not in self.architectures]:
            names = ", ".join(self.architectures)
            raise ValueError(
                f"augmented: {', '.join(map(repr, unknown))}: choose among the architectures of the task ({names})"
            )
        return self

    @model_validator(mode="after")
    def _strides_divide_the_lattice(self) -> Self:
        strided = [name for name in self.architectures if name != "EQ" and name not in self.networks]
        for stride, extent in itertools.product(self.search.space.strides, self.shape):
            if strided and extent % stride:
                raise ValueError(
                    f"search.space.strides: {stride} does not divide the lattice {'x'.join(map(str, self.shape))} of "
                    f"the training, as {strided[0]} needs it; leave it out, or change the shape"
                )
        return self

    @model_validator(mode="after")
    def _each_winner_is_trained(self) -> Self:
        if self.searches > self.instances:
            raise ValueError(f"searches = {self.searches}: at most the instances ({self.instances}), one a winner")
        return self

    @model_validator(mode="after")
    def _given_networks_can_be_trained(self) -> Self:
        for architecture, networks in self.networks.items():
            if architecture not in self.architectures:
                names = ", ".join(self.architectures)
                raise ValueError(f"networks.{architecture}: give networks of the architectures of the task ({names})")
            if not 1 <= len(networks) <= self.instances:
                raise ValueError(f"networks.{architecture}: 1 to {self.instances} are needed, at most one an instance")
            for network in networks:
                network.require_trainable(architecture, self.shape, self.recipe)
        return self

    @property
    def variants(self) -> tuple[Augmented, ...]:
        """Architectures without and with augmentation."""
        plain = tuple((architecture, False) for architecture in self.architectures)
        return plain + tuple((architecture, True) for architecture in self.augmented)

    def require_data(self, couplings: Iterable[tuple[float, float, float]], n_training: int) -> None:
        """Raise ValueError for couplings (eta, lam, mu) without a theory, or a search with more data than there are."""
        _require_theories(couplings, self.shape)
        if self.search.n_training > n_training:
            raise ValueError(f"search.n_training = {self.search.n_training}: there are {n_training} at most")


def _require_theories(couplings: Iterable[tuple[float, float, float]], shape: Shape) -> None:
    for eta, lam, mu in couplings:
        Theory(eta, lam, mu).require_stable(len(shape))


class Regression(Searched):
    """Prediction of n and |phi|^2: trained at one mu and shape, tested at others."""

    eta: Coupling
    lam: Coupling
    mu: Coupling
    n_training: Some[Count]
    """Training-set sizes, rising; the validation set is a tenth."""
    test_mu: Some[Coupling]
    test_shapes: Some[Shape]
    test_configurations: Count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.n_training) != sorted(self.n_training):
            raise ValueError("n_training: different sizes in rising order are needed")
        if self.mu not in self.test_mu or self.shape not in self.test_shapes:
            raise ValueError("test_mu and test_shapes must contain the mu and shape of the training")
        _require_one_dimension(self.test_shapes)
        self.require_data(((self.eta, self.lam, mu) for mu in self.test_mu), self.n_training[-1])
        return self


def _require_one_dimension(shapes: tuple[Shape, ...]) -> None:
    """Raise ValueError unless all lattices have as many directions."""
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError("test_shapes: lattices of one dimension are needed, since a network takes no others")


class Worms(Searched):
    """Detection or counting of open worms: trained at some couplings on one lattice, tested at others."""

    lam: Coupling
    couplings: Some[tuple[Coupling, Coupling]]
    """(eta, mu) of the training."""
    n_worms: Annotated[Different[NumberOfWorms], Field(min_length=2)]
    configurations: Annotated[int, Field(ge=10, lt=2**31)]
    """Training configurations for each coupling and number of worms; the validation set is a tenth, and no number of
    worms may be missing there."""
    test_eta: Some[Coupling]
    test_mu: Some[Coupling]
    test_shapes: Some[Shape]
    test_n_worms: Some[NumberOfWorms]
    test_configurations: Count
    """For each coupling, shape and number of worms."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.shape not in self.test_shapes or not set(self.couplings) <= set(self.tested):
            raise ValueError("the couplings and shape of a training on worms must be among those of its tests")
        _require_one_dimension(self.test_shapes)
        n_training = self.configurations * len(self.n_worms) * len(self.couplings)
        self.require_data(((eta, self.lam, mu) for eta, mu in self.tested), n_training)
        _require_room("n_worms", self.n_worms, self.shape)
        for shape in self.test_shapes:
            _require_room("test_n_worms", self.test_n_worms, shape)
        return self

    @property
    def tested(self) -> tuple[tuple[float, float], ...]:
        """(eta, mu) of the tests."""
        return tuple(itertools.product(self.test_eta, self.test_mu))


def _require_room(name: str, numbers: tuple[int, ...], shape: Shape) -> None:
    """Raise ValueError for more open worms than a lattice has room for, as when they are drawn."""
    most = math.prod(shape) // 4
    if max(numbers) > most:
        raise ValueError(f"{name}: {max(numbers)} worms on {'x'.join(map(str, shape))}: at most {most} there")


class Reference(Training):
    """The flattening network of Zhou et al., Phys. Rev. D 100 (2019) 011501, to compare EQ with on its lattice."""

    config: dict[str, JsonValue]
    eta: Coupling
    lam: Coupling
    mu: Some[Coupling]
    """The values of mu it is trained at, in equal parts."""
    shape: Shape
    n_training: Count

    @model_validator(mode="after")
    def _each_mu_has_its_part(self) -> Self:
        if self.n_training < len(self.mu):
            raise ValueError(f"n_training = {self.n_training}: at least one for each of {len(self.mu)} mu is needed")
        return self

    def require_trainable(self) -> None:
        """Raise InputError for a network that cannot be built; loads JAX."""
        from fluxeq.nets.architecture import configured

        try:
            configured("FL", self.config, self.shape)
        except InputError as error:
            raise InputError(f"reference.config: {error}") from None


class Study(Frozen):
    """A whole run."""

    name: Annotated[str, Field(min_length=1)]
    seed: int
    sampling: Sampling = Sampling()
    regression: Regression
    detection: Worms
    counting: Worms
    reference: Reference

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        there, here = self.reference, self.regression
        tested = there.shape in here.test_shapes and set(there.mu) <= set(here.test_mu)
        if not tested or (there.eta, there.lam) != (here.eta, here.lam):
            raise ValueError("reference: its couplings and shape must be among those that the regression is tested on")
        if {bool(n) for n in self.detection.n_worms} != {True, False} or 1 not in self.detection.test_n_worms:
            raise ValueError("detection: n_worms has 0 and another number, test_n_worms has 1, which is drawn")
        if len(self.detection.shape) != 2:
            raise ValueError("detection: shape: two extents are needed, since one of its configurations is drawn")
        return self


def load_study(name: str | Path) -> Study:
    """A shipped study by name, or the one in a TOML file.

    Raises InputError if there is no such file, or it is not a valid study; the message names the first wrong key.
    """
    text = study_text(name)
    try:
        return Study.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise InputError(f"{name}: {first_problem(error)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not a TOML file ({error})") from None


def study_text(name: str | Path) -> str:
    """The text of a shipped study or of a TOML file. Raises InputError if there is no such file, or it is no text."""
    if name in SHIPPED:
        return files("fluxeq.study").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    if not os.path.isfile(name):  # unlike that of pathlib, also of names that no file can have
        raise InputError(f"study {str(name)!r}: choose {', '.join(SHIPPED)}, or the path of a TOML file")
    try:
        return Path(name).read_text(encoding="utf-8-sig")  # some editors put a mark before the text
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not a TOML file, which is text in UTF-8 ({error})") from None
