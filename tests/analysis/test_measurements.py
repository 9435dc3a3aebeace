"""Which measurements are made on which networks, built-in and external."""

import numpy as np
import pytest

import small_ensembles
from fluxeq.analysis.measurements import tables
from fluxeq.analysis.tables import MEASUREMENTS
from untrained import BLOCKS, LINEAR, saved


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    files = small_ensembles.save(folder, {"closed": small_ensembles.closed(3), "opened": small_ensembles.opened(3)})
    strided = {"ST": {"blocks": [{**BLOCKS[0], "stride": 2}, BLOCKS[1]]}}
    models = {
        section: {
            f"my {architecture}": [
                saved(folder, task, architecture, i, **strided.get(architecture, {})) for i in (0, 1)
            ]
            for architecture in ("EQ", "ST", "FL", LINEAR)
        }
        for section, task in (("a", "regression"), ("b", "detection"))
    }
    return dict(tables(models, {"a": files["closed"], "b": files["opened"]}, {"b": files["closed"]}))


def test_tables_have_their_columns(measured):
    assert {name: list(table) for name, table in measured.items()} == {
        name: list(columns) for name, columns in MEASUREMENTS.items()
    }


def test_translations_of_the_first_network_of_every_family(measured):
    table = measured["translation"].groupby("family").agg({"translation_error": "min", "residual_error": "max"})
    errors, residual = table["translation_error"], table["residual_error"]
    assert len(measured["translation"]) == 8
    assert set(measured["translation"]["instance"]) == {0}
    assert errors["my EQ"] < 1e-12 < 1e-6 < min(errors[["my ST", "my FL", f"my {LINEAR}"]])
    assert residual["my ST"] < 1e-12
    assert residual[["my FL", f"my {LINEAR}"]].isna().all()


def test_responses_are_those_of_pooled_feature_maps_to_worms(measured):
    for name in ("responses", "feature_maps"):
        table = measured[name]
        assert set(table["task"]) == {"b"}
        assert list(table["family"].unique()) == ["my EQ", "my ST"]
    assert np.allclose(measured["responses"][["positive", "negative"]].sum(axis=1), 1)
    assert measured["feature_maps"].groupby("family")["selected"].sum().to_dict() == {"my EQ": 16, "my ST": 4}


def test_the_example_has_one_worm(measured):
    assert sorted(measured["example"]["divergence"][lambda column: column != 0]) == [-1, 1]


def test_closed_configurations_alone_leave_the_other_tables_empty(tmp_path):
    files = small_ensembles.save(tmp_path, {"closed": small_ensembles.closed(3)})
    found = dict(tables({"a": {"EQ": [saved(tmp_path, "regression", "EQ")]}}, {"a": files["closed"]}, {}))
    assert {name: len(table) for name, table in found.items()} == {
        "translation": 1,
        "responses": 0,
        "example": 0,
        "feature_maps": 0,
    }
