"""Families shared by the sections of a study: a table at the top of the file, to which sections refer by name.

A family can be ``like`` another one of the table and give only the differences.
"""

from typing import Any


def with_shared_families(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a study file with the listed families inserted in each section. ValueError for an unknown name."""
    if not isinstance(families := content.get("families"), dict) or not isinstance(content.get("tasks"), dict):
        return content
    known = {name: _whole(name, families) for name in families}
    tasks = {name: _with_families(section, known) for name, section in content["tasks"].items()}
    return {**content, "families": known, "tasks": tasks}


def _with_families(section: Any, known: dict[str, Any]) -> Any:
    if not isinstance(section, dict) or not isinstance(names := section.get("families"), list):
        return section
    return {**section, "families": {str(name): _named(name, known) for name in names}}


def _whole(name: str, families: dict[str, Any], depth: int = 0) -> Any:
    """A family merged with the one it is ``like``; the first name is the default architecture."""
    family = families[name]
    if not isinstance(family, dict):
        return family
    if "like" not in family:
        return family if "function" in family else {"architecture": name, **family}
    if depth > len(families):
        raise ValueError(f"families.{name}: circular 'like'; a family cannot be like itself")
    other = _named(family["like"], families) and _whole(family["like"], families, depth + 1)
    return {**other, **{key: value for key, value in family.items() if key != "like"}}


def _named(name: Any, known: dict[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"families: {name!r}: choose among {', '.join(known)}")
    return known[name]
