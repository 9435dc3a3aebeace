"""The requirements on every architecture in the registry."""

from contextlib import nullcontext

import equinox as eqx
import jax
import numpy as np
import pytest

from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES, configured, takes
from fluxeq.nets.network import Block, n_parameters, receptive_field, total_stride
from fluxeq.nets.st import ST
from fluxeq.testing import translation_error
from small_ensembles import TARGETS

SHAPE = (8, 6)

# Every field of the config, with a value other than in BASE. A field that is missing here, or has no effect, is a bug.
BLOCKS = [{"channels": 3, "kernel": 2, "pooling": 2}, {"channels": 4, "kernel": 2}]
STRIDED = [{"channels": 3, "kernel": 2, "pooling": 2, "stride": 2}, {"channels": 4, "kernel": 2}]
BASE = {
    "EQ": {"blocks": BLOCKS, "dense": [5]},
    "ST": {"blocks": STRIDED, "dense": [5]},
    "FL": {"blocks": BLOCKS, "dense": [5], "shape": SHAPE},
}
COMMON = {"blocks": STRIDED[::-1], "pooling": "maximum", "activation": "relu", "dense": [5, 5]}
OTHER = {
    "EQ": {**COMMON, "blocks": BLOCKS[::-1], "global_pooling": "sum", "readout": "pooled"},
    "ST": {**COMMON, "blocks": [STRIDED[1], *STRIDED], "global_pooling": "maximum", "readout": "pooled"},
    "FL": {**COMMON, "shape": (6, 8, 2)},
}
OTHER_BLOCK = {"channels": 6, "kernel": 3, "pooling": 3, "stride": 4}


def random_configuration(shape, seed=0):
    return np.random.default_rng(seed).integers(-2, 3, (2 * len(shape), *shape)).astype(np.int8)


def build(name, shape=SHAPE, **settings):
    return configured(name, settings, shape).build(len(shape), TARGETS[:2], np.random.default_rng(7))


def differ(name, settings, changed, shape=SHAPE):
    """Whether two settings build different networks: different shapes of the parameters, or a different output."""
    shapes, outputs = [], []
    for fields, lattice in ((settings, shape), (changed, changed.get("shape", shape))):
        net = configured(name, fields, lattice).build(len(lattice), TARGETS[:2], np.random.default_rng(7))
        shapes.append([leaf.shape for leaf in jax.tree.leaves(net)])
        outputs.append(eqx.Partial(eqx.filter_jit(net), random_configuration(lattice)))
    return shapes[0] != shapes[1] or not np.array_equal(*(output() for output in outputs))


@pytest.mark.parametrize("global_pooling", ["average", "sum", "maximum"])
@pytest.mark.parametrize(("name", "stride", "symmetric"), [("EQ", 1, True), ("ST", 2, True), ("ST", 1, False)])
def test_translations(name, stride, symmetric, global_pooling):
    net = build(name, global_pooling=global_pooling)
    error = translation_error(net, random_configuration(SHAPE), stride)
    assert error < 1e-12 if symmetric else error > 1e-4


@pytest.mark.parametrize("stride", [1, 2])
def test_flattening_breaks_all_translations(stride):
    assert translation_error(build("FL"), random_configuration(SHAPE), stride) > 1e-4


@pytest.mark.parametrize(
    ("last", "pooling", "global_pooling", "accepted"),
    [
        ({"pooling": 2, "stride": 2}, "average", "average", False),
        ({"pooling": 4, "stride": 2}, "average", "sum", False),
        ({"pooling": 3, "stride": 2}, "average", "average", True),
        ({"pooling": 2, "stride": 2}, "maximum", "average", True),
        ({"pooling": 2, "stride": 2}, "average", "maximum", True),
        ({"stride": 2}, "average", "average", True),
    ],
)
def test_a_stride_of_st_breaks_something(last, pooling, global_pooling, accepted):
    """Exactly those networks are refused that would be invariant."""
    blocks = (Block(channels=3, kernel=2), Block(channels=4, kernel=2, **last))
    settings = {"blocks": blocks, "pooling": pooling, "global_pooling": global_pooling}
    with nullcontext() if accepted else pytest.raises(InputError, match="makes the only stride ineffective"):
        configured("ST", settings, SHAPE)
    net = ST.model_construct(activation="tanh", dense=(), **settings).build(2, TARGETS[:2], np.random.default_rng(1))
    error = translation_error(net, random_configuration(SHAPE))
    assert (error > 1e-4) == accepted


