"""What the jobs of a run do: works, whose paths are those in the run folder. Heavy modules are imported by the work."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.study.family import FixedNetwork
from fluxeq.study.section import SearchSettings
from fluxeq.system.files import model_file, read_json, together_file, whole
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
        """Keep what is compiled; seconds of compiling, or of loading what was kept."""
        from fluxeq.training.compiled import keep_compiled, stopwatch

        keep_compiled()
        spent: dict[str, float] = {}
        with stopwatch() as stages:
            yield spent
        spent["compiling"] = sum(stages.values())


class Sample(Work, kind="sample", costly="ensembles", large=True, intermediate=True):
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
        """Thermalisation is some hundred configurations."""
        return 0.5 + 1e-5 * math.prod(self.shape) * (self.n_configurations + 200)

    def run(self, folder: Path) -> None:
        """Go on where a killed one was."""
        from fluxeq.data.checkpoints import sample_to_file
        from fluxeq.data.generation import Settings
        from fluxeq.theory import theory_of

        theory: Any = theory_of(self.theory, self.couplings)
        settings = Settings(theory, self.shape, self.n_configurations, self.n_chains, self.seed)
        sample_to_file(folder / self.output, settings)


class OpenWorms(Work, kind="worms", large=True, intermediate=True):
    """Open worms in an ensemble."""

    source: str
    numbers: tuple[int, ...]
    seed: int
    output: str

    def run(self, folder: Path) -> None:
        """Write the opened ensemble."""
        from fluxeq.data.ensembles import open_ensemble, save_ensemble
        from fluxeq.data.generation import open_worms

        save_ensemble(
            folder / self.output, open_worms(open_ensemble(folder / self.source), self.numbers, seed=self.seed)
        )


class Examples(Frozen):
    """The data of a section: what networks are trained on, and judged by while they are."""

    task: str
    training: Files
    validation: Files

    def load(self, folder: Path, n_training: int | None) -> Any:
        """The first ``n_training`` of them, or all."""
        from fluxeq.training.datasets import load_data

        return load_data(self.task, _within(folder, self.training), _within(folder, self.validation), n_training)


class Search(NetworkWork, kind="search", learns=True, costly="searches"):
    """Search the setting of one architecture; ``best.json`` and ``trials.json`` hold what was found."""

    section: str
    examples: Examples
    architecture: str
    settings: SearchSettings
    seed: int
    output: str
    observed: dict[str, list[tuple[str, int]]] = Field(default_factory=dict, exclude_if=lambda observed: not observed)
    """Groups of files that every training is scored on, and how many configurations of each; they choose nothing."""

    @property
    def cost(self) -> float:
        """All trainings of all settings."""
        asked = self.settings
        return asked.trials * asked.repeats * _cost(asked.recipe, asked.n_training)

    def run(self, folder: Path) -> None:
        """Go on after the last setting that was tried."""
        from fluxeq.data.ensembles import open_ensemble
        from fluxeq.searching.results import budget, save_results
        from fluxeq.searching.search import search
        from fluxeq.searching.storage import open_storage
        from fluxeq.training.datasets import dataset
        from fluxeq.training.device import Device

        asked, task = self.settings, self.examples.task
        data = self.examples.load(folder, asked.n_training)
        observed = {
            name: [dataset(task, open_ensemble(folder / file, n)) for file, n in files]
            for name, files in self.observed.items()
        }
        found = search(
            data,
            self.architecture,
            asked.space,
            asked.recipe,
            asked.trials,
            asked.repeats,
            self.seed,
            open_storage(str(folder / self.output / "journal.log")),
            f"{self.section}-{self.architecture}",
            prune=asked.prune,
            device=Device.here(),
            observed=observed,
        )
        allowed = budget(asked.recipe, len(data.training), asked.trials, asked.repeats)
        save_results(folder / self.output, self.section, self.architecture, found, allowed)


class Train(NetworkWork, kind="train", learns=True, costly="trained models", large=True):
    """Train one instance of one architecture, with a fixed network or the winner of a search."""

    examples: Examples
    n_training: int | None = None
    """The first ones of the examples; all unless given."""
    architecture: str
    augmentation: bool
    network: FixedNetwork | str
    """Or the path of best.json."""
    recipe: Recipe
    seed: int
    instance: int
    output: str
    """The folder of the model and its learning curve."""

    @property
    def cost(self) -> float:
        """One training."""
        return _cost(self.recipe, self.n_training or 1000)

    @property
    def model(self) -> str:
        """The path of the model."""
        return f"{self.output}/{model_file(self.architecture, self.instance)}"

    @property
    def byproducts(self) -> tuple[str, ...]:
        """What else a training writes; the first instance answers for the checkpoint of those that go together."""
        shared = (f"{self.output}/{together_file(self.architecture)}",) if self.instance == 0 else ()
        stem = self.model.removesuffix(".safetensors")
        return (f"{stem}.csv", f"{stem}.checkpoint", *shared)

    def run(self, folder: Path) -> None:
        """Train it, unless it is there."""
        self.run_many([self], folder)

    @classmethod
    def run_many(
        cls, works: Sequence[Self], folder: Path, progress: Callable[[Any], None] = lambda reached: None
    ) -> None:
        """Train instances that differ in number and network only: on a GPU together, else one after another."""
        from fluxeq.nets.architecture import configured
        from fluxeq.training.device import Device
        from fluxeq.training.instances import train_instances

        first, device = works[0], Device.here()
        data = first.examples.load(folder, first.n_training)
        of_network: dict[str, list[Train]] = {}
        for work in works:
            of_network.setdefault(str(work.network), []).append(work)
        for same in of_network.values():
            network = network_of(folder, same[0].network)
            train_instances(
                data,
                first.architecture,
                configured(first.architecture, network.config, data.training.shape),
                first.recipe.varied(len(data.training), network.recipe),
                first.augmentation,
                [work.instance for work in same],
                first.seed,
                folder / first.output,
                together=device.together,
                progress=progress,
                device=device,
            )


def _cost(recipe: Recipe, n: int) -> float:
    """Seconds of a training on ``n`` configurations of 60x4."""
    return 3 + 3e-5 * (recipe.epochs * n + recipe.levenberg_marquardt * (4000 + n))


def network_of(folder: Path, network: FixedNetwork | str) -> FixedNetwork:
    """A fixed network, or the winner of a search. Raises InputError if a file is not that of a winner."""
    if isinstance(network, FixedNetwork):
        return network
    found = read_json(folder / network)
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise InputError(f"{folder / network}: not the winner of a search; remove it; the same command makes it again")
    return FixedNetwork(config=found["config"], recipe=found.get("recipe", {}))


class Evaluate(NetworkWork, kind="evaluate"):
    """Score the instances of a family, or a function, on the test sets whose lattice they can take."""

    section: str
    family: str
    models: Files
    function: str | None = None
    tests: list[tuple[str, int | None]]
    """Files, and how many configurations of each."""
    output: str

    @property
    def cost(self) -> float:
        """All models on all test sets."""
        return 2 + 0.02 * len(self.models) * len(self.tests)

    def run(self, folder: Path) -> None:
        """Write the table."""
        from fluxeq.analysis.metrics import score_table

        models = _within(folder, self.models)
        _save(folder / self.output, score_table(folder, self.section, self.family, models, self.function, self.tests))


class Refer(Work, kind="reference", shown=True):
    """Find the means of a section that share nothing with its test sets."""

    section: str
    task: str
    ensembles: Files
    theory: str
    solved: tuple[tuple[dict[str, float], tuple[int, ...]], ...]
    """Couplings and lattices whose means are exact."""
    output: str

    def run(self, folder: Path) -> None:
        """Write the table."""
        from fluxeq.analysis.reference import references
        from fluxeq.theory import theory_of

        points = [(theory_of(self.theory, couplings), shape) for couplings, shape in self.solved]
        files = _within(folder, self.ensembles)
        _save(folder / self.output, references(self.task, files, points))


class Collect(Work, kind="collect", shown=True):
    """Put all scores into one table."""

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
                    f"{folder / path}: cannot be read ({reason}); remove it; 'fluxeq reproduce' makes it again"
                ) from None
        _save(folder / "metrics.csv", pandas.concat(found, ignore_index=True))


class Measure(NetworkWork, kind="measure", shown=True):
    """Make the measurements beside the losses: translation errors, responses, an example and its feature maps."""

    models: ByFamily
    tests: dict[str, str]
    """A test set of each section, on the lattice of its training."""
    closed: dict[str, str]
    """What those with worms were opened from."""

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
    """Copy the best network of every family, with a card for each."""

    models: ByFamily
    output: str

    def run(self, folder: Path) -> None:
        """Write them."""
        from fluxeq.report.model_cards import write_cards

        write_cards(folder, self.models, folder / self.output)


class DrawFigure(Work, kind="figure", shown=True):
    """Draw one figure from the stored numbers."""

    name: str
    searches: Files = ()
    """The folders of those that it shows, if it shows nothing else."""

    def run(self, folder: Path) -> None:
        """Write its table and pictures."""
        from fluxeq.report.figures.registry import write_figure, write_searches
        from fluxeq.study.study import load_study

        if self.searches:
            folders = sorted(_within(folder, self.searches))
            write_searches(folders, self.name, load_study(folder / "study.toml").tasks, folder / "figures")
        else:
            write_figure(folder, self.name)


class JudgeClaims(Work, kind="claims", shown=True):
    """Judge the claims of the paper by the stored numbers."""

    def run(self, folder: Path) -> None:
        """Write claims.json."""
        from fluxeq.analysis.claims import write_claims

        write_claims(folder)


class Report(Work, kind="report", shown=True):
    """Write down how the run was made, and the report."""

    fingerprints: dict[str, str]
    """Of all other jobs: lines of the log count that have them."""
    unfinished: str = Field(default="", exclude=True)
    """How far an unfinished run is."""

    def run(self, folder: Path) -> None:
        """Write provenance.json and report.html."""
        from fluxeq.report.provenance import write_provenance

        write_provenance(folder, self.fingerprints)
        self.write_page(folder)

    def write_page(self, folder: Path) -> None:
        """Write report.html alone."""
        from fluxeq.report.page import write_report

        write_report(folder, self.unfinished)


def _within(folder: Path, paths: Sequence[str]) -> list[Path]:
    return [folder / path for path in paths]


def _save(path: Path, table: Any) -> None:
    with whole(path) as temporary:
        table.to_csv(temporary, index=False)
