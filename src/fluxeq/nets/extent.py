"""The extent of a window of a layer; apart from the layers, since study files are read without JAX."""

from typing import Annotated

from pydantic import Field, PositiveInt

Extent = Annotated[PositiveInt, Field(le=64)]
"""There is a copy of the lattice for each step."""
