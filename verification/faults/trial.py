"""Running many cases in parallel, each in a folder of its own."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import verification
from verification.faults.case import Case, Stage
from verification.faults.commands import Server
from verification.faults.inputs import Inputs

ROOT = Path(verification.__file__).parents[1]


@dataclass(frozen=True)
class Tried:
    """A case and its violations of the rules."""

    number: int
    """Its number within its kind."""
    case: Case
    offences: tuple[str, ...]
    outcome: str
    """The outcome of its last command."""
    seconds: float


def environment(folder: Path) -> dict[str, str]:
    """The environment of commands: minimal, with a home folder of its own."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "FLUXEQ_CACHE") if name in os.environ}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    places = {"HOME": str(home), "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    return {"LANG": "C.UTF-8", "TERM": "dumb", **one_thread, **places, **kept}


class Trial:
    """A place to run cases."""

    def __init__(self, folder: Path, server: Server, slack: float, keep: bool = False) -> None:
        self._folder, self._server, self._slack, self._keep = folder, server, slack, keep
        self._environment = environment(folder)
        self._inputs = Inputs(folder / "inputs", server, self._environment)

    def try_one(self, kind: str, number: int, case: Case) -> Tried:
        """Run a case in an empty folder."""
        folder = self._folder / kind / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        stage = Stage(folder, self._inputs, self._server, self._environment, self._slack)
        try:
            offences = tuple(case.play(stage))
        except Exception as error:  # an error of the harness must be reported
            offences = (f"the harness failed: {type(error).__name__}: {error}",)
        if not (self._keep and offences):
            shutil.rmtree(folder, ignore_errors=True)
        return Tried(number, case, offences, str(stage.last), time.monotonic() - began)

    def try_all(self, kind: str, numbered: Iterable[tuple[int, Case]], n_jobs: int) -> Iterator[Tried]:
        """Run cases in parallel; results come in order."""
        with ThreadPoolExecutor(n_jobs) as pool:
            yield from pool.map(lambda one: self.try_one(kind, *one), numbered)


@contextmanager
def opened(slack: float = 1.0, keep: Path | None = None) -> Iterator[Trial]:
    """A trial with a server of its own, in a temporary folder, or in one that keeps the files of failed cases."""
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = keep or Path(temporary)
        with Server({**os.environ, **environment(folder)}) as server:
            yield Trial(folder, server, slack, keep is not None)
