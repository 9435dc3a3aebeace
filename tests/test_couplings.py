from hypothesis import example, given, settings
from hypothesis.strategies import floats

from fluxeq.theory import coupling_text

numbers = floats(allow_nan=False, allow_infinity=False)


@settings(derandomize=True)
@given(numbers)
@example(0.1 + 0.2)
@example(1.0)
@example(1e22)
def test_a_number_is_given_back_by_its_text(value):
    assert float(coupling_text(value)) == value
    if float(f"{value:g}") == value != 0:
        assert coupling_text(value) == f"{value:g}"  # as in file names and seeds of earlier runs


@settings(derandomize=True)
@given(numbers, numbers)
@example(1.05, 1.0500000001)
@example(1.05, 1.05 + 2**-52)
@example(0.0, -0.0)
def test_equal_text_for_equal_numbers_and_for_no_others(value, other):
    assert (coupling_text(value) == coupling_text(other)) == (value == other)
