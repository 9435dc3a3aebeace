"""The study file: one TOML file that fixes a whole run. It is validated; unknown keys are errors.

``quick``, ``laptop`` and ``paper`` are part of the package; any other name is the path of a TOML file. A study can
extend another one: ``extends = "laptop"``.
"""

import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from fluxeq.config import Frozen, validated
from fluxeq.errors import InputError
from fluxeq.study.extension import as_toml, merged
from fluxeq.study.family import Family
from fluxeq.study.section import Section
from fluxeq.study.shared import with_shared_families
from fluxeq.study.values import Count
from fluxeq.system.files import derived_seed

SHIPPED = ("quick", "laptop", "paper")
DEEPEST = 10
"""Maximum depth of studies extending each other."""


class Sampling(Frozen):
    """How ensembles are sampled."""

    chains: Count = 4
    """Independent chains per ensemble."""


class Study(Frozen):
    """A whole run: any number of sections, by name."""

    name: Annotated[str, Field(min_length=1)]
    """Shown in the report."""
    seed: int
    """All seeds of the run are derived from it."""
    sampling: Sampling = Sampling()
    """How ensembles are sampled."""
    families: dict[str, Family] = Field(default_factory=dict)
    """Families that sections refer to by name."""
    tasks: dict[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]*$")], Section] = Field(min_length=1)
    """Sections by name, which is the column ``task`` of all tables."""

    @model_validator(mode="before")
    @classmethod
    def _sections_have_their_families(cls, content: Any) -> Any:
        return with_shared_families(content) if isinstance(content, dict) else content

    @field_validator("tasks", mode="before")
    @classmethod
    def _named_by_their_task(cls, sections: Any) -> Any:
        if not isinstance(sections, dict):
            return sections
        return {
            name: {"task": name, **section} if isinstance(section, dict) else section
            for name, section in sections.items()
        }

    def seed_of(self, *names: str | int) -> int:
        """The seed derived from these names; all seeds of a run are made here."""
        return derived_seed(self.seed, *names)

    def require_section(self, name: str) -> None:
        """Raise InputError unless there is a section of this name."""
        if name not in self.tasks:
            raise InputError(f"task {name!r}: choose among {', '.join(self.tasks)}")

    def require_importable(self) -> None:
        """Raise InputError for architectures and functions that cannot be imported or built; loads JAX."""
        for name, section in self.tasks.items():
            for family, about in section.families.items():
                try:
                    about.require_importable(section.shape)
                except InputError as error:
                    raise InputError(f"tasks.{name}.families.{family}: {error}") from None


class StudyText(NamedTuple):
    """A study and its self-contained text."""

    study: Study
    text: str


def load_study(name: str | Path) -> Study:
    """Load a study of the package by name, or a TOML file.

    Raises InputError if the file does not exist or is not a valid study; the message names the first invalid key.
    """
    return validated(Study, str(name), content(name))


def study_text(name: str | Path) -> str:
    """The self-contained text of a study: that of its file, or merged with the studies it extends.

    Raises InputError if the file does not exist or is not TOML.
    """
    text = _text(name)
    if "extends" not in _parsed(name, text):
        return text
    remarks = "".join(f"{line}\n" for line in text.splitlines() if line.startswith("#"))
    return remarks + as_toml(content(name))


def content(name: str | Path, depth: int = 0) -> dict[str, Any]:
    """The content of a study file merged with the files it extends."""
    found = _parsed(name, _text(name))
    base = found.pop("extends", None)
    if base is None:
        return found
    if not isinstance(base, str) or depth == DEEPEST:
        raise InputError(f"{name}: extends = {base!r:.80}: must be the name of another study")
    try:
        rest = with_shared_families(content(base if base in SHIPPED else Path(name).parent / base, depth + 1))
    except ValueError as error:
        raise InputError(f"{base}: {error}") from None
    return merged(rest, found)


def _parsed(name: str | Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not a TOML file ({error})") from None


def _text(name: str | Path) -> str:
    if name in SHIPPED:
        return files("fluxeq.study").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    if not os.path.isfile(name):  # unlike pathlib, accepts invalid file names
        raise InputError(f"study {str(name)!r}: choose {', '.join(SHIPPED)}, or the path of a TOML file")
    try:
        return Path(name).read_text(encoding="utf-8-sig")  # some editors write a byte-order mark
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not a TOML file, which must be UTF-8 text ({error})") from None
