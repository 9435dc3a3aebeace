"""A synthetic run from a seed, on which every claim of the paper holds: input for figures and claims, without training.

``tables`` gives the content as data frames, so that tests can change it, and ``write`` makes a run folder from it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fluxeq.data.ensembles import Ensemble, closed, save_ensemble
from fluxeq.sampling.chains import empty_chains
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import Theory

FAMILIES = {
    name: {"architecture": name[:2], "augmentation": "augmented" in name}
    for name in ("EQ", "ST", "FL", "ST, augmented", "FL, augmented")
}
LEAST = "instances = 3\nrecipe = {}\nsearch = { trials = 1, n_training = 10, recipe = {} }"
STUDY = """
name = "synthetic"
seed = 1

[tasks.regression]
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.05 }}]
shape = [60, 4]
n_training = {n_training}
instances = 3
recipe = {{}}
searches = 2
search = {{ trials = 1, n_training = 10, recipe = {{}}, elsewhere = {{ mu = 0.97 }} }}
test = {{ couplings = {{ mu = {mu} }}, shapes = {shapes}, configurations = 500 }}

[tasks.regression.families]
{all_families}

[tasks.detection]
couplings = {{ lam = 1.0 }}
training = [{{ eta = 4.01, mu = 1.5 }}]
shape = [8, 8]
n_training = [16000]
n_worms = [0, 1]
{least}

[tasks.detection.families]
{families}

[tasks.detection.test]
couplings = {{ eta = [4.01, 4.04, 4.25], mu = [1.0, 1.25, 1.5] }}
shapes = {squares}
configurations = 500
n_worms = [0, 1]

[tasks.counting]
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.5 }}]
shape = [8, 8]
n_training = [16000]
n_worms = [0, 5]
{least}

[tasks.counting.families]
{families}

[tasks.counting.test]
couplings = {{ mu = [1.0, 1.5] }}
shapes = {squares}
configurations = 500
n_worms = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

[tasks.zhou]
task = "regression"
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 0.91 }}, {{ mu = 1.05 }}]
shape = [200, 10]
n_training = [8000]
instances = 3
recipe = {{}}
test = {{ couplings = {{ mu = [0.91, 1.05] }}, shapes = [[200, 10]], configurations = 500 }}
families = {{ Zhou = {{ architecture = "FL", networks = [{{ config = {{}} }}] }} }}
"""

SQUARES = ("8x8", "16x16", "32x32", "64x64")
DETECTION_LOSS = {"EQ": 0.01, "ST": 0.02, "FL": 0.4}


@dataclass(frozen=True)
class Scale:
    """The extent of the run; the default keeps tests short."""

    n_training: tuple[int, ...] = (100, 500, 1000, 4000)
    mu: tuple[float, ...] = (0.91, 0.93, 0.95, 0.97, 0.99, 1.01, 1.03, 1.05)
    shapes: tuple[str, ...] = ("50x2", "60x4", "125x8", "200x10")
    instances: int = 3


@dataclass
class Tables:
    """The tables of a run."""

    metrics: pd.DataFrame
    measurements: dict[str, pd.DataFrame] = field(default_factory=dict)
    study: str = ""
    """The study file."""
    references: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Means that are independent of the test sets, by section."""
    searches: dict[tuple[str, ...], list[dict]] = field(default_factory=dict)
    """The settings that were tried for a task and an architecture (and number of the search), the best first."""
    ensembles: dict[str, Ensemble] = field(default_factory=dict)

    def write(self, run: Path) -> Path:
        """Write the run folder and return its path."""
        (run / "measurements").mkdir(parents=True)
        (run / "study.toml").write_text(self.study, encoding="utf-8")
        self.metrics.to_csv(run / "metrics.csv", index=False)
        for name, table in self.measurements.items():
            table.to_csv(run / "measurements" / f"{name}.csv", index=False)
        for name, table in self.references.items():
            (run / "references").mkdir(exist_ok=True)
            table.to_csv(run / "references" / f"{name}.csv", index=False)
        for model in self.metrics["model"].unique():
            (run / model).parent.mkdir(parents=True, exist_ok=True)
            curve = [f"{epoch},{10.0**-epoch},{2 * 10.0**-epoch}" for epoch in (1, 2, 3)]
            lines = ["epoch,training_loss,validation_loss", *curve, ""]
            (run / model).with_suffix(".csv").write_text("\n".join(lines), encoding="utf-8")
        for name, made in self.ensembles.items():
            (run / "ensembles").mkdir(exist_ok=True)
            save_ensemble(run / "ensembles" / f"{name}.h5", made)
        for (task, architecture, *number), trials in self.searches.items():
            folder = run / "searches" / f"{task}-{architecture}{''.join(number)}"
            write_search(folder, task, architecture, trials)
        return run


