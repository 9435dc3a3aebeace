"""Model cards, with losses per target, also for an external architecture."""

import pandas as pd

import synthetic_run
from fluxeq.report.model_cards import write_cards
from fluxeq.training.models import describe
from untrained import LINEAR, saved


def test_the_best_network_of_a_family_gets_a_card(tables: synthetic_run.Tables, tmp_path):
    run = tables.write(tmp_path / "run")
    files = [saved(run, "regression", LINEAR, i, scale=2.0) for i in range(2)]
    rows = tables.metrics[(tables.metrics["task"] == "regression") & (tables.metrics["family"] == "EQ")].head(4)
    rows = rows.assign(configurations=100, loss=[1.0, 2.0, 3.0, 2.0], loss_error=[0.3, 0.1, 0.4, 0.1])
    pd.concat([tables.metrics, rows.assign(model=files[1].name)]).to_csv(run / "metrics.csv", index=False)
    (made,) = write_cards(run, {"regression": {"Mine, linear": [path.name for path in files]}}, tmp_path / "best")
    assert made.name == "regression-Mine-linear.safetensors"
    assert describe(made).instance == 1  # the one with the lower validation loss
    card = made.with_suffix(".md").read_text()
    assert "untrained:Linear, 8 parameters, scale 2.0 |" in card
    assert "| predicts | n and phi2 of a configuration |" in card
    assert "Couplings of the test: eta = 4.01, lam = 1, mu = 0.91, 0.93." in card
    assert "| lattice | configurations | loss of n | loss of phi2 | accuracy |" in card
    assert "| 60x4 | 200 | 2 +- 0.2 | 2 +- 0.07 |  |" in card  # errors 0.3 and 0.4: 0.5 / 2
    assert "open worms" not in card
    assert "| lattices | all |" in card
