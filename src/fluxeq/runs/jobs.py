"""What each kind of job does: plain functions of the run folder and plain settings, to run in any process.

Each can be repeated: what is finished is kept, what is missing is made, and the result is the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.system.files import digest, locked, read_json, whole
from fluxeq.training.compiled import keep_compiled
from fluxeq.workflow.records import fingerprint_in, is_done


def sample(
    run: Path, output: str, couplings: list[float], shape: list[int], n_configurations: int, n_chains: int, seed: int
) -> None:
    """Sample one ensemble of closed configurations."""
    from fluxeq.data.generation import Settings, sample_to_file
    from fluxeq.theory import Theory

    sample_to_file(run / output, Settings(Theory(*couplings), tuple(shape), n_configurations, n_chains, seed))


def worms(run: Path, source: str, output: str, numbers: list[int], seed: int) -> None:
    """Open worms in an ensemble."""
    from fluxeq.data.ensembles import open_ensemble, save_ensemble
    from fluxeq.data.generation import with_worms

    save_ensemble(run / output, with_worms(open_ensemble(run / source), numbers, seed))


def search(
    run: Path,
    task: str,
    training: list[str],
    validation: list[str],
    seed: int,
    architecture: str,
    output: str,
    search: dict[str, Any],
) -> None:
    """Search the setting of one architecture for one task; ``best.json`` and ``trials.json`` hold what was found."""
    from fluxeq.search.results import budget, save_results
    from fluxeq.search.search import search as find
    from fluxeq.search.space import Space
    from fluxeq.search.storage import open_storage
    from fluxeq.training.datasets import load_data
    from fluxeq.training.device import Device
    from fluxeq.training.recipe import Recipe

    data = load_data(task, _within(run, training), _within(run, validation), search["n_training"])
    recipe = Recipe.model_validate(search["recipe"])
    settings = find(
        data,
        architecture,
        Space.model_validate(search["space"]),
        recipe,
        search["trials"],
        search["repeats"],
        seed,
        open_storage(str(run / output / "journal.log")),
        f"{task}-{architecture}",
        prune=search.get("prune", False),
        device=Device.here(),
    )
    allowed = budget(recipe, len(data.training), search["trials"], search["repeats"])
    save_results(run / output, task, architecture, settings, allowed)


def train(
    run: Path,
    task: str,
    training: list[str],
    validation: list[str],
    seed: int,
    architecture: str,
    augmentation: bool,
    n_training: int,
    recipe: dict[str, Any],
    instances: list[int],
    output: str,
    winners: list[str] | None = None,
    networks: list[dict[str, Any]] | None = None,
) -> None:
    """Train instances of one architecture, by their numbers, with the winners of searches or given networks: their
    configs, and what they want of the recipe. Instance i takes network i, counted on from the first after the last one.
    """
    from fluxeq.nets.architecture import configured
    from fluxeq.training.datasets import load_data
    from fluxeq.training.device import Device
    from fluxeq.training.instances import train_instances
    from fluxeq.training.recipe import Recipe

    data = load_data(task, _within(run, training), _within(run, validation), n_training)
    found, device = networks_of(run, winners, networks), Device.here()
    for i, network in enumerate(found):
        train_instances(
            data,
            architecture,
            configured(architecture, network["config"], data.training.shape),
            Recipe.model_validate(recipe).varied(len(data.training), network.get("recipe", {})),
            augmentation,
            [instance for instance in instances if instance % len(found) == i],
            seed,
            run / output,
            together=device.together,
            device=device,
        )


def networks_of(
    run: Path, winners: list[str] | None = None, networks: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The winners of searches, or given networks; each has a config, and perhaps some of a recipe.

    Raises InputError if a file is not that of a winner.
    """
    found = [read_json(run / winner) for winner in winners] if winners else networks or []
    for path, network in zip(winners or [], found, strict=False):
        if not isinstance(network, dict) or not isinstance(network.get("config"), dict):
            raise InputError(f"{run / path}: not the winner of a search; remove it; the same command makes it again")
    return found


