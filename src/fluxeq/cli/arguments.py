"""Parsing of command-line values and JSON options."""

import json
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
"""In a range."""
MOST_DIGITS = 100
"""In an integer; Python refuses to parse more than a few thousand."""


def parsed_shape(text: str) -> tuple[int, ...]:
    """Parse lattice extents such as 60x4. Raises InputError for anything else."""
    parts = text.lower().split("x")
    if not all(map(_is_number, parts)):
        raise InputError(f"shape {text!r:.80}: must be extents separated by x, time first, as in 60x4")
    return tuple(map(int, parts))


def parsed_theories(options: "TheoryOptions") -> "dict[str, FluxTheory]":
    """The theories selected by the options, by label.

    One coupling may be a range, as in 0.91:1.05:0.005: the result has a theory for each value, with labels such as
    mu0.91. Without a range, the only label is the empty string. Raises InputError for couplings that are missing,
    given twice or unknown to the theory, and for a second range.
    """
    from fluxeq.theory import coupling_text, theory_of

    name, texts = _given(options)
    values = {coupling: parsed_values(coupling, text) for coupling, text in texts.items()}
    ranges = [coupling for coupling, text in texts.items() if ":" in text]
    if len(ranges) > 1:
        raise InputError(f"{' and '.join(ranges)}: only one coupling can be a range")
    single = {coupling: numbers[0] for coupling, numbers in values.items()}
    if not ranges:
        return {"": theory_of(name, single)}
    [swept] = ranges
    return {f"{swept}{coupling_text(value)}": theory_of(name, single | {swept: value}) for value in values[swept]}


def _given(asked: "TheoryOptions") -> tuple[str, dict[str, str]]:
    """The name of the theory and its couplings as strings."""
    name, couplings = asked.theory, asked.couplings
    phi4 = {"eta": asked.eta, "lam": asked.lam, "mu": asked.mu}
    given = {coupling: text for coupling, text in phi4.items() if text is not None}
    options = ", ".join(f"--{coupling}" for coupling in phi4)
    if couplings is not None and given:
        raise InputError(f"--{next(iter(given))}: cannot be combined with --couplings; leave out {options}")
    if couplings is not None:
        return name or "phi4", _parsed_couplings(couplings)
    if name not in (None, "phi4"):
        raise InputError(f"theory {name!r:.80}: couplings missing; give them as in --couplings beta=0.8,mu=0.1")
    if missing := [f"--{coupling}" for coupling in phi4 if coupling not in given]:
        raise InputError(f"{', '.join(missing)}: missing; give {options}, or another --theory with --couplings")
    return "phi4", given


def _parsed_couplings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if not name or not number or name in found:
            raise InputError(f"couplings {text!r:.80}: must be name=number pairs, as in beta=0.8,mu=0.1")
        found[name] = number
    return found


def parsed_values(name: str, text: str) -> list[float]:
    """Parse a number (0.91) or a range (0.91:1.05:0.005), whose end is included if a step hits it.

    Raises InputError for anything else.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(parts) == 1:
            return numbers
        first, last, step = map(Decimal, parts)  # exact: 0.91 + 7 * 0.005 is 0.945, not 0.9450000000000001
        n = int((last - first) / step) + 1
        if 1 <= n <= MOST_POINTS:
            return [float(first + i * step) for i in range(n)]
    except (ValueError, ArithmeticError):
        pass
    raise InputError(
        f"{name} {text!r:.80}: must be a number, or a range first:last:step of at most {MOST_POINTS} values, "
        "as in 0.91:1.05:0.005"
    )


def parsed_integers(name: str, text: str) -> list[int]:
    """Parse integers separated by commas (0,5). Raises InputError for anything else."""
    parts = text.split(",")
    if not all(map(_is_number, parts)):
        raise InputError(f"{name} {text!r:.80}: must be non-negative integers separated by commas, as in 0,5")
    return list(map(int, parts))


def _is_number(text: str) -> bool:
    """Whether a text is a non-negative integer of at most MOST_DIGITS digits."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def load_config(given: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a config in JSON; from best.json of a search, also the recipe settings it selected."""
    _, content = _fields("config", given)
    return content.get("config", content), content.get("recipe", {}) if "config" in content else {}


def varied(recipe: "Recipe", n: int, changes: dict[str, Any], given: str | None) -> "Recipe":
    """The recipe with the ``changes`` a search selected, for ``n`` configurations. Raises InputError if invalid."""
    from pydantic import ValidationError

    from fluxeq.config import first_problem

    if not isinstance(changes, dict):
        raise InputError(f"{_place('config', given)}: recipe = {changes!r:.80}: must be a JSON object")
    try:
        return recipe.varied(n, changes)
    except ValidationError as error:
        raise InputError(f"{_place('config', given)}: recipe.{first_problem(error)}") from None


def recipe_of(given: str | None) -> "Recipe":
    """The recipe from JSON with the fields that differ from the defaults. Raises InputError if invalid."""
    from fluxeq.config import validated
    from fluxeq.training.recipe import Recipe

    return validated(Recipe, *_fields("recipe", given))


def space_of(given: str | None) -> "Space":
    """The search space from JSON with the fields that differ from the defaults. Raises InputError if invalid."""
    from fluxeq.config import validated
    from fluxeq.searching.space import Space

    return validated(Space, *_fields("space", given))


def _fields(name: str, given: str | None) -> tuple[str, dict[str, Any]]:
    """Where the fields of an option stand, for messages, and the fields, from JSON text or from a file."""
    from fluxeq.system.files import read_json

    place = _place(name, given)
    if given is None:
        return place, {}
    content = _parsed_json(name, given) if _is_text(given) else read_json(Path(given))
    if not isinstance(content, dict):
        raise InputError(f"{place}: must be a JSON object with the fields that differ from the defaults")
    return place, content


def _parsed_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} {text!r:.80}: not JSON ({error})") from None


def _place(name: str, given: str | None) -> str:
    return name if given is None or _is_text(given) else given


def _is_text(given: str) -> bool:
    return given.strip()[:1] in ("", "{")
