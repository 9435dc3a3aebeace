"""Whether this tree computes the numbers of an earlier one: a study done by both, and every number compared.

    git worktree add /tmp/old 61a4f40
    python -m verification.same_numbers /tmp/old quick --output runs/same

The earlier tree named ensembles and the curves of figures otherwise, and seeds are derived from names: this tree runs
with the old names in the seeds. The old tables are then brought into the long form of the new ones. Compared are
configurations, weights, validation losses, trials of searches, scores and measurements; what differs is counted, and
the exit code says whether anything does. Claims that are put otherwise are printed, to be read.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import h5py
import numpy as np
import pandas as pd

from fluxeq.runs.ensembles import closed_tests, data_of
from fluxeq.runs.plan import plan
from fluxeq.study.study import Study, load_study
from fluxeq.system.files import derived_seed, read_json

NAMED = re.compile(r"(?P<purpose>.+?)-(?P<shape>\d+(?:x\d+)+)-eta(?P<eta>.+)-lam(?P<lam>.+)-mu(?P<mu>.+)")
TARGETS = {"regression": ("n", "phi2"), "detection": ("open",), "counting": ("n_worms",)}
"""Of the tasks of the earlier tree."""
SAID = itemgetter("measured", "holds")
POINT = ["task", "family", "n_training", "instance", "shape", "eta", "lam", "mu", "n_worms", "target"]


class Compared(NamedTuple):
    """Numbers of one kind: how many were compared, how many differ, and the largest difference."""

    what: str
    n: int
    n_different: int
    largest: float

    def __str__(self) -> str:
        return f"{self.what}: {self.n} compared, {self.n_different} differ, largest difference {self.largest:.3g}"


class Names:
    """What the earlier tree called the ensembles of a study."""

    def __init__(self, study: Study) -> None:
        shared = closed_tests(study)
        self._regression = {
            test.job.name.removeprefix("sample/")
            for name, section in study.tasks.items()
            if not section.n_worms
            for test in data_of(study, name, section, shared).tests
        }

    def closed(self, name: str) -> str:
        """Of a closed ensemble; the coupling lam was in the name of tests with worms only."""
        found = NAMED.fullmatch(name)
        assert found is not None, name
        purpose, shape, eta, lam, mu = found.groups()
        if purpose == "test":
            purpose = "regression-test" if name in self._regression else f"test-lam{lam}"
        return f"{purpose}-{shape}-eta{eta}-mu{mu}"

    def opened(self, name: str) -> tuple[str, str]:
        """Of an ensemble with open worms: what came first in its name, and the closed one."""
        section, _, rest = name.removesuffix("-open").partition("-")
        is_test = rest.startswith("test-")
        return (section, self.closed(rest)) if is_test else ("open", self.closed(f"{section}-{rest}"))

    def file(self, name: str) -> str:
        """The stem of the file of an ensemble."""
        return "-".join(self.opened(name)) if name.endswith("-open") else self.closed(name)

    def in_seeds(self, names: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """The names that a seed was derived from."""
        name = str(names[0])
        if len(names) > 1 or not NAMED.fullmatch(name.removesuffix("-open")):
            return names
        if not name.endswith("-open"):
            return (self.closed(name),)
        first, closed = self.opened(name)
        return first, f"sample/{closed}"


def main() -> None:
    """Do both runs, as far as they are not done, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a checkout of the earlier tree")
    parser.add_argument("study", nargs="?", default="quick", help="the name or file of the study")
    parser.add_argument("--old-study", help="the same study in the form of the earlier tree")
    parser.add_argument("--output", type=Path, default=Path("runs/same"), help="the folder of both runs, old and new")
    given = parser.parse_args()
    old, new = given.output / "old", given.output / "new"
    run_old(given.old, given.old_study or given.study, old)
    run_new(given.study, new)
    found = list(compared(old, new))
    print(*found, *different_claims(old, new), sep="\n")
    sys.exit(any(each.n_different for each in found))


def run_old(checkout: Path, study: str, run: Path) -> None:
    """Do the study with the earlier tree."""
    code = "from fluxeq.__main__ import main; main()"
    command = [sys.executable, "-c", code, "reproduce", study, "--output", str(run)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(checkout / "src")})


