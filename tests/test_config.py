"""Configs: a misspelled field is reported with the most similar valid name."""

import pytest
from pydantic import ValidationError

from fluxeq.config import Frozen, first_problem


class Inner(Frozen):
    learning_rate: float = 1.0


class Outer(Frozen):
    """A config that contains another one."""

    inner: Inner = Inner()
    names: tuple[Inner, ...] = ()
    needed: int


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"needed": 1, "iner": {}}, "iner is unknown; did you mean inner?"),
        ({"neded": 1}, "neded is unknown; did you mean needed?"),
        ({"needed": 1, "inner": {"learning_rat": 2}}, "inner: learning_rat is unknown; did you mean learning_rate?"),
        (
            {"needed": 1, "names": [{}, {"lerning_rate": 2}]},
            "names.1: lerning_rate is unknown; did you mean learning_rate?",
        ),
        ({"needed": 1, "zzz": 2}, "zzz is unknown; the fields are inner, names, needed"),
        ({"needed": "x"}, "needed = 'x': Input should be a valid integer"),
        ({}, "needed"),
    ],
)
def test_first_problem(given, told):
    with pytest.raises(ValidationError) as error:
        Outer.model_validate(given)
    assert first_problem(error.value).startswith(told)
