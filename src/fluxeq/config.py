"""The base of every config: immutable, hashable, and strict about unknown fields."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from fluxeq.errors import InputError

UNKNOWN = "unknown_field"
Config = TypeVar("Config", bound=BaseModel)


class Frozen(BaseModel):
    """A config read from a study file or a model header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name in given.keys() - cls.model_fields.keys():
                near = get_close_matches(str(name), cls.model_fields, n=1)
                hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(cls.model_fields)}"
                raise PydanticCustomError(UNKNOWN, "{name} is unknown; {hint}", {"name": str(name), "hint": hint})
        return given


def first_problem(error: ValidationError) -> str:
    """The first error of a config in one line: field, value, rule."""
    problem = error.errors()[0]
    where, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    value = repr(problem["input"])
    shown = f" = {value}" if len(value) < 80 and problem["type"] != UNKNOWN else ""
    return f"{where}{shown}: {message}" if where else message


def validated(kind: type[Config], where: str, fields: Config | Mapping[str, Any] | None) -> Config:
    """A config, given as such or by the fields that differ from its defaults.

    Raises InputError, prefixed by ``where``, for an unknown field or invalid value.
    """
    if isinstance(fields, kind):
        return fields
    try:
        return kind.model_validate(fields or {})
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from None