def run_new(study: str, run: Path) -> None:
    """Do the study with this tree, with the old names in the seeds, which are all derived in this process."""
    from fluxeq.runs.reproduce import reproduce
    from fluxeq.system.capacity import n_processors
    from fluxeq.workflow.executors import fleet, processes

    names = Names(load_study(study))
    seed_of = lambda self, *parts: derived_seed(self.seed, *names.in_seeds(parts))  # noqa: E731
    with mock.patch.object(Study, "seed_of", seed_of):
        reproduce(study, run, lambda: fleet(processes(n_processors())), lambda event: print(event.job.name, flush=True))


def compared(old: Path, new: Path) -> Iterator[Compared]:
    """All that both runs have left."""
    study = load_study(new / "study.toml")
    yield configurations(old, new, study)
    yield from models(old, new)
    yield trials(old, new)
    yield from scores(old, new, study)
    yield from measurements(old, new, study)


def configurations(old: Path, new: Path, study: Study) -> Compared:
    """Every configuration of every ensemble."""
    names, pairs = Names(study), []
    for job in plan(study):
        if job.kind in ("sample", "worms"):
            stem = Path(job.outputs[0]).stem
            files = (new / job.outputs[0], old / "ensembles" / f"{names.file(stem)}.h5")
            both = [h5py.File(file)["configurations"][()] for file in files]
            pairs.append((both[0].ravel(), both[1].ravel()))
    return numbers("configurations", pairs)


def models(old: Path, new: Path) -> Iterator[Compared]:
    """Weights, and what the headers say of how the training went."""
    weights, told = [], []
    for path in sorted(new.glob("models/*/*.safetensors")):
        there = old_model(old, path)
        (about, tensors), (old_about, old_tensors) = safetensors(path), safetensors(there)
        weights.append((tensors, old_tensors))
        names = ("validation_loss", "best_epoch", "epochs", "n_parameters")
        told.append(tuple(np.array([each[name] for name in names], dtype=float) for each in (about, old_about)))
    yield numbers("bytes of weights", weights)
    yield numbers("validation losses, epochs and sizes of models", told)


def old_model(old: Path, path: Path) -> Path:
    """Where the earlier tree had a model; that of Zhou et al. was no section."""
    folder = "zhou" if path.parent.name.startswith("zhou-") else path.parent.name
    return old / "models" / folder / path.name


