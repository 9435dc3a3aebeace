"""Registries of theories, architectures, observables, tasks, claims and figures.

A name is an entry point of a group such as ``fluxeq.architectures``, of fluxeq or any installed package, or a location
``package.module:Name`` in the current folder or among installed packages. Both are checked and then treated alike.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from fluxeq.errors import InputError

Member = TypeVar("Member")


class Registry(Mapping[str, Member], Generic[Member]):
    """All members of a kind by name; those in ``first`` come first, in this order.

    ``require`` returns a member if it satisfies the protocol of its kind, and otherwise raises InputError.
    """

    def __init__(self, kind: str, plural: str, require: Callable[[str, Any], Member], *first: str) -> None:
        self._kind, self._group, self._require, self._first = kind, f"fluxeq.{plural}", require, first
        self._found: dict[str, Member] = {}

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        found = {point.name: point for point in entry_points(group=self._group)}
        for point in entry_points(group=self._group):
            if point.value.startswith("fluxeq."):  # others cannot override fluxeq's own members
                found[point.name] = point
        return {name: found[name] for name in (*self._first, *sorted(found.keys() - {*self._first})) if name in found}

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, name: object) -> bool:
        """Whether a name is an entry point, without importing it."""
        return name in self._points

    def __getitem__(self, name: str) -> Member:
        """The member of a name. Raises InputError if there is none, or it violates the protocol of its kind."""
        if name not in self._found:
            self._found[name] = self._require(name, self._load(name))
        return self._found[name]

    def require_known(self, name: str) -> None:
        """Raise InputError for a name that is not an entry point or a location; locations are imported."""
        if name not in self:
            self[name]

    def _load(self, name: str) -> Any:
        if name in self._points:
            return self._imported(name, self._points[name].load)
        module, separator, attribute = name.partition(":")
        if not separator or not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
            listed = ", ".join(self)
            raise InputError(f"{self._kind} {name!r:.80}: choose one of {listed}, or give package.module:Name")
        return self._imported(name, lambda: _at(module, attribute))

    def _imported(self, name: str, load: Callable[[], Any]) -> Any:
        try:
            return load()
        except InputError:
            raise
        except Exception as error:  # anything raised by external modules
            reason = str(error) or repr(error)
            raise InputError(f"{self._kind} {name!r}: cannot be imported ({type(error).__name__}: {reason})") from error


def require_attributes(kind: str, name: str, found: Any, attributes: Mapping[str, str]) -> None:
    """Raise InputError unless an object has these attributes, given with their purposes."""
    known = {*dir(found), *getattr(found, "model_fields", ())}
    for attribute, purpose in attributes.items():
        if attribute not in known:
            raise InputError(f"{kind} {name!r}: has no {attribute}, {purpose}")


@cache
def _at(module: str, attribute: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
