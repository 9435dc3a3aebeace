"""Merging a study with the one it extends, and writing the result as TOML."""

import json
import math
from datetime import date, time
from typing import Any


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with changes, table by table; ``false`` instead of a table removes it."""
    found = dict(base)
    for name, value in changes.items():
        if isinstance(found.get(name), dict) and value is False:
            del found[name]
        elif isinstance(found.get(name), dict) and isinstance(value, dict):
            found[name] = merged(found[name], value)
        else:
            found[name] = value
    return found


def as_toml(table: dict[str, Any], path: tuple[str, ...] = (), depth: int = 3) -> str:
    """A table as TOML; tables deeper than ``depth`` are written inline."""
    inner = {name: value for name, value in table.items() if isinstance(value, dict) and len(path) < depth}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in table.items() if name not in inner]
    head = [f"[{'.'.join(map(_key, path))}]"] if path and (lines or not inner) else []
    parts = ["\n".join(head + lines)] if head + lines else []
    return "\n\n".join(parts + [as_toml(value, (*path, name), depth).rstrip() for name, value in inner.items()]) + "\n"


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "a").replace("-", "a").isalnum() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(item)}' for name, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)
