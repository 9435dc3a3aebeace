"""The table of what was tried and what survived: one row a kind, in ``faults.json``.

A row takes the place of an earlier one of its kind, so that kinds may be tried one after another.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from fluxeq.system.files import read_json, write_json


@dataclass(frozen=True)
class Failure:
    """A case that did not survive."""

    again: str
    """The command that tries it again."""
    case: str
    offences: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A kind of cases."""

    kind: str
    seed: int
    tried: int
    survived: int
    seconds: float
    """Of all cases together, some of which ran at the same time."""
    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        return f"{self.kind}: {self.tried} tried, {self.survived} survived, {self.seconds:.0f} s"


def keep(path: Path, row: Row) -> None:
    """Put a row into the table."""
    rows = {old["kind"]: old for old in read_json(path)} if path.exists() else {}
    write_json(path, list((rows | {row.kind: asdict(row)}).values()))


def as_text(path: Path) -> str:
    """The table, for documents."""
    rows = read_json(path)
    total = {name: sum(row[name] for row in rows) for name in ("tried", "survived")}
    lines = [f"| {row['kind']} | {row['tried']} | {row['survived']} |" for row in rows]
    return "\n".join(
        ["| kind | tried | survived |", "|---|---|---|", *lines, f"| all | {total['tried']} | {total['survived']} |"]
    )
