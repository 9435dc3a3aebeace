"""The study file: one TOML file that fixes a whole run, validated; unknown keys are errors.

``quick``, ``laptop`` and ``paper`` ship with the package; any other name is the path of a TOML file.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from fluxeq.config import Frozen, first_problem
from fluxeq.errors import InputError
from fluxeq.search.space import Space
from fluxeq.training.recipe import Recipe

SHIPPED = ("quick", "laptop", "paper")
TASK_NAMES: tuple[Literal["regression", "detection", "counting"], ...] = ("regression", "detection", "counting")

Extent = Annotated[int, Field(ge=2)]
Shape = tuple[Extent, ...]
Augmented = tuple[str, bool]
"""An architecture, and whether it is trained with augmentation."""


class Sampling(Frozen):
    """How ensembles are sampled."""

    chains: PositiveInt = 4


class SearchSettings(Frozen):
    """The hyper-parameter search of every task and architecture: equal budgets for all."""

    space: Space = Space()
    trials: PositiveInt
    repeats: PositiveInt = 3
    n_training: PositiveInt
    """Training configurations, the first ones of those of the task."""
    recipe: Recipe
    prune: bool = Field(default=False, exclude_if=lambda prune: not prune)
    """Give a setting up as soon as its losses alone say that it cannot win; written only where it is wanted."""


class Training(Frozen):
    """How many instances are trained, and how."""

    instances: PositiveInt
    recipe: Recipe


class Given(Frozen):
    """A network that is given in place of one that a search finds."""

    config: dict[str, Any]
    """The fields of the architecture that differ from its defaults."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Those of the recipe of the task that this network wants otherwise."""

    def require_trainable(self, architecture: str, shape: Shape, recipe: Recipe) -> None:
        """Raise ValueError for what the architecture, the lattice or the recipe does not know."""
        from fluxeq.nets.architectures import configured  # takes seconds, which most studies need not wait for

        configured(architecture, self.config, shape)
        try:
            Recipe.model_validate(recipe.model_dump() | self.recipe)
        except ValidationError as error:
            raise ValueError(f"networks.{architecture}.recipe.{first_problem(error)}") from None


class Searched(Training):
    """A task whose networks are found by a search: which architectures, and which also with augmentation."""

    shape: Shape
    """The lattice of the training."""
    architectures: tuple[str, ...] = ("EQ", "ST", "FL")
    augmented: tuple[str, ...] = ()
    search: SearchSettings
    searches: PositiveInt = 1
    """Independent searches of each architecture. Instances are shared out among their winners, one after another, so
    that the spread over instances tells what depends on the luck of a search."""
    networks: dict[str, tuple[Given, ...]] = Field(default_factory=dict)
    """By architecture: networks that its instances take in turn, in place of a search."""

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


class Regression(Searched):
    """Prediction of n and |phi|^2: trained at one mu and shape, tested at others."""

    eta: float
    lam: float
    mu: float
    n_training: tuple[PositiveInt, ...]
    """Training-set sizes, rising; the validation set is a tenth."""
    test_mu: tuple[float, ...]
    test_shapes: tuple[Shape, ...]
    test_configurations: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.n_training) != sorted(set(self.n_training)):
            raise ValueError("n_training: different sizes in rising order are needed")
        if self.mu not in self.test_mu or self.shape not in self.test_shapes:
            raise ValueError("test_mu and test_shapes must contain the mu and shape of the training")
        return self


class Worms(Searched):
    """Detection or counting of open worms: trained at some couplings on one lattice, tested at others."""

    lam: float
    couplings: tuple[tuple[float, float], ...]
    """(eta, mu) of the training."""
    n_worms: tuple[int, ...]
    configurations: PositiveInt
    """Training configurations for each coupling and number of worms; the validation set is a tenth."""
    test_eta: tuple[float, ...]
    test_mu: tuple[float, ...]
    test_shapes: tuple[Shape, ...]
    test_n_worms: tuple[int, ...]
    test_configurations: PositiveInt
    """For each coupling, shape and number of worms."""


class Reference(Training):
    """The flattening network of Zhou et al., Phys. Rev. D 100 (2019) 011501, to compare EQ with on its lattice."""

    config: dict[str, Any]
    eta: float
    lam: float
    mu: tuple[float, ...]
    """The values of mu it is trained at, in equal parts."""
    shape: Shape
    n_training: PositiveInt


class Study(Frozen):
    """A whole run."""

    name: str
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
        for task in (self.detection, self.counting):
            if task.shape not in task.test_shapes or any(
                eta not in task.test_eta or mu not in task.test_mu for eta, mu in task.couplings
            ):
                raise ValueError("the couplings and shape of a training on worms must be among those of its tests")
        return self


def load_study(name: str | Path) -> Study:
    """A shipped study by name, or the one in a TOML file.

    Raises InputError if there is no such file, or it is not a valid study; the message names the first wrong key.
    """
    try:
        return Study.model_validate(tomllib.loads(study_text(name)))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: not a TOML file ({error})") from None
    except ValidationError as error:
        raise InputError(f"{name}: {first_problem(error)}") from None


def study_text(name: str | Path) -> str:
    """The text of a shipped study or of a TOML file. Raises InputError if there is no such file."""
    if name in SHIPPED:
        return files("fluxeq.studies").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8")
    raise InputError(f"study {str(name)!r}: choose {', '.join(SHIPPED)}, or the path of a TOML file")
