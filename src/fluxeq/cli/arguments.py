"""What the words and files of a command line mean."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxeq.errors import InputError

if TYPE_CHECKING:
    from fluxeq.cli.app import TheoryOptions
    from fluxeq.searching.space import Space
    from fluxeq.theory import FluxTheory
    from fluxeq.training.recipe import Recipe

MOST_POINTS = 10_000
"""Of a range."""
MOST_DIGITS = 100
"""Of a whole number; beyond some thousand Python reads none."""


def parsed_shape(text: str) -> tuple[int, ...]:
    """The extents in 60x4. Raises InputError for anything else."""
    parts = text.lower().split("x")
    if not all(map(_is_number, parts)):
        raise InputError(f"shape {text!r:.80}: extents separated by x are needed, time first, as in 60x4")
    return tuple(map(int, parts))


def parsed_theories(options: "TheoryOptions") -> "dict[str, FluxTheory]":
    """Theories by their name with couplings as in beta=0.8,mu=0.1, or phi4 with those of its own options.

    One of the couplings may be a range, as in 0.91:1.05:0.005; then there is a theory for each of its values, under a
    name such as mu0.91. The only one without a range is under the empty name. Raises InputError for couplings that are
    missing, given twice, or of another theory, and for a second range.
    """
    from fluxeq.theory import theory_of, written

    name, texts = _given(options)
    values = {coupling: parsed_values(coupling, text) for coupling, text in texts.items()}
    ranges = [coupling for coupling, text in texts.items() if ":" in text]
    if len(ranges) > 1:
        raise InputError(f"{' and '.join(ranges)}: one range at a time is possible")
    single = {coupling: numbers[0] for coupling, numbers in values.items()}
    if not ranges:
        return {"": theory_of(name, single)}
    [swept] = ranges
    return {f"{swept}{written(value)}": theory_of(name, single | {swept: value}) for value in values[swept]}


def _given(asked: "TheoryOptions") -> tuple[str, dict[str, str]]:
    """The name of a theory, and its couplings as texts."""
    name, couplings = asked.theory, asked.couplings
    phi4 = {"eta": asked.eta, "lam": asked.lam, "mu": asked.mu}
    given = {coupling: text for coupling, text in phi4.items() if text is not None}
    options = ", ".join(f"--{coupling}" for coupling in phi4)
    if couplings is not None and given:
        raise InputError(f"--{next(iter(given))}: all couplings are in --couplings already; leave {options} out")
    if couplings is not None:
        return name or "phi4", _parsed_couplings(couplings)
    if name not in (None, "phi4"):
        raise InputError(f"theory {name!r:.80}: its couplings are missing; give them as in --couplings beta=0.8,mu=0.1")
    if missing := [f"--{coupling}" for coupling in phi4 if coupling not in given]:
        raise InputError(f"{', '.join(missing)}: missing; give {options}, or another --theory with its --couplings")
    return "phi4", given


def _parsed_couplings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if not name or not number or name in found:
            raise InputError(f"couplings {text!r:.80}: names with a number each, as in beta=0.8,mu=0.1, are needed")
        found[name] = number
    return found


def parsed_values(name: str, text: str) -> list[float]:
    """The number in 0.91, or those in the range 0.91:1.05:0.005, its end included where a step hits it.

    Raises InputError for anything else.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(parts) == 1:
            return numbers
        first, last, step = map(Decimal, parts)  # 0.91 + 7 * 0.005 is 0.945, not 0.9450000000000001
        n = int((last - first) / step) + 1
        if 1 <= n <= MOST_POINTS:
            return [float(first + i * step) for i in range(n)]
    except (ValueError, ArithmeticError):
        pass
    raise InputError(
        f"{name} {text!r:.80}: a number, or a range of at most {MOST_POINTS} as in 0.91:1.05:0.005 (first, last, step)"
    )


def parsed_integers(name: str, text: str) -> list[int]:
    """The whole numbers in 0,5. Raises InputError for anything else."""
    parts = text.split(",")
    if not all(map(_is_number, parts)):
        raise InputError(f"{name} {text!r:.80}: whole numbers separated by commas are needed, as in 0,5")
    return list(map(int, parts))


def _is_number(text: str) -> bool:
    """Whether a text is a whole number, of no more digits than are read."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def config_of(path: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a config in a JSON file, and what else the search that left it behind chose for the recipe."""
    content = _fields(path)
    return content.get("config", content), content.get("recipe", {}) if "config" in content else {}


def varied(recipe: "Recipe", n: int, changes: dict[str, Any], path: Path | None) -> "Recipe":
    """The recipe with what a search chose, for ``n`` configurations. Raises InputError if a file asks for nonsense."""
    from pydantic import ValidationError

    from fluxeq.config import first_problem

    if not isinstance(changes, dict):
        raise InputError(f"{path}: recipe = {changes!r:.80}: an object of fields is needed")
    try:
        return recipe.varied(n, changes)
    except ValidationError as error:
        raise InputError(f"{path}: recipe.{first_problem(error)}") from None


def recipe_of(path: Path | None) -> "Recipe":
    """The recipe in a JSON file of fields that differ from the defaults. Raises InputError if there is none such."""
    from fluxeq.config import validated
    from fluxeq.training.recipe import Recipe

    return validated(Recipe, str(path), _fields(path))


def space_of(path: Path | None) -> "Space":
    """The space of a search, likewise."""
    from fluxeq.config import validated
    from fluxeq.searching.space import Space

    return validated(Space, str(path), _fields(path))


def _fields(path: Path | None) -> dict[str, Any]:
    from fluxeq.system.files import read_json

    content = {} if path is None else read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON object with the fields that differ from the defaults is needed")
    return content
