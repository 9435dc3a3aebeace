"""The parts of the reference that are made from the code. A page asks for one by a line, a comment of Markdown:

    % commands                          the command line, from its app
    % fields fluxeq.study.study:Study   the fields of a config: types, ranges, defaults, meaning
    % claims                            the claims and their thresholds

Whatever has no description, and every public name without an entry, is a warning, which fails the build.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from unittest.mock import patch

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import fluxeq

LOGGER = logging.getLogger(__name__)
ASKED = re.compile(r"^% (commands|fields|claims)(?: (\S+))?$", re.MULTILINE)
EXAMPLES = re.compile(r"^Examples?: (.*?)\n\n", re.MULTILINE | re.DOTALL)
UNBOUNDED = 2**15
"""What is as large is the bound of a file format, not of a setting."""
NAMES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "table"}
MODULES = ("exact", "observables", "statistics", "testing")


def commands() -> str:
    """Every command, with its usage and options."""
    from fluxeq.cli.commands import app

    with patch.object(sys, "argv", ["fluxeq"]):  # which cyclopts takes for the name of the program
        text = app.generate_docs(output_format="markdown", heading_level=1)
    return EXAMPLES.sub(_as_code, "## " + "\n## ".join(sorted(text.split("\n## ")[2:])))


def _as_code(found: re.Match[str]) -> str:
    """The examples in the help of a command, one per line."""
    return "```sh\n" + found[1].replace(";\n", "\n").replace("\n--", " --") + "\n```\n\n"


def fields(place: str) -> str:
    """The fields of a config as a table."""
    module, _, name = place.partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    schema, told = model.model_json_schema(), _attribute_docs(model)
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        if key not in told:
            LOGGER.warning("%s.%s: no description", place, key)
        value, default = _words(schema["properties"][key]), _default(field)
        rows.append(_row(f"`{key}`", value, default, told.get(key, "")))
    return "\n".join(rows)


def claims() -> str:
    """Every claim, with what the paper says and its thresholds."""
    from fluxeq.analysis.claims.claim import CLAIMS

    rows, thresholds = ["| claim | statement | in the paper | thresholds |", "|---|---|---|---|"], list(_thresholds())
    for name, claim in CLAIMS.items():
        own = "; ".join(text for ids, text in thresholds if name in ids)
        rows.append(_row(name, claim.statement, claim.paper, own or "none"))
    return "\n".join(rows)


def _thresholds() -> Iterator[tuple[list[str], str]]:
    """Constants of the modules of claims whose description begins with ids: these, and the constants in words."""
    from fluxeq.analysis.claims.claim import CLAIMS

    judges = (getattr(claim.judge, "func", claim.judge) for claim in CLAIMS.values())
    for module in dict.fromkeys(inspect.getmodule(judge) for judge in judges):
        told: dict[str, list[str]] = {}
        for (_, name), lines in ModuleAnalyzer.for_module(module.__name__).find_attr_docs().items():
            told.setdefault(" ".join(lines).strip(), []).append(name)
        for text, names in told.items():
            ids, _, reason = text.partition(": ")
            if all(part in CLAIMS for part in ids.split(", ")):
                values = ", ".join(f"`{name.lower()}` = {getattr(module, name)}" for name in names)
                yield ids.split(", "), f"{values}: {reason.rstrip('.')}"


def _attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field in the source, of the class or those that it is derived from."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if kind.__module__.startswith("fluxeq."):
            docs = ModuleAnalyzer.for_module(kind.__module__).find_attr_docs()
            found |= {name: " ".join(lines).strip() for (owner, name), lines in docs.items() if owner == kind.__name__}
    return found


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None or value == () or value == {}:
        return "none"
    plain = json.dumps(value, default=lambda some: some.model_dump(mode="json", exclude_defaults=True))
    return f"`{plain}`"


def _words(schema: dict[str, Any], plural: str = "") -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        return "any value" if schema["$ref"].endswith("JsonValue") else f"table{plural}"
    if "anyOf" in schema:
        return " or ".join(_words(one, plural) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(map(_words, schema['prefixItems']))}]"
        return f"list{plural} of {_words(schema['items'], 's')}{', at least one' if schema.get('minItems') else ''}"
    inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
    of = f" of {_words(inner, 's')}" if isinstance(inner, dict) else ""
    return f"{NAMES.get(schema.get('type', ''), 'any value')}{plural}{of}{_range(schema)}"


def _range(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [
        f"{sign} {schema[name]:g}" for name, sign in signs.items() if abs(schema.get(name, UNBOUNDED)) < UNBOUNDED
    ]
    return f" {', '.join(bounds)}" if bounds else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the lines of a page that ask for something."""
    source[0] = ASKED.sub(lambda asked: globals()[asked[1]](*filter(None, [asked[2]])), source[0])


def require_all(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that the reference leaves out."""
    there = env.domains.python_domain.objects
    names = [f"fluxeq.{name}" for name in fluxeq.__all__ if name not in MODULES and name != "__version__"]
    for module in MODULES:
        members = vars(import_module(f"fluxeq.{module}")).items()
        names += [
            f"fluxeq.{module}.{name}"
            for name, member in members
            if not name.startswith("_")
            and (inspect.isfunction(member) or inspect.isclass(member))
            and member.__module__ == f"fluxeq.{module}"
        ]
    for name in names:
        if name not in there:
            LOGGER.warning("%s: is public, and not in the reference", name)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Any) -> Any:
    """Find a public name by the module in which it is defined, as in signatures."""
    target, python = node.get("reftarget"), env.domains.python_domain
    for name, home in fluxeq._HOMES.items():
        if node.get("refdomain") == "py" and target in (f"fluxeq.{home}.{name}", name):
            return python.resolve_xref(env, node["refdoc"], app.builder, "obj", f"fluxeq.{name}", node, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to the build."""
    app.connect("source-read", fill)
    app.connect("env-check-consistency", require_all)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
