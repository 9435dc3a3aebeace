"""The base of every config: immutable, hashable, and strict about unknown fields."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """A config read from a study file or a model header."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a config, in one line: where, the value, the rule."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]  # a misspelled name before the field that it leaves missing
    where, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    value = repr(problem["input"])
    shown = f" = {value}" if len(value) < 80 else ""
    return f"{where}{shown}: {message}" if where else message
