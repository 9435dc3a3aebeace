"""Try the commands: ``python -m verification.faults [KIND ...]`` in the root of the repository."""

import argparse
import sys
from itertools import islice
from pathlib import Path

from fluxeq.files import write_json
from verification.faults.kinds import KINDS
from verification.faults.trial import opened

OUTPUT = Path("runs/verification")


def main() -> int:
    """Print a line for each kind and each failure, write the table, and say whether everything survived."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m verification.faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them unless given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, help="how many of each kind, unless the usual numbers")
    parser.add_argument("--case", type=int, action="append", help="only the case with this number")
    parser.add_argument("--jobs", type=int, default=2, help="cases at the same time")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"a folder, {OUTPUT} unless given")
    parser.add_argument("--keep", type=Path, help="a folder in which the files of failed cases stay")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"{sorted(unknown)}: the kinds are {', '.join(KINDS)}")
    table = []
    with opened(keep=arguments.keep) as trial:
        for kind in arguments.kinds or KINDS:
            cases, usual = KINDS[kind]
            numbered = list(islice(enumerate(cases(arguments.seed)), arguments.cases or usual))
            if arguments.case:
                numbered = [(i, next(islice(cases(arguments.seed), i, None))) for i in arguments.case]
            failures, seconds, n_tried = [], 0.0, 0
            for tried in trial.try_all(kind, numbered, arguments.jobs):
                n_tried += 1
                seconds += tried.seconds
                if tried.offences:
                    again = f"python -m verification.faults {kind} --seed {arguments.seed} --case {tried.number}"
                    failures.append({"again": again, "command": str(tried.case), "offences": tried.offences})
                    print(
                        f"{kind} {tried.number}: {tried.case}", *tried.offences, tried.outcome, sep="\n    ", flush=True
                    )
                elif n_tried % 100 == 0:
                    print(f"{kind}: {n_tried} of {len(numbered)} tried, {len(failures)} failed", flush=True)
            print(f"{kind}: {n_tried} tried, {n_tried - len(failures)} survived, {seconds:.0f} s", flush=True)
            table.append(
                {
                    "kind": kind,
                    "tried": n_tried,
                    "survived": n_tried - len(failures),
                    "seconds": round(seconds),
                    "failures": failures,
                }
            )
            write_json(arguments.output / "faults.json", {"seed": arguments.seed, "kinds": table})
    return int(any(row["failures"] for row in table))


if __name__ == "__main__":
    sys.exit(main())
