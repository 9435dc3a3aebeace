"""Couplings as text, as in the names of files: equal text for equal numbers, and only for them."""


def written(value: float) -> str:
    """The number in six digits if these give it back, else in as many as it takes: 1, 1.05, 1.0500000001."""
    value += 0.0  # -0.0 is 0.0
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
