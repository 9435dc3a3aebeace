"""Synthetic files, by Hypothesis: studies, ensembles and models that somebody else has written or modified.

Their checksums are valid, so that their content is read. A command answers with an error, or with finite numbers.
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import strategies as st

from fluxeq.data.hdf5 import MARK
from fluxeq.training.tensors import read_tensors, save_tensors
from verification.faults.case import Case, Stage
from verification.faults.drawn import drawn
from verification.faults.inputs import TEXTS

MODEL = "models/EQ-000.safetensors"
TRAIN = "--recipe recipe.json --config small.json --output m"
READERS = {
    "study.toml": ("status .", "status . --json", "reproduce study.toml --output whole", "report .", "figure . fig3"),
    "one.h5": (
        "measure one.h5 --json",
        "worms one.h5 --number 0,1 --output w.h5",
        "sample --eta 4.01 --lam 1 --mu 1.5 --shape 2x2 --configurations 24 --seed 1 --output one.h5",
        "sample --eta 4.01 --lam 1 --mu 1.4 --shape 2x2 --configurations 10 --start one.h5 --output e.h5",
        f"predict {MODEL} --data one.h5 --output p.csv",
        f"evaluate {MODEL} --data one.h5 --json",
        f"train --task regression --architecture EQ --data one.h5 --validation two.h5 {TRAIN}",
    ),
    "worms.h5": (
        "measure worms.h5",
        "evaluate detectors/ST-000.safetensors --data worms.h5 --json",
        f"train --task detection --architecture EQ --data worms.h5 --validation worms2.h5 {TRAIN}",
    ),
    MODEL: (
        f"predict {MODEL} --data one.h5 --output p.csv",
        f"evaluate {MODEL} --data two.h5 --json",
        "train --task regression --architecture EQ --data one.h5 --validation two.h5 --recipe recipe.json "
        "--config small.json --output models",
    ),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, 10**30, -(10**18)]),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-2, 100), max_size=4),
    st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
"""Values in place of valid ones."""
DTYPES = ("int8", "uint8", "int64", "float16", "float32", "float64", "bool")
SHAPES = st.lists(st.integers(0, 12), max_size=5).map(tuple)
PLACES = (
    *[
        "configurations",
        "chain",
        "sweep",
        "observables/n",
        "observables/phi2",
        "labels/n_worms",
        "labels/heads",
        "labels/tails",
    ],
    *["state/hops", "state/rng", "state/tally", "state/worms", "state/steps", "labels", "state", "observables"],
)
ATTRIBUTES = (
    *[
        "eta",
        "lam",
        "mu",
        "shape",
        "chains",
        "seed",
        "start",
        "spacing",
        "thermalisation",
        "tau_int",
        "entry",
        "version",
        "format_version",
    ],
    *["worm_seed", "digest", "checksum"],
)
FIELDS = (
    *[
        "task",
        "architecture",
        "config",
        "shape",
        "recipe",
        "augmentation",
        "n_training",
        "n_validation",
        "training_origins",
    ],
    *[
        "validation_origins",
        "seed",
        "instance",
        "n_parameters",
        "epochs",
        "best_epoch",
        "validation_loss",
        "version",
        "format_version",
    ],
    *["digest", "nonsense"],
)

Edit = tuple[str, str, Any]
"""An operation, its target and its argument."""
ARRAYS = st.tuples(st.sampled_from(DTYPES), SHAPES, st.sampled_from([0, 1, -1, 100, 127]))
ON_ENSEMBLES = st.one_of(
    st.tuples(st.just("remove"), st.sampled_from(PLACES), st.none()),
    st.tuples(st.just("replace"), st.sampled_from(PLACES), ARRAYS),
    st.tuples(st.just("fill"), st.sampled_from(PLACES), st.one_of(st.integers(-128, 127), st.floats(-1e9, 1e9))),
    st.tuples(st.just("shorten"), st.sampled_from(PLACES), st.integers(0, 9)),
    st.tuples(st.just("forget"), st.sampled_from(ATTRIBUTES), st.none()),
    st.tuples(st.just("claim"), st.sampled_from(ATTRIBUTES), ODD),
)
ON_MODELS = st.one_of(
    st.tuples(st.just("forget"), st.sampled_from(FIELDS), st.none()),
    st.tuples(st.just("claim"), st.sampled_from(FIELDS), ODD),
    st.tuples(st.just("remove"), st.integers(0, 9).map(str), st.none()),
    st.tuples(st.just("rename"), st.integers(0, 9).map(str), st.text(max_size=5)),
    st.tuples(st.just("replace"), st.integers(0, 9).map(str), ARRAYS),
    st.tuples(st.just("fill"), st.integers(0, 9).map(str), st.floats(width=32)),
)


def places_of(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All paths in nested tables and lists."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield (*before, key)
        yield from places_of(value, (*before, key))


TINY = tomllib.loads(TEXTS["tiny.toml"])
ON_STUDIES = st.one_of(
    st.tuples(st.just("remove"), st.sampled_from(sorted(places_of(TINY), key=str)), st.none()),
    st.tuples(
        st.just("set"), st.sampled_from(sorted(places_of(TINY), key=str)), ODD.filter(lambda value: value is not None)
    ),
    st.tuples(st.just("add"), st.sampled_from(sorted(places_of(TINY), key=str)), st.text(max_size=8)),
)


def _array(given: tuple[str, tuple[int, ...], int]) -> np.ndarray:
    dtype, shape, value = given
    return np.full(shape, value).astype(dtype)


def edit_ensemble(path: Path, edits: tuple[Edit, ...]) -> None:
    """Change an HDF5 file and update its checksum; missing parts are skipped."""
    with h5py.File(path, "a") as file:  # removes the old checksum
        for what, name, value in edits:
            if what == "forget":
                file.attrs.pop(name, None)
            elif what == "claim":
                _claim(file, name, value)
            elif name in file:
                _change(file, what, name, value)
    content = path.read_bytes()
    path.write_bytes(content + MARK + hashlib.sha256(content).hexdigest().encode())


def _claim(file: h5py.File, name: str, value: Any) -> None:
    try:
        file.attrs[name] = str(value) if isinstance(value, dict) or value is None else value
    except (TypeError, ValueError, OverflowError):  # no equivalent in HDF5
        file.attrs[name] = str(value).encode("utf-8", "replace")


def _change(file: h5py.File, what: str, name: str, value: Any) -> None:
    old = file[name]
    new = None
    if what == "replace":
        new = _array(value)
    elif what != "remove" and isinstance(old, h5py.Dataset):
        new = old[:value] if what == "shorten" else np.full(old.shape, value).astype(old.dtype)
    del file[name]
    if new is not None:
        file[name] = new


def edit_model(path: Path, edits: tuple[Edit, ...]) -> None:
    """Change a model file, including its digests."""
    about, tensors = read_tensors(path)
    for what, name, value in edits:
        if what == "claim":
            about[name] = value
        elif what == "forget":
            about.pop(name, None)
        elif tensors:
            name = sorted(tensors)[int(name) % len(tensors)]
            old = tensors.pop(name)
            if what == "rename":
                tensors[value] = old
            elif what == "fill":
                tensors[name] = np.full_like(old, value)
            elif what == "replace":
                tensors[name] = _array(value)
    save_tensors(path, tensors, about)


def edit_study(path: Path, edits: tuple[Edit, ...]) -> None:
    """Change a TOML file."""
    study = tomllib.loads(path.read_text(encoding="utf-8"))
    for what, place, value in edits:
        table: Any = study
        try:
            for key in place[:-1]:
                table = table[key]
            if what == "remove":
                del table[place[-1]]
            elif what == "set":
                table[place[-1]] = value
            elif isinstance(table, dict):
                table[value] = 1
        except (KeyError, IndexError, TypeError):
            continue
    path.write_text("\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in study.items()), encoding="utf-8")


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@dataclass(frozen=True)
class MadeUp(Case):
    """A command that reads a modified file."""

    file: str
    edits: tuple[Edit, ...]

    @property
    def detail(self) -> str:
        """The edits."""
        return f"{self.file}: {self.edits}"

    @property
    def needs(self) -> set[str]:
        """The modified file is one of them."""
        return super().needs | {self.file.split("/")[0]} - {"study.toml"}

    def play(self, stage: Stage) -> Iterator[str]:
        """It obeys the rules, and its JSON output is valid, with finite numbers."""
        self.prepare(stage)
        path = stage.folder / self.file
        if self.file == "study.toml":
            path.write_text(TEXTS["tiny.toml"], encoding="utf-8")
            edit_study(path, self.edits)
        else:
            (edit_ensemble if path.suffix == ".h5" else edit_model)(path, self.edits)
        outcome = stage.run(self.words, longest=20.0)
        yield from stage.judged(outcome)
        if outcome.code == 0 and self.words[-1] == "--json":
            yield from _not_finite(json.loads(outcome.out))


def _not_finite(found: Any) -> Iterator[str]:
    """Non-finite numbers."""
    if isinstance(found, float) and not math.isfinite(found):
        yield f"said {found}"
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from _not_finite(inner)


def _cases(file: str, edits: st.SearchStrategy[Edit], seed: int) -> Iterator[MadeUp]:
    words = st.sampled_from(READERS[file]).map(lambda line: tuple(line.split()))
    many = st.lists(edits, min_size=1, max_size=3).map(tuple)
    yield from drawn(st.builds(MadeUp, words, st.just(file), many), seed)


def studies(seed: int) -> Iterator[MadeUp]:
    """Modified study files, without end."""
    yield from _cases("study.toml", ON_STUDIES, seed)


def ensembles(seed: int) -> Iterator[MadeUp]:
    """Modified ensembles and worm files, alternately, without end."""
    for pair in zip(*(_cases(file, ON_ENSEMBLES, seed) for file in ("one.h5", "worms.h5")), strict=False):
        yield from pair


def models(seed: int) -> Iterator[MadeUp]:
    """Modified models, without end."""
    yield from _cases(MODEL, ON_MODELS, seed)