def safetensors(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """The description in a model file, and the bytes of its tensors."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8:end])["__metadata__"]["fluxeq"]), np.frombuffer(content[end:], np.uint8)


def trials(old: Path, new: Path) -> Compared:
    """The losses of all settings of all searches, which must be the same settings in the same order."""
    pairs = []
    for path in sorted(new.glob("searches/*/trials.json")):
        found, there = read_json(path), read_json(old / path.relative_to(new))
        assert [plain(trial["config"]) for trial in found] == [plain(trial["config"]) for trial in there], path
        pairs.append(tuple(np.array([losses_of(trial) for trial in each]).ravel() for each in (found, there)))
    return numbers("losses of settings in searches", pairs)


def losses_of(trial: dict[str, Any]) -> list[float]:
    """The value, the size and the losses of a setting; of one that was given up early, the first loss."""
    return [float(trial["value"]), float(trial["n_parameters"]), float(trial["losses"][0]), len(trial["losses"])]


def plain(config: Any) -> str:
    """A config without the order of its fields."""
    return json.dumps(config, sort_keys=True)


def scores(old: Path, new: Path, study: Study) -> Iterator[Compared]:
    """The table of scores, column by column."""
    found, there = read(new / "metrics.csv"), melted(read(old / "metrics.csv"))
    both = pd.merge(found, there, on=POINT, how="outer", suffixes=("", "_old"), indicator=True)
    alone = int((both["_merge"] != "both").sum())
    yield Compared("rows of metrics.csv", len(both), alone, 0.0)
    both = both[both["_merge"] == "both"]
    for column in ("loss", "loss_error", "mean", "truth", "truth_error", "accuracy", "configurations", "n_parameters"):
        known = both[both[f"{column}_old"].notna()]
        yield numbers(f"{column} in metrics.csv", [(known[column], known[f"{column}_old"])])
    whole = found.groupby(POINT[:-1], dropna=False)["loss"].mean().rename("whole").reset_index()
    both = pd.merge(whole, there.drop_duplicates(POINT[:-1]), on=POINT[:-1])
    yield numbers("loss over all targets in metrics.csv", [(both["whole"], both["loss_of_all"])])


def read(path: Path) -> pd.DataFrame:
    """A table with every digit."""
    return pd.read_csv(path)


def melted(wide: pd.DataFrame) -> pd.DataFrame:
    """The table of the earlier tree with a row for each target, and the columns of this one."""
    rows = []
    for row in wide.to_dict("records"):
        targets = TARGETS[row["task"]]
        for target in targets:
            single = len(targets) == 1
            found = {name: row[name] for name in ("n_training", "instance", "shape", "eta", "lam", "mu", "n_worms")}
            found |= {name: row[name] for name in ("accuracy", "configurations", "n_parameters")}
            found |= {"task": section_of(row), "family": family_of(row), "target": target}
            found |= {"loss": row["loss"] if single else row[f"loss_{target}"], "loss_of_all": row["loss"]}
            found["loss_error"] = row["loss_error"] if single else None
            found["mean"], found["truth"], found["truth_error"] = (
                row.get(f"{name}_{target}{rest}") for name, rest in (("mean", ""), ("true", ""), ("true", "_error"))
            )
            rows.append(found)
    return pd.DataFrame(rows).astype(dict.fromkeys(("loss_error", "mean", "truth", "truth_error"), float))


def section_of(row: dict[str, Any]) -> str:
    """The section of a row of the earlier tree."""
    return "zhou" if row.get("group") == "zhou" else str(row["task"])


def family_of(row: dict[str, Any]) -> str:
    """The family of a row of the earlier tree."""
    if row.get("group") == "zhou":
        return "Zhou"
    return f"{row['architecture']}, augmented" if row.get("augmentation") else str(row["architecture"])


def measurements(old: Path, new: Path, study: Study) -> Iterator[Compared]:
    """The tables of measurements, row by row; the earlier tree measured neither all sections nor any but detection."""
    for path in sorted(new.glob("measurements/*.csv")):
        found, there = read(path), read(old / path.relative_to(new))
        found = found[found["task"].isin(there.get("task", ["detection"]))]
        columns = [column for column in there if column in found]
        keys = [name for name in ("task", "architecture", "instance", "channel", "t", "x") if name in columns]
        found, there = (table[columns].sort_values(keys, ignore_index=True) for table in (found, there))
        if len(found) != len(there):
            yield Compared(f"rows of {path.name}", len(there), abs(len(found) - len(there)), 0.0)
            continue
        for column in columns:
            if found[column].dtype.kind in "fib":
                known = found[column].notna() | (column != "stride")  # which flattening networks had, too
                yield numbers(f"{column} in {path.name}", [(found[column][known], there[column][known])])
            else:
                yield Compared(f"{column} in {path.name}", len(there), int((found[column] != there[column]).sum()), 0.0)


def numbers(what: str, pairs: list[Any]) -> Compared:
    """Pairs of arrays, number by number; nothing is as nothing."""
    n = n_different = 0
    largest = 0.0
    for found, there in pairs:
        a, b = (np.asarray(each, dtype=np.float64) for each in (found, there))
        if a.shape != b.shape:
            return Compared(what, max(a.size, b.size), max(a.size, b.size), np.inf)
        differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        n, n_different = n + a.size, n_different + int(differ.sum())
        largest = max([largest, *np.nan_to_num(np.abs(a - b)[differ], nan=np.inf)])
    return Compared(what, n, n_different, largest)


def different_claims(old: Path, new: Path) -> Iterator[str]:
    """What is said of each claim that is not the same in both, to be read."""
    before = {claim["id"]: claim for claim in read_json(old / "claims.json")}
    now = read_json(new / "claims.json")
    same = [
        claim["id"] for claim in now if all(claim[key] == before[claim["id"]][key] for key in ("measured", "holds"))
    ]
    yield f"claims with the same words and verdict: {', '.join(same) or 'none'}"
    for claim in now:
        if claim["id"] not in same:
            for tree, about in (("old", before[claim["id"]]), ("new", claim)):
                yield f"{claim['id']} {tree}: {about['holds']}: {about['measured']}"


if __name__ == "__main__":
    main()
