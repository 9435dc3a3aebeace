"""The works of a run. Their paths are relative to the run folder; heavy modules are imported when a work runs."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import not_
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.study.family import FixedNetwork, searched_network
from fluxeq.study.section import SearchSettings
from fluxeq.system.capacity import release_memory
from fluxeq.system.files import joint_checkpoint_file, model_file, write_json, write_text
from fluxeq.training.recipe import Recipe
from fluxeq.workflow.job import Work

Files = tuple[str, ...]
ByFamily = dict[str, dict[str, list[str]]]
"""Model files by section and family."""


class NetworkWork(Work):
    """Work that compiles networks."""

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[dict[str, float]]:
        """Use the cache of compiled functions; yields the seconds of compiling or of loading from the cache."""
        from fluxeq.training.compiled import keep_compiled, stopwatch

        keep_compiled()
        spent: dict[str, float] = {}
        with stopwatch() as stages:
            yield spent
        spent["compiling"] = sum(stages.values())
        release_memory()


class Sample(Work, kind="sample", output_kind="ensembles", self_checked=True, intermediate=True):
    """Sample one ensemble of closed configurations."""

    theory: str
    couplings: dict[str, float]
    shape: tuple[int, ...]
    n_configurations: int
    n_chains: int
    seed: int
    output: str

    @property
    def cost(self) -> float:
        """Thermalisation costs a few hundred configurations."""
        return 0.5 + 1e-5 * math.prod(self.shape) * (self.n_configurations + 200)

    def run(self, folder: Path) -> None:
        """Sample, or resume after a kill."""
        from fluxeq.data.checkpoints import sample_to_file
        from fluxeq.data.generation import Settings
        from fluxeq.theory import theory_of

        theory: Any = theory_of(self.theory, self.couplings)
        settings = Settings(theory, self.shape, self.n_configurations, self.n_chains, self.seed)
        sample_to_file(folder / self.output, settings)


class OpenWorms(Work, kind="worms", self_checked=True, intermediate=True):
    """Insert open worms into an ensemble."""

    source: str
    numbers: tuple[int, ...]
    seed: int
    output: str

    def run(self, folder: Path) -> None:
        """Write the ensemble with open worms."""
        from fluxeq.data.ensembles import open_ensemble, save_ensemble
        from fluxeq.data.generation import open_worms

        save_ensemble(
            folder / self.output, open_worms(open_ensemble(folder / self.source), self.numbers, seed=self.seed)
        )


class Examples(Frozen):
    """The training and validation data of a section."""

    task: str
    training: Files
    validation: Files

    def load(self, folder: Path, n_training: int | None) -> Any:
        """Load the first ``n_training`` examples, or all."""
        from fluxeq.training.datasets import load_data

        return load_data(self.task, _within(folder, self.training), _within(folder, self.validation), n_training)


class Search(NetworkWork, kind="search", learns=True, output_kind="searches"):
    """Search the hyperparameters of one architecture; results are in ``best.json`` and ``trials.json``."""

    section: str
    examples: Examples
    architecture: str
    settings: SearchSettings
    seed: int
    output: str
    observed: dict[str, list[tuple[str, int]]] = Field(default_factory=dict, exclude_if=not_)
    """Groups of files, with numbers of configurations, on which trainings are scored without effect on the search."""

    @property
    def cost(self) -> float:
        """Cost of all trainings of all settings."""
        asked = self.settings
        return asked.trials * asked.repeats * _cost(asked.recipe, asked.n_training)

    def run(self, folder: Path) -> None:
        """Search, or resume after the last trial."""
        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.searching.results import budget, save_results
        from fluxeq.searching.search import Problem, search
        from fluxeq.searching.storage import open_storage
        from fluxeq.training.datasets import dataset
        from fluxeq.training.device import Device

        asked, task = self.settings, self.examples.task
        data = self.examples.load(folder, asked.n_training)
        observed = {
            name: [dataset(task, open_ensemble(folder / file, n)) for file, n in files]
            for name, files in self.observed.items()
        }
        budgeted = asked.space, asked.recipe, asked.trials, asked.repeats
        problem = Problem(data, self.architecture, *budgeted, self.seed, Device.here(), observed)
        storage = open_storage(str(folder / self.output / "journal.log"))
        found = search(problem, storage, f"{self.section}-{self.architecture}", prune=asked.prune)
        allowed = budget(asked.recipe, len(data.training), asked.trials, asked.repeats)
        save_results(folder / self.output, self.section, self.architecture, found, allowed)


class Train(NetworkWork, kind="train", learns=True, output_kind="trained models", self_checked=True):
    """Train one instance of an architecture, with a fixed network or the best network of a search."""

    examples: Examples
    n_training: int | None = None
    """Number of training examples, the first ones; default all."""
    architecture: str
    augmentation: bool
    network: FixedNetwork | str
    """A fixed network, or the path of best.json."""
    recipe: Recipe
    seed: int
    instance: int
    output: str
    """Folder of the model and its learning curve."""

    @property
    def cost(self) -> float:
        """Cost of one training."""
        return _cost(self.recipe, self.n_training or 1000)

    @property
    def model(self) -> str:
        """Path of the model."""
        return f"{self.output}/{model_file(self.architecture, self.instance)}"

    @property
    def byproducts(self) -> tuple[str, ...]:
        """Other files of a training; the checkpoint of a group belongs to its first instance."""
        shared = (f"{self.output}/{joint_checkpoint_file(self.architecture)}",) if self.instance == 0 else ()
        stem = self.model.removesuffix(".safetensors")
        return (f"{stem}.csv", f"{stem}.checkpoint", *shared)

    def run(self, folder: Path) -> None:
        """Train the instance, unless it exists."""
        self.run_many([self], folder)

    @classmethod
    def run_many(
        cls, works: Sequence[Self], folder: Path, progress: Callable[[Any], None] = lambda reached: None
    ) -> None:
        """Train instances that differ in index and network only, together on a GPU, one after another on a CPU.

        A search may have found a network that another family has as well; what that has trained is copied.
        """
        from fluxeq.nets.architecture import configured
        from fluxeq.training.device import Device
        from fluxeq.training.instances import Series, train_instances

        first, device = works[0], Device.here()
        data = first.examples.load(folder, first.n_training)
        of_network: dict[str, list[Train]] = {}
        for work in works:
            of_network.setdefault(str(work.network), []).append(work)
        for same in of_network.values():
            asked = same[0].network
            network = asked if isinstance(asked, FixedNetwork) else searched_network(folder / asked)
            config = configured(first.architecture, network.config, data.training.shape)
            recipe = first.recipe.varied(len(data.training), network.recipe)
            series = Series(data, first.architecture, config, recipe, first.augmentation, first.seed)
            chosen, output = [work.instance for work in same], folder / first.output
            others = () if isinstance(asked, FixedNetwork) else output.parent.glob("*/")
            train_instances(series, chosen, output, device.together, progress, device, others)


def _cost(recipe: Recipe, n: int) -> float:
    """Approximate time in seconds of a training on ``n`` configurations of 60x4."""
    return 3 + 3e-5 * (recipe.epochs * n + recipe.levenberg_marquardt * (4000 + n))


class Evaluate(NetworkWork, kind="evaluate"):
    """Score the instances of a family, or a function, on the test sets with a lattice they accept."""

    section: str
    family: str
    models: Files
    function: str | None = None
    tests: list[tuple[str, int | None]]
    """Files, and the number of configurations of each."""
    output: str

    @property
    def cost(self) -> float:
        """Cost of all models on all test sets."""
        return 2 + 0.02 * len(self.models) * len(self.tests)

    def run(self, folder: Path) -> None:
        """Write the table."""
        from fluxeq.analysis.metrics import score_table

        models = _within(folder, self.models)
        _save(folder / self.output, score_table(folder, self.section, self.family, models, self.function, self.tests))


class ReferenceMeans(Work, kind="reference", shown=True):
    """Compute reference means for a section that are independent of its test sets."""

    section: str
    task: str
    ensembles: Files
    theory: str
    solved: tuple[tuple[dict[str, float], tuple[int, ...]], ...]
    """Couplings and lattices with exactly known means."""
    output: str

    def run(self, folder: Path) -> None:
        """Write the table."""
        from fluxeq.analysis.reference import references
        from fluxeq.theory import theory_of

        points = [(theory_of(self.theory, couplings), shape) for couplings, shape in self.solved]
        files = _within(folder, self.ensembles)
        _save(folder / self.output, references(self.task, files, points))


class CollectScores(Work, kind="collect", shown=True):
    """Collect all scores in one table."""

    scores: Files

    def run(self, folder: Path) -> None:
        """Write metrics.csv."""
        import pandas

        found = []
        for path in self.scores:
            try:
                found.append(pandas.read_csv(folder / path))
            except ValueError as error:
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"{folder / path}: cannot be read ({reason}); remove it, then 'fluxeq reproduce' restores it"
                ) from None
        _save(folder / "metrics.csv", pandas.concat(found, ignore_index=True))


class MeasureNetworks(NetworkWork, kind="measure", shown=True):
    """Measure network properties other than losses: translation errors, responses, an example with feature maps."""

    models: ByFamily
    tests: dict[str, str]
    """A test set of each section, on its training lattice."""
    closed: dict[str, str]
    """The closed ensembles from which those with worms were made."""

    def run(self, folder: Path) -> None:
        """Write the tables."""
        from fluxeq.analysis import measurements

        files = {
            section: {family: _within(folder, paths) for family, paths in found.items()}
            for section, found in self.models.items()
        }
        tests, closed = (
            {section: folder / path for section, path in some.items()} for some in (self.tests, self.closed)
        )
        for name, table in measurements.tables(files, tests, closed):
            _save(folder / "measurements" / f"{name}.csv", table)


class ModelCards(Work, kind="model_cards", shown=True):
    """Copy the best network of every family, with its model card."""

    models: ByFamily
    output: str

    def run(self, folder: Path) -> None:
        """Copy the models and write their cards."""
        from fluxeq.report.model_cards import write_cards

        write_cards(folder, self.models, folder / self.output)


class DrawFigure(Work, kind="figure", shown=True):
    """Draw one figure from the stored numbers."""

    name: str
    searches: Files = ()
    """Folders of searches, for a figure that only shows searches."""

    def run(self, folder: Path) -> None:
        """Write its table and images."""
        from fluxeq.report.figures.registry import write_figure, write_searches
        from fluxeq.study.study import load_study

        if self.searches:
            folders = sorted(_within(folder, self.searches))
            write_searches(folders, self.name, load_study(folder / "study.toml").tasks, folder / "figures")
        else:
            write_figure(folder, self.name)


class JudgeClaims(Work, kind="claims", shown=True):
    """Judge the claims of the paper from the stored numbers."""

    def run(self, folder: Path) -> None:
        """Write claims.json."""
        from fluxeq.analysis.claims import write_claims

        write_claims(folder)


class Report(Work, kind="report", shown=True):
    """Write the provenance of the run and the report."""

    fingerprints: dict[str, str]
    """Fingerprints of all other jobs, which select the relevant lines of the log."""
    unfinished: str = Field(default="", exclude=True)
    """Progress of an unfinished run, in words."""

    def run(self, folder: Path) -> None:
        """Write provenance.json and report.html."""
        from fluxeq.report.provenance import provenance

        write_json(folder / "provenance.json", provenance(folder, self.fingerprints))
        self.write_page(folder)

    def write_page(self, folder: Path) -> None:
        """Write report.html only."""
        from fluxeq.report.page import write_report

        write_report(folder, self.unfinished)


def _within(folder: Path, paths: Sequence[str]) -> list[Path]:
    return [folder / path for path in paths]


def _save(path: Path, table: Any) -> None:
    write_text(path, table.to_csv(index=False))
