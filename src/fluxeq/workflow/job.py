"""A job as data: its work, the files it leaves, and what it needs.

Works are frozen settings that go to any process: pickled by the module and the name of their class, and their fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from fluxeq.system.files import digest


class Work(BaseModel):
    """Settings of a piece of work in a folder; it can be repeated: what is finished is kept, the result is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    learns: ClassVar[bool]
    costly: ClassVar[str]
    large: ClassVar[bool]
    intermediate: ClassVar[bool]
    shown: ClassVar[bool]

    def __init_subclass__(
        cls,
        kind: str = "",
        learns: bool = False,
        costly: str = "",
        large: bool = False,
        intermediate: bool = False,
        shown: bool = False,
    ) -> None:
        """What holds for a kind of work.

        ``learns``: a GPU is for it. Its outputs are ``costly`` things, which are not discarded without leave;
        ``large``, with checksums of their own; ``intermediate``, for what is built on them only; or ``shown``, and read
        as those of the plan as it is now.
        """
        cls.kind, cls.learns, cls.costly, cls.large = kind, learns, costly, large
        cls.intermediate, cls.shown = intermediate, shown

    @property
    def cost(self) -> float:
        """Seconds that it takes on one core, roughly."""
        return 1.0

    def run(self, folder: Path) -> None:
        """Do it."""
        raise NotImplementedError

    @classmethod
    def run_many(cls, works: Sequence[Self], folder: Path) -> None:
        """Do several of one group in this process."""
        for work in works:
            work.run(folder)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[dict[str, float]]:
        """Around the work in its process: what it prepares, and seconds to be logged, by name."""
        yield {}


@dataclass(frozen=True)
class Job:
    """One piece of work: ``work.run(folder)`` leaves ``outputs``, paths in the folder."""

    name: str
    work: Work
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    byproducts: tuple[str, ...] = ()
    """What else it writes, which other settings must not find."""
    group: str = ""
    """Jobs of one group have works of one class and can be done together."""
    weight: float = field(default=1.0, compare=False)
    """Of the jobs that could begin, the heaviest does."""

    @property
    def kind(self) -> str:
        """The kind of its work."""
        return self.work.kind


class Spent(NamedTuple):
    """Seconds of a job."""

    total: float
    parts: Mapping[str, float]
    """Of these, what is worth a note, by name."""

    def shared_by(self, n: int) -> Self:
        """What each of ``n`` jobs took that were done together."""
        return type(self)(self.total / n, {name: seconds / n for name, seconds in self.parts.items()})


def fingerprints(jobs: Sequence[Job]) -> dict[str, str]:
    """A fingerprint of every job, which changes with its settings and with those of all that it builds on."""
    found: dict[str, str] = {}
    for job in jobs:
        settings: dict[str, Any] = job.work.model_dump(mode="json")
        found[job.name] = digest([job.kind, settings, job.outputs, [found[need] for need in job.needs]])
    return found
