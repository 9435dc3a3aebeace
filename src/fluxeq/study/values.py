"""The kinds of values in a study file: counts, shapes, couplings, and tuples without anything twice."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

Value = TypeVar("Value")


def _different(values: tuple[Value, ...]) -> tuple[Value, ...]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{value!r} is there twice; different values are needed")
    return values


Different = Annotated[tuple[Value, ...], AfterValidator(_different)]
Some = Annotated[Different[Value], Field(min_length=1)]
"""At least one value, none of them twice."""
Count = Annotated[int, Field(ge=1, lt=2**31)]
Extent = Annotated[int, Field(ge=2, lt=2**15)]
Shape = Annotated[tuple[Extent, ...], Field(min_length=1)]
Coupling = Annotated[float, Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]
"""-0.0 is 0.0, also in names."""
Couplings = dict[str, Coupling]
NumberOfWorms = Annotated[int, Field(ge=0)]