@pytest.mark.parametrize(("stride", "symmetric"), [(4, True), (2, False)])
def test_strides_multiply(stride, symmetric):
    blocks = [{"channels": 3, "kernel": 2, "stride": 2}, {"channels": 3, "kernel": 2, "pooling": 2, "stride": 2}]
    net = build("ST", (8, 4), blocks=blocks, pooling="maximum")  # the average of averages would be that over all sites
    error = translation_error(net, random_configuration((8, 4)), stride)
    assert error < 1e-12 if symmetric else error > 1e-4


@pytest.mark.parametrize(("name", "symmetric"), [("EQ", True), ("ST", False)])
def test_feature_maps_move_with_the_lattice(name, symmetric):
    net = build(name, (4, 6))
    moved = build(name, (4, 6)).feature_maps
    x = random_configuration((4, 6))
    assert net.feature_maps(x).shape == ((16, 4, 6) if symmetric else (16, 2, 3))
    assert translation_error(lambda x: np.asarray(moved(x)), x, 1 if symmetric else 2) < 1e-5  # weights in float32


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_three_dimensions(name):
    shape = (4, 2, 2)
    net, stride = build(name, shape), {"EQ": 1, "ST": 2, "FL": 2}[name]
    error = translation_error(net, random_configuration(shape), stride)
    assert error > 1e-4 if name == "FL" else error < 1e-12
    assert jax.eval_shape(net, random_configuration(shape)).shape == (2,)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_field_is_covered(name):
    """A new field, or a new architecture, must be added to OTHER."""
    assert set(OTHER[name]) == set(ARCHITECTURES[name].model_fields)
    assert set(OTHER_BLOCK) == set(Block.model_fields)


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in OTHER.items() for field in fields])
def test_every_field_changes_what_is_built(name, field):
    base = BASE[name] | {"dense": [], "global_pooling": "maximum"} if field == "readout" else BASE[name]
    assert differ(name, base, base | {field: OTHER[name][field]})


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in ARCHITECTURES for field in OTHER_BLOCK if (name, field) != ("EQ", "stride")],
)
def test_every_field_of_a_block_changes_what_is_built(name, field):
    first, second = BASE[name]["blocks"]
    settings = {key: value for key, value in BASE[name].items() if key != "shape"}
    changed = settings | {"blocks": [first | {field: OTHER_BLOCK[field]}, second]}
    assert differ(name, settings, changed, (8, 4))


def test_the_same_seed_builds_the_same_network():
    """Control of the two tests above: equal settings are found equal, and other weights different."""
    assert not differ("EQ", BASE["EQ"], BASE["EQ"])
    config = configured("EQ", BASE["EQ"], SHAPE)
    one, other = (jax.tree.leaves(config.build(2, TARGETS[:2], np.random.default_rng(seed))) for seed in (1, 2))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # by hand: (kernel^2 * in + 1) * out of each block, then each dense layer with its bias
        ("EQ", (4 * 4 + 1) * 3 + (4 * 3 + 1) * 4 + (4 + 1) * 5 + (5 + 1) * 2),
        ("ST", (4 * 4 + 1) * 3 + (4 * 3 + 1) * 4 + (4 + 1) * 5 + (5 + 1) * 2),
        ("FL", (4 * 4 + 1) * 3 + (4 * 3 + 1) * 4 + (48 * 4 + 1) * 5 + (5 + 1) * 2),
    ],
)
def test_number_of_parameters(name, expected):
    assert n_parameters(build(name, **{k: v for k, v in BASE[name].items() if k != "shape"})) == expected


