"""Run the statistical checks: ``python -m verification [NAME ...]``, in the root of the repository."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from fluxeq.errors import InputError
from fluxeq.sampling.devices import recorder
from fluxeq.system.files import write_json
from verification import agreement, enumeration, free_field, silver_blaze, transfer_matrix, two_point
from verification.verdicts import Verdict

OUTPUT = Path("runs/verification")


def checks(folder: Path) -> dict[str, Callable[[int, str], Iterator[Verdict]]]:
    """The checks by name: functions of a seed and a device that yield verdicts. Plots are written to the folder."""
    return {
        "free_field": free_field.check,
        "transfer_matrix": transfer_matrix.check,
        "enumeration": enumeration.check,
        "two_point": two_point.check,
        "agreement": agreement.check,
        "silver_blaze": partial(silver_blaze.check, folder=folder),
    }


def main() -> int:
    """Print a line per number and write the verdicts; returns 1 if any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m verification", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="checks to run (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"output folder (default: {OUTPUT})")
    arguments = parser.parse_args()
    known = checks(arguments.output)
    if unknown := set(arguments.names) - set(known):
        parser.error(f"{sorted(unknown)}: the checks are {', '.join(known)}")
    try:
        recorder(arguments.device)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    output = arguments.output / f"{arguments.device}.json"
    verdicts = []
    for name in arguments.names or known:
        for verdict in known[name](arguments.seed, arguments.device):
            print(verdict, flush=True)
            verdicts.append(verdict)
    settings = {"seed": arguments.seed, "device": arguments.device}
    write_json(output, {**settings, "verdicts": [asdict(verdict) for verdict in verdicts]})
    n_failed = sum(not verdict.passed for verdict in verdicts)
    print(f"{len(verdicts) - n_failed} of {len(verdicts)} passed: {output}")
    return int(n_failed > 0)


sys.exit(main())