def write_search(folder, task, architecture, trials):
    """Write the results of a search."""
    folder.mkdir(parents=True)
    best = {"task": task, "architecture": architecture, **trials[0]}
    for name, content in (("trials", trials), ("best", best)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def tables(seed: int = 1, scale: Scale = Scale()) -> Tables:
    """All tables of a run in which every claim holds."""
    rng = np.random.default_rng(seed)
    rows = [*_regression(rng, scale), *_zhou(rng, scale), *_detection(rng, scale), *_counting(rng, scale)]
    measurements = {
        "translation": _translation(rng),
        "responses": _responses(rng, scale),
        "example": _example(rng),
    }
    measurements["feature_maps"] = _feature_maps(rng, measurements["example"])
    tasks = ("regression", "detection", "counting")
    searches = {(task, architecture): search(rng) for task in tasks for architecture in DETECTION_LOSS}
    searched = pd.DataFrame(rows)
    beforehand = searched["task"] == "zhou"
    searched["protocol"] = np.where(beforehand, "same layers", "searched")
    metrics = _both(searched[~beforehand], protocol="same layers")
    measurements |= {name: _both(measurements[name]) for name in ("translation", "responses", "feature_maps")}
    both = pd.concat([metrics, searched[beforehand]], ignore_index=True)
    for architecture in DETECTION_LOSS:
        searches["regression", architecture, "-2"] = search(rng)
    for (task, architecture, *_), trials in searches.items():
        if architecture == "ST":
            for trial in trials:
                trial["config"]["blocks"][0]["stride"] = 2
        if task == "regression":
            observe(rng, trials)
    ensembles = {f"test-8x{extent}": ensemble(rng, (8, extent)) for extent in (8, 4)}
    return Tables(both, measurements, study(scale), searches=searches, ensembles=ensembles)


def ensemble(rng, shape, n=40, n_chains=4):
    """Straight lines in time, which are closed; all kinds of moves have the same acceptance."""
    configurations = np.zeros((n, 4, *shape), dtype=np.int8)
    configurations[:, 0] = rng.integers(0, 3, (n, 1, shape[1]))
    state = empty_chains(shape, n_chains, 1)._replace(tally=np.full((n_chains, 4, 2), [10, 30]))
    return closed(Theory(4.01, 1, 1.05), 1, Tuning(20, 100, 10.0, 1.0), configurations, 0, state)


def _both(searched, **further):
    """The same numbers for families with fixed layers."""
    fixed = searched.assign(family=[fixed_name(name) for name in searched["family"]], **further)
    return pd.concat([searched, fixed], ignore_index=True)


def fixed_name(family):
    """The name of the family with fixed layers that has the numbers of a searched one."""
    return f"{family}, fixed"


def families(names):
    """Searched families and their counterparts with fixed layers, as lines of a study file."""
    lines = []
    for name in names:
        about = ", ".join(f"{key} = {json.dumps(value)}" for key, value in FAMILIES[name].items())
        lines += [f'"{name}" = {{ {about} }}']
        lines += [f'"{fixed_name(name)}" = {{ {about}, networks = [{{ config = {{}} }}] }}']
    return "\n".join(lines)


def study(scale: Scale) -> str:
    """The study file of such a run."""
    shapes, squares = (
        json.dumps([[*map(int, shape.split("x"))] for shape in some]) for some in (scale.shapes, SQUARES)
    )
    sizes = {"n_training": list(scale.n_training), "mu": list(scale.mu), "shapes": shapes, "squares": squares}
    names = {"all_families": families(FAMILIES), "families": families(["EQ", "ST", "FL"])}
    return STUDY.format(least=LEAST, **sizes, **names)


def search(rng, n=12):
    """Settings whose value depends on the kernel of the second layer; some were pruned."""
    found = []
    for number in range(n):
        kernels = rng.integers(1, 4, rng.integers(1, 4)).tolist()
        blocks = [{"channels": int(rng.choice([4, 8])), "kernel": kernel, "pooling": 1} for kernel in kernels]
        value = 1e-5 if len(kernels) > 1 and kernels[1] == 2 else 1e-2
        value *= float(np.exp(rng.normal()))
        config = {"blocks": blocks, "dense": [8] * int(rng.integers(0, 2)), "activation": "gelu"}
        choices = {"layers": len(blocks), **{f"kernel_{i}": kernel for i, kernel in enumerate(kernels)}}
        setting = {"config": config, "choices": choices, "value": value, "n_parameters": 50 * 3 ** len(blocks)}
        found.append({**setting, "number": number})
    found.sort(key=lambda setting: setting["value"])
    return [{**setting, "pruned": i % 3 == 2} for i, setting in enumerate(found)]


def observe(rng, trials):
    """Add losses elsewhere and over all couplings: settings with a hidden layer are far off there."""
    for trial in trials:
        spread = np.exp(0.2 * rng.normal(size=(3, 3)))
        off = float(np.exp(rng.normal(5, 1.5))) if trial["config"]["dense"] else 1.0
        n = 1 if trial["pruned"] else 3
        losses = {"": 1.0, "elsewhere": 0.7 * off, "test": 0.9 * off**1.2}
        found = [(trial["value"] * level * spread[i, :n]).tolist() for i, level in enumerate(losses.values())]
        trial["losses"], trial["observed"] = found[0], dict(zip(("elsewhere", "test"), found[1:], strict=True))


def named(architecture, augmentation=False):
    """The family of an architecture."""
    return f"{architecture}, augmented" if augmentation else architecture


def _row(task, architecture, augmentation, n_training, instance, shape, **further):
    row = {
        "task": task,
        "family": named(architecture, augmentation),
        "architecture": architecture,
        "augmentation": augmentation,
        "n_training": n_training,
        "instance": instance,
        "model": f"models/{task}-{named(architecture, augmentation)}-{n_training}/{instance:02d}.safetensors",
        "n_parameters": {"EQ": 1200, "ST": 5000, "FL": 60000}[architecture],
        "theory": "phi4",
        "shape": shape,
        **{"eta": 4.01, "lam": 1.0, "mu": 1.05},
        "n_worms": None,
        "configurations": 500,
    }
    return row | further


def _truth(shape, mu):
    """A rough model of the silver blaze: an onset that sharpens with the size; the error is NaN where n is constant."""
    n_t, n_x = map(int, shape.split("x"))
    width, onset = 2.0 / n_t, 0.95 + 0.06 / n_x
    n = width * np.log1p(np.exp((mu - onset) / width)) * 4
    error = 0.02 * np.sqrt(n) / n_x if mu > 0.92 else np.nan
    return {
        "n": (n, error) if mu > 0.92 else (0.0, np.nan),
        "phi2": (0.4 + 0.3 * n, 0.3 * error if mu > 0.92 else 0.001),
    }


def _regression_rows(rng, architecture, augmentation, n, instance, shape, mu, loss, **further):
    row = _row("regression", architecture, augmentation, n, instance, shape, mu=mu)
    for (target, (truth, error)), share in zip(_truth(shape, mu).items(), (1.2, 0.8), strict=True):
        scores = {"target": target, "loss": share * loss, "loss_error": 0.05 * share * loss}
        mean = truth + 0.1 * np.nan_to_num(error) * rng.uniform(-1, 1)
        truths = {"truth": truth, "truth_error": error, "bias": mean - truth, "bias_error": 0.1 * error}
        yield {**row, **scores, "mean": mean, **truths, "accuracy": np.nan, **further}


def _regression(rng, scale):
    level = {("EQ", False): 1e-2, ("ST", False): 4e-4, ("FL", False): 3e-3, ("ST", True): 2e-4, ("FL", True): 9e-4}
    for (architecture, augmentation), loss in level.items():
        power = -1.5 if architecture == "EQ" else -0.15
        for n in scale.n_training:
            for instance in range(scale.instances):
                quality = loss * (n / 100) ** power * np.exp(0.1 * rng.normal())
                if architecture == "EQ":
                    quality *= 1e-2
                for shape in scale.shapes if n == scale.n_training[-1] else ("60x4",):
                    if (architecture == "FL" and shape != "60x4") or (architecture == "ST" and shape == "125x8"):
                        continue
                    for mu in scale.mu:
                        noisy = quality * np.exp(0.1 * rng.normal())
                        yield from _regression_rows(rng, architecture, augmentation, n, instance, shape, mu, noisy)


def _zhou(rng, scale):
    further = {"task": "zhou", "family": "Zhou", "model": "models/zhou/00.safetensors", "n_parameters": 10_000_000}
    for mu in (scale.mu[0], scale.mu[-1]):
        for instance in range(scale.instances):
            yield from _regression_rows(rng, "FL", False, 8000, instance, scale.shapes[-1], mu, 1e-3, **further)


def _detection(rng, scale):
    for architecture, loss in DETECTION_LOSS.items():
        for instance in range(scale.instances):
            quality = loss * np.exp(0.5 * rng.normal())
            for shape in SQUARES if architecture != "FL" else SQUARES[:1]:
                for eta in (4.01, 4.04, 4.25):
                    for mu in (1.0, 1.25, 1.5):
                        for number in (0, 1):
                            larger = 1 + SQUARES.index(shape)
                            value = quality * larger * np.exp(0.05 * rng.normal())
                            yield _worm_row("detection", architecture, instance, shape, eta, mu, number, value)


def _counting(rng, scale):
    for architecture in DETECTION_LOSS:
        for instance in range(scale.instances):
            for shape in SQUARES if architecture != "FL" else SQUARES[:1]:
                for mu in (1.0, 1.5):
                    for number in range(11):
                        wrong = 0 if architecture == "EQ" else 0.6 if number < 4 else 0.2
                        wrong *= 1 + 0.1 * rng.uniform(-1, 1)
                        value = (1e-4 if architecture == "EQ" else 0.1 + wrong) * np.exp(0.2 * rng.normal())
                        further = {"accuracy": 1 - wrong}
                        yield _worm_row("counting", architecture, instance, shape, 4.01, mu, number, value, **further)


def _worm_row(task, architecture, instance, shape, eta, mu, number, loss, **further):
    target = {"detection": "open", "counting": "n_worms"}[task]
    settings = {"eta": eta, "mu": mu, "n_worms": number, "target": target, "loss": loss, "loss_error": 0.1 * loss}
    settings |= {
        "mean": np.nan,
        "truth": number,
        "truth_error": np.nan,
        "bias": np.nan,
        "bias_error": np.nan,
        "accuracy": 1 - 0.4 * min(1, loss),
    }
    return _row(task, architecture, False, 16000, instance, shape, **settings | further)


def _translation(rng):
    rows = []
    for task in ("regression", "detection", "counting"):
        for architecture, stride in {"EQ": 1, "ST": 2, "FL": None}.items():
            rounding = 10 ** rng.uniform(-16, -15)
            error = rounding if architecture == "EQ" else 10 ** rng.uniform(-3, -1)
            rows.append(
                {
                    "task": task,
                    "family": architecture,
                    "architecture": architecture,
                    "augmentation": False,
                    "instance": 0,
                    "n_parameters": {"EQ": 1200, "ST": 5000, "FL": 60000}[architecture],
                    "translation_error": error,
                    "stride": stride,
                    "residual_error": None if stride is None else rounding,
                }
            )
    return pd.DataFrame(rows).astype({"stride": "Int64"})


def _responses(rng, scale):
    rows = []
    for architecture in DETECTION_LOSS:
        for instance in range(scale.instances):
            weak, strong = rng.uniform(0, 0.1), rng.uniform(0.8, 1)
            positive, negative = (weak, strong) if rng.random() < 0.5 else (strong, weak)
            rows.append(
                {
                    "task": "detection",
                    "family": architecture,
                    "architecture": architecture,
                    "instance": instance,
                    "accuracy": 0.99 - 0.02 * rng.random(),
                    "positive": positive,
                    "negative": negative,
                    "selectivity": (strong - weak) / (strong + weak),
                }
            )
    return pd.DataFrame(rows)


def _example(rng, extent=8):
    """Closed fluxes from plaquettes and straight lines in time, and a worm along a random walk."""
    k = np.zeros((2, extent, extent), dtype=int)
    k[0] += rng.integers(2, 5, extent)
    for t, x, sign in zip(*rng.integers(0, extent, (2, 40)), rng.choice([-1, 1], 40), strict=True):
        k[0, t, x] += sign
        k[1, (t + 1) % extent, x] += sign
        k[0, t, (x + 1) % extent] -= sign
        k[1, t, x] -= sign
    worm = np.zeros_like(k)
    site = np.array([5, 2])
    for nu, sign in [(0, 1), (0, 1), (1, 1), (0, 1), (1, 1), (0, 1), (1, 1), (1, -1), (0, 1), (1, 1), (1, 1)]:
        ahead = (site + sign * np.eye(2, dtype=int)[nu]) % extent
        worm[nu][tuple(site if sign > 0 else ahead)] += sign
        site = ahead
    k += worm
    divergence = sum(k[nu] - np.roll(k[nu], 1, nu) for nu in range(2))
    l = rng.integers(0, 3, k.shape)
    t, x = (values.ravel() for values in np.indices((extent, extent)))
    columns = {"t": t, "x": x, "k_t": k[0], "k_x": k[1], "l_t": l[0], "l_x": l[1], "divergence": divergence}
    columns |= {"worm_t": worm[0], "worm_x": worm[1]}
    table = pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})
    return table.assign(task="detection")


def _feature_maps(rng, example):
    maps = []
    for architecture, stride, reacts_to in (("EQ", 1, 1), ("ST", 2, -1)):
        for channel in range(4):
            here = example.assign(t=example["t"] // stride * stride, x=example["x"] // stride * stride)
            here["value"] = (here["divergence"] == reacts_to) * (channel == 2) * 0.9
            rows = here.groupby(["t", "x"], as_index=False)["value"].max()
            rows["value"] += 0.1 * rng.random(len(rows))
            named = {"task": "detection", "family": architecture, "architecture": architecture}
            maps.append(rows.assign(**named, channel=channel, selected=channel == 2))
    return pd.concat(maps)
