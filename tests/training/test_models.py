"""Model files: what goes in comes out, and what is none is said to be none."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.nets.architectures import ARCHITECTURES, configured
from fluxeq.nets.network import n_parameters
from fluxeq.training.evaluation import predict
from fluxeq.training.models import Description, Model, describe, load_model, save_model
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SETTINGS = {"blocks": [{"channels": 3, "kernel": 2, "stride": 2}, {"channels": 2, "kernel": 1}], "dense": [4]}


def saved(path, architecture="ST", task="regression", settings=SETTINGS):
    shape = small_ensembles.SHAPE
    config = configured(architecture, settings, shape)
    network = config.build(2, 2 if task == "regression" else 1, np.random.default_rng(3))
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
    save_model(path, network, description)
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
    """The same tensors under a changed header."""
    header = describe(path).model_dump(mode="json")
    tensors = load_file(path)
    header = {name: value for name, value in (header | changes).items() if value is not ...}
    save_file(tensors, path, metadata={"fluxeq": json.dumps(header)})


def test_another_format_version(tmp_path):
    path = saved(tmp_path / "m.safetensors").path
    with_header(path, format_version=2)
    with pytest.raises(InputError, match=r"m\.safetensors: format version 2, this fluxeq reads 1"):
        load_model(path)


@pytest.mark.parametrize("changes", [{"config": ...}, {"hidden": 1}, {"format_version": ...}, {"shape": "4x4"}])
def test_a_header_with_other_fields(tmp_path, changes):
    path = saved(tmp_path / "m.safetensors").path
    with_header(path, **changes)
    with pytest.raises(InputError, match="not a model of fluxeq"):
        load_model(path)


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


@pytest.mark.parametrize("write", [text, truncated, no_header, no_json, nothing])
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