def test_only_weights_are_parameters_of_any_module():
    """Not functions, nor numbers that a module holds besides its arrays."""
    key = jax.random.key(0)
    layers = [eqx.nn.Conv2d(4, 3, 1, key=key), eqx.nn.PReLU(), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Dropout(0.5)]
    assert n_parameters(eqx.nn.Sequential(layers)) == 4 * 3 + 3 + 1
    assert n_parameters(eqx.nn.Sequential([eqx.nn.Lambda(lambda x: x)])) == 0


def test_stride_and_receptive_field():
    blocks = [Block(channels=1, kernel=2, stride=2), Block(channels=1, kernel=3, pooling=2, stride=3)]
    assert total_stride(blocks) == 6
    assert receptive_field(blocks) == 2 + 2 * 2 + 2  # kernel 2; then 2 steps of 2 sites; then 1 step of 2
    assert receptive_field([Block(channels=1, kernel=1)]) == 1


@pytest.mark.parametrize("kernels", [(2, 3), (3, 1)])
def test_receptive_field_is_what_a_network_sees(kernels):
    """A change at one site changes as many feature sites in each direction as the field is wide."""
    blocks = [{"channels": 4, "kernel": kernel} for kernel in kernels]
    net, x = build("EQ", blocks=blocks, activation="tanh"), random_configuration(SHAPE)
    changed = x.copy()
    changed[0, 3, 3] += 1
    moved = np.any(np.asarray(net.feature_maps(x)) != np.asarray(net.feature_maps(changed)), axis=0)
    extent = receptive_field([Block(**block) for block in blocks])
    assert moved.any(axis=1).sum() == moved.any(axis=0).sum() == extent


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_lattice_that_is_taken_works(name):
    config = configured(name, {}, SHAPE)
    net = config.build(2, TARGETS[:1], np.random.default_rng(0))
    for shape in (SHAPE, (4, 4), (12, 2), (5, 6), (4, 3)):
        if takes(config, shape):
            assert jax.eval_shape(net, random_configuration(shape)).shape == (1,)
    assert [takes(config, shape) for shape in (SHAPE, (4, 4), (5, 6))] == {
        "EQ": [True, True, True],
        "ST": [True, True, True],
        "FL": [True, False, False],
    }[name]


@pytest.mark.parametrize(
    ("name", "settings", "shape", "message"),
    [
        ("FL", {"shape": (8, 8)}, (8, 6), "lattice 8x6: this FL network is for 8x8 only"),
        ("XX", {}, SHAPE, "architecture 'XX': choose one of EQ, ST, FL"),
        ("EQ", {"depth": 3}, SHAPE, "EQ depth"),
        ("EQ", {"blocks": [{"channels": 0, "kernel": 2}]}, SHAPE, r"EQ blocks.0.channels = 0: "),
        ("EQ", {"blocks": []}, SHAPE, "EQ blocks = .*at least one block"),
        ("FL", {"blocks": []}, SHAPE, "at least one block"),
        ("EQ", {"blocks": STRIDED}, SHAPE, "with stride 1 everywhere"),
        ("ST", {"blocks": BLOCKS}, SHAPE, "at least one stride above 1"),
        ("EQ", {"global_pooling": "median"}, SHAPE, "EQ global_pooling = 'median'"),
        ("FL", {"global_pooling": "average"}, SHAPE, "FL global_pooling"),
    ],
)
def test_refused_in_one_line(name, settings, shape, message):
    with pytest.raises(InputError, match=message) as failed:
        configured(name, settings, shape)
    assert "\n" not in str(failed.value)


def test_a_flattening_network_is_for_one_number_of_dimensions():
    with pytest.raises(InputError, match="d = 3: this FL network is for the 2-dimensional lattice"):
        configured("FL", {}, SHAPE).build(3, TARGETS[:1], np.random.default_rng(0))
