"""Run the fault-injection cases: ``python -m verification.faults [KIND ...]``, in the root of the repository."""

import argparse
import sys
from itertools import islice
from pathlib import Path

from verification.faults.disks import keep_mounts_apart
from verification.faults.kinds import KINDS
from verification.faults.table import Failure, Row, as_text, keep
from verification.faults.trial import Trial, Tried, opened

OUTPUT = Path("runs/verification")
OFTEN = 100
"""Cases between two progress lines."""


def main() -> int:
    """Print a line per kind and per failure, and write the table; returns 1 if anything failed."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m verification.faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"among {', '.join(KINDS)} (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, help="number of cases per kind (default: as in the long run)")
    parser.add_argument("--case", type=int, action="append", help="run only the case with this number; writes no table")
    parser.add_argument("--jobs", type=int, default=2, help="number of cases run in parallel")
    parser.add_argument("--slack", type=float, default=1.0, help="factor on the time limits of commands")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"output folder (default: {OUTPUT})")
    parser.add_argument("--keep", type=Path, help="folder in which to keep the files of failed cases")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"{sorted(unknown)}: the kinds are {', '.join(KINDS)}")
    keep_mounts_apart()
    path, has_failed = arguments.output / "faults.json", False
    with opened(arguments.slack, arguments.keep) as trial:
        for kind in arguments.kinds or KINDS:
            row = _row(trial, kind, arguments)
            print(row, flush=True)
            has_failed |= bool(row.failures)
            if not arguments.case:
                keep(path, row)
    if path.exists():
        print(as_text(path))
    return int(has_failed)


def _row(trial: Trial, kind: str, arguments: argparse.Namespace) -> Row:
    """Run the cases of a kind, and print those that failed."""
    cases, usual = KINDS[kind]
    numbers = arguments.case or range(arguments.cases or usual)
    numbered = [one for one in islice(enumerate(cases(arguments.seed)), max(numbers) + 1) if one[0] in numbers]
    failures, seconds = [], 0.0
    for n_tried, tried in enumerate(trial.try_all(kind, numbered, arguments.jobs), 1):
        seconds += tried.seconds
        if tried.offences:
            print(f"{kind} {tried.number}: {tried.case}", *tried.offences, tried.outcome, sep="\n    ", flush=True)
            failures.append(_failure(kind, arguments.seed, tried))
        if n_tried % OFTEN == 0:
            print(f"{kind}: {n_tried} of {len(numbered)} tried, {len(failures)} failed", flush=True)
    n = len(numbered)
    return Row(kind, arguments.seed, n, n - len(failures), round(seconds, 1), tuple(failures))


def _failure(kind: str, seed: int, tried: Tried) -> Failure:
    again = f"python -m verification.faults {kind} --seed {seed} --case {tried.number}"
    case = str(tried.case).encode(errors="backslashreplace").decode()
    return Failure(again, case, tried.offences)


if __name__ == "__main__":
    sys.exit(main())
