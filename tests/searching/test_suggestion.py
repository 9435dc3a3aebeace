"""Proposals of trials: settings that can be built, from the whole space and nothing else."""

import numpy as np
import optuna
import pytest
from pydantic import ValidationError

from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES, configured
from fluxeq.nets.network import n_parameters, total_stride
from fluxeq.searching.space import Space
from fluxeq.searching.suggestion import require_searchable, suggest, suggest_recipe
from fluxeq.study.study import load_study
from small_ensembles import TARGETS

SPACE = Space(layers=(1, 3), channels=(4, 8), dense_layers=(0, 2), widths=(8, 16), global_poolings=("average", "sum"))
N = 60


def proposed(architecture, space=SPACE, n=N):
    """Fields and parameters of random trials."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trials = [study.ask() for _ in range(n)]
    return [(suggest(trial, architecture, space), trial.params) for trial in trials]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_proposal_can_be_built(architecture):
    strides = {total_stride(configured(architecture, fields, (8, 8)).blocks) for fields, _ in proposed(architecture)}
    assert strides == {"EQ": {1}, "ST": {2}, "FL": {1, 2}}[architecture]


def test_the_whole_space_is_proposed():
    fields = [fields for fields, _ in proposed("ST")]
    blocks = [block for one in fields for block in one["blocks"]]
    assert {len(one["blocks"]) for one in fields} == {1, 2, 3}
    assert {len(one["dense"]) for one in fields} == {0, 1, 2}
    for name, choices in (("channels", {4, 8}), ("kernel", {1, 2, 3}), ("pooling", {1, 2})):
        assert {block[name] for block in blocks} == choices
    assert {width for one in fields for width in one["dense"]} == {8, 16}
    assert {one["activation"] for one in fields} == set(SPACE.activations)
    assert {one["global_pooling"] for one in fields} == {"average", "sum"}
    assert {one["pooling"] for one in fields if "pooling" in one} == {"average", "maximum"}
    strided = [[block.get("stride", 1) for block in one["blocks"]].index(2) for one in fields]
    assert set(strided) == {0, 1, 2}


def test_strides_are_not_undone():
    """If the last layer is strided and pooled, it takes maxima; elsewhere averages are proposed as well."""
    at_the_end = {one["pooling"] for one, _ in proposed("ST") if one["blocks"][-1].get("stride") and "pooling" in one}
    assert at_the_end >= {"maximum"}
    for one, _ in proposed("ST"):
        last = one["blocks"][-1]
        if last["pooling"] == 2 and last.get("stride") == 2:
            assert one["pooling"] == "maximum"


def test_what_does_not_concern_an_architecture_is_no_parameter_of_it():
    assert not any("global_pooling" in fields for fields, _ in proposed("FL"))
    assert not any("stride" in name for _, params in proposed("EQ") for name in params)
    for fields, params in proposed("EQ"):
        assert ("pooling" in params) == any(block["pooling"] > 1 for block in fields["blocks"])
        assert ("kernel_2" in params) == (len(fields["blocks"]) == 3)
        assert ("width_1" in params) == (len(fields["dense"]) == 2)


def test_a_single_choice_is_no_parameter():
    space = Space(layers=(2, 2), kernels=(2,), channels=(4,), poolings=(1,), activations=("relu",), dense_layers=(0, 0))
    fields, params = proposed("ST", space, 1)[0]
    assert set(params) <= {"layers", "strided_layer", "dense_layers"}
    assert fields["activation"] == "relu"
    assert "global_pooling" not in fields  # it follows from the nature of the target


def test_an_unknown_architecture():
    with pytest.raises(InputError, match="architecture 'XX': choose one of EQ, ST, FL"):
        require_searchable("XX")


class Unsearchable(Frozen):
    """An external architecture that does not define how a trial chooses its fields."""

    @property
    def stride(self):
        return 1

    def build(self, d, targets, rng):
        raise NotImplementedError

    def require_shape(self, shape):
        pass


class Searchable(Unsearchable):
    width: int = 1

    @classmethod
    def suggest(cls, trial, space):
        return {"width": trial.suggest_categorical("width", space.widths)}


def test_an_architecture_from_outside():
    wanted = r"a search needs its classmethod suggest\(trial, space\), .*; add it, or give fixed networks"
    with pytest.raises(InputError, match=wanted) as failed:
        require_searchable(f"{__name__}:Unsearchable")
    assert "\n" not in str(failed.value)
    require_searchable(f"{__name__}:Searchable")
    assert {fields["width"] for fields, _ in proposed(f"{__name__}:Searchable")} == {8, 16}


OPTIMISERS = {
    "learning_rates": (1e-2, 1e-3),
    "batch_sizes": (10, 20),
    "schedules": ("constant", "cosine"),
    "weight_decays": (0.0, 1e-3),
}


def test_settings_of_the_optimiser_are_the_same_for_all_architectures():
    space, names = Space(**OPTIMISERS), ("learning_rate", "batch_size", "schedule", "weight_decay")
    for architecture in ARCHITECTURES:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        trials = [study.ask() for _ in range(N)]
        chosen = [(suggest(trial, architecture, space), suggest_recipe(trial, space))[1] for trial in trials]
        for name, choices in zip(names, OPTIMISERS.values(), strict=True):
            assert {one[name] for one in chosen} == set(choices)
            assert [one[name] for one in chosen] == [trial.params[name] for trial in trials]


def test_by_default_the_optimiser_is_not_searched_nor_written_down():
    """Fingerprints of studies older than this choice do not change."""
    trial = optuna.create_study().ask()
    assert suggest_recipe(trial, SPACE) == {}
    assert trial.params == {}
    assert not set(SPACE.model_dump(mode="json")) & set(OPTIMISERS)
    assert set(OPTIMISERS) < set(Space(**OPTIMISERS).model_dump(mode="json"))
    assert suggest_recipe(trial, Space(learning_rates=(1e-3,))) == {"learning_rate": 1e-3}
    assert trial.params == {}


def extreme(architecture, space, shape, largest):
    """The number of parameters of the smallest or the largest network of a space."""
    choose = max if largest else min

    class Extreme:
        def suggest_int(self, name, low, high):
            return 0 if name == "strided_layer" else choose(low, high)

        def suggest_categorical(self, name, choices):
            if name == "stride" or "pooling" in name:
                return min(choices, key=str) if largest else max(choices, key=str)
            return choose(choices)

    fields = suggest(Extreme(), architecture, space)
    return n_parameters(configured(architecture, fields, shape).build(2, TARGETS[:2], np.random.default_rng(1)))


@pytest.mark.parametrize("task", ["regression", "detection"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_space_of_the_paper_goes_from_very_small_to_pretty_large(architecture, task):
    """From about 10^2 to about 10^7 parameters, for each architecture."""
    studied = load_study("paper").tasks[task]
    smallest, largest = (extreme(architecture, studied.search.space, studied.shape, end) for end in (False, True))
    assert smallest < 600
    assert largest > 5e6


@pytest.mark.parametrize(
    "fields",
    [
        *({"layers": (2, 1)}, {"dense_layers": (1, 0)}, {"channels": ()}, {"activations": ()}, {"strides": ()}),
        *({"start": {name: 2}} for name in ("x", "kernel", "kernel_3", "width_2", "x_0", "channels_\u00b2")),
        *({"start": {name: 99}} for name in ("layers", "kernel_0", "strided_layer", "learning_rate")),
        *({"learning_rates": (float("inf"),)}, {"kernels": (65,)}, {"poolings": (1, 99)}),
    ],
    ids=str,
)
def test_a_space_that_cannot_be(fields):
    with pytest.raises(ValidationError):
        Space(**{"layers": (1, 3), **fields})


def test_all_choices_can_be_the_start():
    """By their names in the trials."""
    space = SPACE.model_copy(update={"learning_rates": (0.1, 0.2), "batch_sizes": (5, 6)})
    for architecture in ARCHITECTURES:
        for _, chosen in proposed(architecture, space, 10):
            Space(**space.model_dump() | {"start": chosen})
