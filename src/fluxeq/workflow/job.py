"""A job as data: its work, its output files, and its dependencies.

Works are frozen settings that can be sent to any process, pickled by class name and fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from fluxeq.system.files import digest


class Work(BaseModel):
    """Settings of a unit of work in a folder. Work can be repeated: finished parts are kept, the result is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    """Can use a GPU."""
    output_kind: ClassVar[str] = ""
    """What its outputs are called, which are deleted only with the user's consent."""
    self_checked: ClassVar[bool] = False
    """Outputs contain their own checksums."""
    intermediate: ClassVar[bool] = False
    """Outputs are used by other jobs only."""
    shown: ClassVar[bool] = False
    """Outputs are read by the user, and must belong to the current plan."""

    def __init_subclass__(cls, **properties: str | bool) -> None:
        """The properties above that differ from the defaults, as in ``class Sample(Work, kind="sample")``."""
        for name, value in properties.items():
            if not hasattr(Work, name):
                raise TypeError(f"{cls.__name__}: {name} is not a property of a work")
            setattr(cls, name, value)

    @property
    def cost(self) -> float:
        """Approximate time in seconds on one core."""
        return 1.0

    def run(self, folder: Path) -> None:
        """Do the work."""
        raise NotImplementedError

    @classmethod
    def run_many(cls, works: Sequence[Self], folder: Path) -> None:
        """Do several works of one group in this process."""
        for work in works:
            work.run(folder)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[dict[str, float]]:
        """Context in which the work runs: preparations, and seconds to be logged, by name."""
        yield {}


@dataclass(frozen=True)
class Job:
    """A unit of work: ``work.run(folder)`` writes ``outputs``, paths in the folder."""

    name: str
    work: Work
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    byproducts: tuple[str, ...] = ()
    """Other files it writes, which must be removed when settings change."""
    group: str = ""
    """Jobs of one group have works of the same class and can be run together."""
    weight: float = field(default=1.0, compare=False)
    """Of the jobs that are ready, the heaviest starts first."""

    @property
    def kind(self) -> str:
        """The kind of work."""
        return self.work.kind


class Spent(NamedTuple):
    """Time spent on a job, in seconds."""

    total: float
    parts: Mapping[str, float]
    """Parts of the total, by name."""

    def shared_by(self, n: int) -> Self:
        """The share of each of ``n`` jobs that were run together."""
        return type(self)(self.total / n, {name: seconds / n for name, seconds in self.parts.items()})


def fingerprints(jobs: Sequence[Job]) -> dict[str, str]:
    """A fingerprint of every job, which depends on its settings and on those of all its dependencies."""
    found: dict[str, str] = {}
    for job in jobs:
        settings: dict[str, Any] = job.work.model_dump(mode="json")
        found[job.name] = digest([job.kind, settings, job.outputs, [found[need] for need in job.needs]])
    return found
