"""A whole study, killed again and again: ``python -m verification.faults.kills``.

``fluxeq reproduce quick`` is killed with all its processes at random times, restarted each time, and finally allowed to
finish; this is done for several runs. Every file must be that of an undisturbed run, except for times. Progress is
recorded in the folder, so the same command resumes.
"""

import argparse
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from fluxeq.system.files import read_json, write_json
from verification.faults.commands import Order, Server
from verification.faults.contents import contents, differences
from verification.faults.law import Outcome, leftovers, offences
from verification.faults.table import Failure, Row, keep
from verification.faults.trial import environment

OUTPUT = Path("runs/verification/kills")
HOURS = 3600.0
EARLIEST, LATEST = 2.0, 30.0
"""Range of times of a kill, in seconds after a start."""


class Kills:
    """Runs of the study in a folder, and a record of their starts."""

    def __init__(self, server: Server, folder: Path, study: str, seed: int) -> None:
        self._server, self._folder, self._seed = server, folder, seed
        self._words = ("reproduce", study, "--output")
        self._environment = environment(folder)
        self._record = folder / "record.json"
        self.done: dict[str, list[dict[str, Any]]] = read_json(self._record) if self._record.exists() else {}

    def start(self, run: str, kill_after: float | None = None) -> Outcome:
        """Start or resume a run, until it ends or is killed."""
        interrupt = (signal.SIGKILL, kill_after) if kill_after else None
        words = (*self._words, run)
        order = Order(words, self._folder, self._environment, fresh=True, signal=interrupt, longest=HOURS)
        outcome = self._server.run(order)
        row: dict[str, Any] = {"after": kill_after, "code": outcome.code, "seconds": round(outcome.seconds, 1)}
        row["offences"] = list(offences(outcome))
        self.done.setdefault(run, []).append(row)
        write_json(self._record, self.done)
        return outcome

    def is_finished(self, run: str) -> bool:
        """Whether its last start ran to the end."""
        return bool(self.done.get(run)) and self.done[run][-1]["code"] == 0

    def kill(self, run: str, n_kills: int) -> None:
        """Kill a run this number of times, then let it finish."""
        rng = random.Random(f"{self._seed} {run}")
        moments = [rng.uniform(EARLIEST, LATEST) for _ in range(n_kills)]
        for moment in moments[len(self.done.get(run, [])) :]:
            print(f"{run}: killed after {moment:.1f} s", flush=True)
            self.start(run, moment)
        if not self.is_finished(run):
            print(f"{run}: {self.start(run)}", flush=True)

    def faults(self, run: str, undisturbed: str) -> list[str]:
        """Everything that is wrong with a killed run."""
        found = [str(offence) for row in self.done[run] for offence in row["offences"]]
        found += [str(row) for row in self.done[run][-1:] if row["code"]]
        found += differences(contents(self._folder / undisturbed), contents(self._folder / run))
        return found + list(leftovers(self._folder / run))


def main() -> int:
    """Kill the runs, print differences, and write a row of the table; returns 1 if any run differs."""
    parser = argparse.ArgumentParser(prog="python -m verification.faults.kills", description=__doc__)
    parser.add_argument("--study", default="quick")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=10, help="per run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of the runs (default: {OUTPUT})")
    parser.add_argument("--table", type=Path, default=OUTPUT.parent, help=f"its folder (default: {OUTPUT.parent})")
    arguments = parser.parse_args()
    folder = arguments.output.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with Server({**os.environ, **environment(folder)}) as server:
        kills = Kills(server, folder, arguments.study, arguments.seed)
        if not kills.is_finished("undisturbed"):
            shutil.rmtree(folder / "undisturbed", ignore_errors=True)
            print(f"undisturbed: {kills.start('undisturbed')}", flush=True)
        failures = []
        for run in (f"killed-{i}" for i in range(arguments.runs)):
            kills.kill(run, arguments.kills)
            found = kills.faults(run, "undisturbed")
            print(f"{run}: {'identical to the undisturbed run' if not found else '; '.join(found)}", flush=True)
            if found:
                failures.append(Failure(f"{parser.prog} --seed {arguments.seed}", run, tuple(found)))
    n_kills = arguments.runs * arguments.kills
    survived = n_kills - arguments.kills * len(failures)
    seconds = sum(row["seconds"] for rows in kills.done.values() for row in rows)
    row = Row("kills", arguments.seed, n_kills, survived, round(seconds, 1), tuple(failures))
    keep(arguments.table / "faults.json", row)
    print(row)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