def evaluate(run: Path, group: str, models: list[str], tests: list[tuple[str, list[int]]], output: str) -> None:
    """Score instances on the test sets whose lattice they can take."""
    from fluxeq.analysis.metrics import score_table

    table = score_table(run, group, _within(run, models), tests)
    _save_table(run / output, table)


def collect(run: Path, scores: list[str]) -> None:
    """Put all scores into one table."""
    import pandas

    found = []
    for path in scores:
        try:
            found.append(pandas.read_csv(run / path))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{run / path}: cannot be read ({reason}); remove it; 'fluxeq reproduce' makes it again"
            ) from None
    _save_table(run / "metrics.csv", pandas.concat(found, ignore_index=True))


def measure(run: Path, models: dict[str, dict[str, list[str]]], data: dict[str, str]) -> None:
    """Make the measurements beside the losses: translation errors, responses, an example and its feature maps."""
    from fluxeq.analysis import measurements

    files = {task: {name: _within(run, paths) for name, paths in found.items()} for task, found in models.items()}
    for name, table in measurements.tables(files, {name: run / path for name, path in data.items()}):
        _save_table(run / "measurements" / f"{name}.csv", table)


def figure(run: Path, name: str) -> None:
    """Draw one figure from the stored numbers; that of the searches from those of the study that are done."""
    from fluxeq.report.figures.registry import write_figure, write_searches
    from fluxeq.runs.plan import digests, plan
    from fluxeq.study.study import load_study

    if name != "search":
        write_figure(run, name)
        return
    jobs = plan(load_study(run / "study.toml"))
    fingerprints = digests(jobs)
    searches = [job for job in jobs if job.kind == "search" and is_done(run, job, fingerprints[job.name])]
    write_searches(run, sorted(run / job.outputs[0] for job in searches))


def claims(run: Path) -> None:
    """Judge the claims of the paper by the stored numbers."""
    from fluxeq.analysis.claims import write_claims

    write_claims(run)


def winners(run: Path, models: dict[str, dict[str, list[str]]], output: str) -> None:
    """Copy the best network of every task and architecture, with a card for each."""
    from fluxeq.report.model_cards import write_winners

    write_winners(run, models, run / output)


def report(run: Path) -> None:
    """Write down how the run was made, and the report."""
    from fluxeq.report.page import write_report
    from fluxeq.report.provenance import write_provenance
    from fluxeq.runs.plan import digests, plan
    from fluxeq.study.study import load_study

    study = load_study(run / "study.toml")
    write_provenance(run, digests(plan(study)))
    write_report(run, study)


KINDS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (sample, worms, search, train, evaluate, collect, measure, winners, figure, claims, report)
}


WITH_NETWORKS = ("search", "train", "evaluate", "measure")
"""Kinds that compile networks."""


def work(run: Path, kind: str, settings: dict[str, Any], fingerprint: str, record: Path) -> None:
    """Do one job, or a part of one, that was prepared with this fingerprint; no other copy of it works meanwhile.

    An executor may give a job away again though the one who had it still works, cut off from the others. Then the
    second copy waits here until the first one has finished or died, and goes on from what that has left. Raises
    InputError if the job has been prepared with other settings meanwhile.
    """
    if kind in WITH_NETWORKS:
        keep_compiled()
    with locked(record.with_suffix(".lock"), shared=True):  # against the preparation
        if fingerprint_in(record) != fingerprint:
            raise InputError(f"{record}: this job has got other settings meanwhile; start the run again")
        with locked(record.with_suffix(f".{digest(settings)}.lock")):  # against a copy
            KINDS[kind](run, **settings)


def _within(run: Path, paths: list[str]) -> list[Path]:
    return [run / path for path in paths]


def _save_table(path: Path, table: Any) -> None:
    with whole(path) as temporary:
        table.to_csv(temporary, index=False)
