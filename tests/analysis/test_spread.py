import numpy as np
import pandas as pd
import pytest

from fluxeq.analysis import spread


def rows(**columns) -> pd.DataFrame:
    named = {
        "protocol": "searched",
        "family": "EQ, mine",
        "architecture": "EQ",
        "augmentation": False,
        "n_training": 10,
    }
    return pd.DataFrame({"instance": columns.pop("instance"), **named, **columns})


def test_scores_are_means_over_configurations_not_means_of_means():
    found = rows(instance=[0, 0, 1], mu=1.0, configurations=[10, 30, 5], accuracy=[1.0, 0.0, 0.75])
    assert list(spread.instance_scores(found, "accuracy")["accuracy"]) == [0.25, 0.75]
    (found,) = spread.spread(found, "accuracy", "mu").to_dict("records")
    assert (found["lowest"], found["mean"], found["median"], found["highest"]) == (0.25, 0.5, 0.5, 0.75)
    assert (found["family"], found["instances"]) == ("EQ, mine", 2)


def test_the_loss_is_the_mean_over_targets():
    found = rows(instance=0, target=["n", "phi2"] * 2, configurations=[10, 10, 30, 30], loss=[1.0, 3.0, 2.0, 0.0])
    assert list(spread.instance_scores(found, "loss")["loss"]) == [1.25]


def test_a_missing_score_is_not_counted_as_zero():
    found = rows(instance=0, configurations=10, accuracy=[1.0, np.nan])
    assert np.isnan(spread.instance_scores(found, "accuracy")["accuracy"].item())


def test_the_error_of_an_accuracy_is_that_of_its_configurations():
    """Wilson's interval against tabulated values; it has a width even if no prediction was wrong."""
    found = rows(instance=0, mu=1.0, configurations=10, accuracy=[1.0, 0.8], target="n")
    (row,) = spread.spread(found, "accuracy", "mu").to_dict("records")
    assert (row["configurations"], row["median"]) == (20, 0.9)
    assert spread.binomial_interval(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert spread.binomial_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert (row["test_low"], row["test_high"]) == pytest.approx(spread.binomial_interval(0.9, 20))
