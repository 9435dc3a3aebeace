"""The extent of a window of a layer; in its own module, since study files are read without JAX."""

from typing import Annotated

from pydantic import Field, PositiveInt

Extent = Annotated[PositiveInt, Field(le=64)]
"""Limited since each step needs a copy of the lattice."""
