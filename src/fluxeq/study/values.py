"""Types of values in study files: counts, shapes, couplings, tuples of distinct values."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

Value = TypeVar("Value")


def _different(values: tuple[Value, ...]) -> tuple[Value, ...]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{value!r} is repeated; values must be distinct")
    return values


Different = Annotated[tuple[Value, ...], AfterValidator(_different)]
Some = Annotated[Different[Value], Field(min_length=1)]
"""At least one value, all distinct."""
Count = Annotated[int, Field(ge=1, lt=2**31)]
Extent = Annotated[int, Field(ge=2, lt=2**15)]
Shape = Annotated[tuple[Extent, ...], Field(min_length=1)]
Coupling = Annotated[float, Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]
"""Finite; -0.0 becomes 0.0, also in names."""
Couplings = dict[str, Coupling]
NumberOfWorms = Annotated[int, Field(ge=0)]
