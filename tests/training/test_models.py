"""Model files: round trips, and errors for other files."""

import json
from contextlib import suppress

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import full_disks
import small_ensembles
from damage import damages
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES, configured
from fluxeq.nets.network import n_parameters
from fluxeq.tasks.task import TASKS
from fluxeq.training.evaluation import predict
from fluxeq.training.models import Description, Model, describe, load_model, save_model
from fluxeq.training.recipe import Recipe
from fluxeq.training.tensors import read_tensors, save_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SETTINGS = {"blocks": [{"channels": 3, "kernel": 2, "stride": 2}, {"channels": 2, "kernel": 1}], "dense": [4]}


def saved(path, architecture="ST", task="regression", settings=SETTINGS):
    shape = small_ensembles.SHAPE
    config = configured(architecture, settings, shape)
    network = config.build(2, TASKS[task].targets, np.random.default_rng(3))
    description = Description(
        task=task,
        architecture=architecture,
        config=config.model_dump(mode="json"),
        shape=shape,
        recipe=Recipe(epochs=3, betas=(0.5, 0.6)),
        augmentation=True,
        n_training=40,
        n_validation=4,
        training_origins=("a", "b"),
        validation_origins=("c",),
        seed=9,
        instance=2,
        n_parameters=n_parameters(network),
        epochs=3,
        best_epoch=2,
        validation_loss=0.125,
    )
    save_model(str(path), Model(network, description))
    return Model(network, description, path)


@pytest.mark.parametrize(("architecture", "task"), [("ST", "regression"), ("FL", "detection"), ("EQ", "counting")])
def test_round_trip(tmp_path, architecture, task):
    settings = SETTINGS if architecture != "EQ" else {}
    before = saved(tmp_path / "m.safetensors", architecture, task, settings)
    after = load_model(str(tmp_path / "m.safetensors"))
    assert after.description == before.description == describe(before.path)
    assert after.config == before.config
    assert type(after.config) is ARCHITECTURES[architecture]
    assert after.task == before.task
    assert jax.tree.structure(after.network) == jax.tree.structure(before.network)
    x = small_ensembles.closed(1).configurations[:5]
    np.testing.assert_array_equal(predict(after, x), predict(before, x))


def test_every_field_of_the_description_is_in_the_header(tmp_path):
    description = saved(tmp_path / "m.safetensors").description
    assert set(description.model_dump()) == set(Description.model_fields)
    assert list(tmp_path.iterdir()) == [tmp_path / "m.safetensors"]


def with_header(path, **changes):
    """The same tensors under a changed header, with valid checksums."""
    header, tensors = read_tensors(path)
    save_tensors(path, tensors, {name: value for name, value in (header | changes).items() if value is not ...})


def test_another_format_version(tmp_path):
    path = saved(tmp_path / "m.safetensors").path
    with_header(path, format_version=2)
    with pytest.raises(InputError, match=r"m\.safetensors: format version 2, this fluxeq reads 4"):
        load_model(path)


@pytest.mark.parametrize("changes", [{"config": ...}, {"hidden": 1}, {"shape": "4x4"}, {"seed": "x"}])
def test_a_header_with_other_fields(tmp_path, changes):
    path = saved(tmp_path / "m.safetensors").path
    with_header(path, **changes)
    with pytest.raises(InputError, match="not a model of fluxeq"):
        load_model(path)


NO_NETWORK = [{"task": "x"}, {"architecture": "XX"}, {"config": {"depth": 1}}, {"shape": [1] * 9}]


@pytest.mark.parametrize("changes", NO_NETWORK)
def test_a_header_that_describes_no_network(tmp_path, changes):
    """As from another version, since the file is not damaged."""
    path = saved(tmp_path / "m.safetensors").path
    with_header(path, **changes)
    with pytest.raises(InputError, match=r"m\.safetensors: "):
        load_model(path)


def renamed(tensors):
    return {name.replace("blocks", "layers"): tensor for name, tensor in tensors.items()}


def missing(tensors):
    return dict(list(tensors.items())[1:])


def additional(tensors):
    return tensors | {"more": np.zeros(1, np.float32)}


def shortened(tensors):
    return {name: tensor[:-1] for name, tensor in tensors.items()}


def doubles(tensors):
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


@pytest.mark.parametrize("change", [renamed, missing, additional, shortened, doubles])
def test_other_tensors(tmp_path, change):
    path = saved(tmp_path / "m.safetensors").path
    header, tensors = read_tensors(path)
    save_tensors(path, change(tensors), header)
    with pytest.raises(InputError, match=r"m\.safetensors: its tensors do not match its description"):
        load_model(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path, value):
    path = saved(tmp_path / "m.safetensors").path
    header, tensors = read_tensors(path)
    tensors["dense[0].bias"][1] = value
    save_tensors(path, tensors, header)
    with pytest.raises(InputError, match="has non-finite weights; train it again"):
        load_model(path)


def test_every_byte_counts(tmp_path):
    """A damaged file is refused, whatever byte is changed; only whitespace at the end of the header has no effect."""
    before, path = saved(tmp_path / "m.safetensors"), tmp_path / "damaged.safetensors"
    x, n_read = small_ensembles.closed(1).configurations[:5], 0
    for content in damages(before.path.read_bytes()):
        path.write_bytes(content)
        with suppress(InputError):
            after = load_model(path)
            n_read += 1
            assert after.description == before.description
            np.testing.assert_array_equal(predict(after, x), predict(before, x))
        path.unlink()
    assert n_read < 8


def test_a_description_is_checked_without_the_weights(tmp_path):
    path = saved(tmp_path / "m.safetensors").path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    describe(path)
    path.write_bytes(content.replace(b"0.125", b"0.126"))
    with pytest.raises(InputError, match="checksum mismatch"):
        describe(path)


def test_the_file_is_the_same_every_time(tmp_path):
    assert len({saved(tmp_path / f"{i}.safetensors").path.read_bytes() for i in range(8)}) == 1


@full_disks.needed
def test_a_full_disk(tmp_path):
    with full_disks.of(tmp_path / "disk", "4k") as disk:
        (disk / "filling").write_bytes(bytes(2048))
        with pytest.raises(OSError, match="No space left on device"):
            saved(disk / "m.safetensors")
        assert list(disk.iterdir()) == [disk / "filling"]


def text(path):
    path.write_text("a text file, and quite a long one")


def truncated(path):
    saved(path)
    path.write_bytes(path.read_bytes()[:-10])


def no_header(path):
    save_file({"a": np.zeros(2)}, path)


def no_json(path):
    save_file({"a": np.zeros(2)}, path, metadata={"fluxeq": "{"})


def nothing(path):
    path.write_bytes(b"")


def no_object(path):
    save_file({"a": np.zeros(2)}, path, metadata={"fluxeq": "[1]"})


def earlier(path):
    save_file({"a": np.zeros(2)}, path, metadata={"fluxeq": json.dumps({"format_version": 1})})


@pytest.mark.parametrize("write", [text, truncated, no_header, no_json, no_object, nothing, earlier])
def test_not_a_model(tmp_path, write):
    path = tmp_path / "m.safetensors"
    write(path)
    with pytest.raises(InputError, match=r"m\.safetensors: not a model of fluxeq \(") as failed:
        load_model(path)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize("name", ["", "missing.safetensors"])
def test_no_model(tmp_path, name):
    with pytest.raises(InputError, match="no such model; train one with 'fluxeq train"):
        load_model(tmp_path / name)
