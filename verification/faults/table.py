"""The table of cases that were tried and survived: one row per kind, in ``faults.json``.

A row replaces an earlier one of its kind, so kinds can be run separately.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from fluxeq.system.files import read_json, write_json


@dataclass(frozen=True)
class Failure:
    """A case that failed."""

    again: str
    """The command that repeats it."""
    case: str
    offences: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """The results of one kind of cases."""

    kind: str
    seed: int
    tried: int
    survived: int
    seconds: float
    """Sum over all cases, some of which ran in parallel."""
    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        return f"{self.kind}: {self.tried} tried, {self.survived} survived, {self.seconds:.0f} s"


def keep(path: Path, row: Row) -> None:
    """Write a row into the table."""
    rows = {old["kind"]: old for old in read_json(path)} if path.exists() else {}
    write_json(path, list((rows | {row.kind: asdict(row)}).values()))


def as_text(path: Path) -> str:
    """The table in Markdown."""
    rows = read_json(path)
    total = {name: sum(row[name] for row in rows) for name in ("tried", "survived")}
    lines = [f"| {row['kind']} | {row['tried']} | {row['survived']} |" for row in rows]
    return "\n".join(
        ["| kind | tried | survived |", "|---|---|---|", *lines, f"| all | {total['tried']} | {total['survived']} |"]
    )
