"""Inputs of commands: small files, each made once by a command, or written directly.

A name stands for a file or a folder, also in the arguments of a case: inputs named there are copied into its folder.
"""

import json
import re
import shlex
import shutil
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from verification.faults.commands import Order, Server, Watch

SAMPLE = "sample --eta 4.01 --lam 1 --mu 1.5"
SAMPLE6 = "sample --eta 6.01 --lam 1 --mu 1.5"
TRAIN = "train --recipe recipe.json --config small.json"
SEARCH = "search --task regression --architecture EQ --data one.h5 --validation two.h5 --space space.json"
SEARCHED = f"{SEARCH} --recipe recipe.json --trials 2 --repeats 1 --seed 1 --storage journal.log --output found"
DETECT = "train --recipe recipe.json --config strided.json --task detection --data worms.h5 --validation worms2.h5"
COMMANDS = {
    "one.h5": f"{SAMPLE} --shape 2x2 --configurations 10 --seed 1 --output one.h5",
    "two.h5": f"{SAMPLE} --shape 2x2 --configurations 10 --seed 2 --output two.h5",
    "wide.h5": f"{SAMPLE} --shape 4x4 --configurations 40 --seed 1 --output wide.h5",
    "wide2.h5": f"{SAMPLE} --shape 4x4 --configurations 40 --seed 2 --output wide2.h5",
    "cube.h5": f"{SAMPLE6} --shape 2x2x2 --configurations 10 --seed 1 --output cube.h5",
    "arrays.npz": "export one.h5 --output arrays.npz",
    "worms.h5": "worms wide.h5 --number 0,1 --output worms.h5",
    "worms2.h5": "worms wide2.h5 --number 0,1 --output worms2.h5",
    "models": f"{TRAIN} --task regression --architecture EQ --data one.h5 --validation two.h5 --output models",
    "flat": f"{TRAIN} --task regression --architecture FL --data one.h5 --validation two.h5 --output flat",
    "detectors": f"{DETECT} --architecture ST --output detectors",
    "journal.log": SEARCHED,
    "found": SEARCHED,
    "whole": "reproduce tiny.toml --output whole --workers 2",
}
"""Commands that make the named inputs, in a folder of their own."""
LARGE = f"{SAMPLE} --shape 16x16 --configurations 1000 --seed 1"
LONG = "train --task regression --architecture EQ --data wide.h5 --validation wide2.h5 --config small.json"
CUTS = {
    "cut": (f"{LARGE} --until n=1e-9 --output cut/e.h5", "cut/e.h5.parts/[0-9]*.h5", 3),
    "begun": (f"{LONG} --recipe long.json --output begun", "begun/EQ-000.checkpoint", 1),
}
"""Commands that are killed once enough files of a kind exist: their arguments, the files, the number."""
SMALL = {"layers": [1, 1], "channels": [2], "kernels": [1], "poolings": [1], "dense_layers": [0, 0]}
TEXTS = {
    "recipe.json": json.dumps({"epochs": 1}),
    "long.json": json.dumps({"epochs": 400, "patience": 400}),
    "some.json": json.dumps({"epochs": 60, "patience": 60}),
    "small.json": json.dumps({"blocks": [{"channels": 2, "kernel": 1}]}),
    "strided.json": json.dumps({"blocks": [{"channels": 2, "kernel": 2, "stride": 2}]}),
    "space.json": json.dumps(SMALL),
    "tiny.toml": Path(__file__).with_name("tiny.toml").read_text(encoding="utf-8"),
    "mine.py": "import numpy\ndef predict(x):\n    return numpy.zeros((len(x), 2))\n",
    "empty": "",
    "text": "a text\n",
}
OFTEN = "import fluxeq.training.checkpoints as checkpoints; checkpoints.SECONDS = 0.0; "
LEFT_OUT = shutil.ignore_patterns("*.lock", ".lock", "ensembles")
"""Parts of a run that are not needed."""


class Inputs:
    """The folder of inputs; each of them is made on first use."""

    def __init__(self, folder: Path, server: Server, environment: Mapping[str, str]) -> None:
        self.folder, self._server, self._environment = folder, server, environment
        self._lock = threading.RLock()

    def path(self, name: str) -> Path:
        """The path of a file or folder, which must not be changed."""
        place = self.folder / name
        with self._lock:
            if not place.exists():
                self._make(name)
        return place

    def copy(self, names: Iterable[str], folder: Path) -> None:
        """Copy inputs into a folder."""
        for name in sorted(set(names)):
            there = self.path(name)
            if there.is_dir():
                shutil.copytree(there, folder / name, ignore=LEFT_OUT if name == "whole" else None)
            else:
                shutil.copyfile(there, folder / name)

    def _make(self, name: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if name in TEXTS:
            (self.folder / name).write_text(TEXTS[name], encoding="utf-8")
            return
        words = tuple(shlex.split(CUTS[name][0] if name in CUTS else COMMANDS[name]))
        for other in named(words) - {name}:
            if other not in COMMANDS or COMMANDS[other] is not COMMANDS.get(name):
                self.path(other)
        if name in CUTS:
            self._cut(words, *CUTS[name][1:])
        else:
            outcome = self._server.run(Order(words, self.folder, self._environment, longest=600, slack=60))
            if outcome.code:
                raise RuntimeError(f"{name} cannot be made: {outcome}")

    def _cut(self, words: tuple[str, ...], pattern: str, number: int) -> None:
        """Kill a command once enough files exist."""
        start = ("-c", OFTEN + "from fluxeq.__main__ import main; main()")
        watch = Watch(self._server, Order(words, self.folder, self._environment, fresh=True, start=start))
        while len(list(self.folder.glob(pattern))) < number:
            watch.look(0.01)
            if watch.has_ended:
                raise RuntimeError(f"{' '.join(words)}: ended before it was killed: {watch.said}")
        watch.send(signal.SIGKILL)
        watch.to_the_end()


def named(words: Iterable[str]) -> set[str]:
    """The names of inputs among some arguments."""
    parts = {part for word in words for part in re.split(r"[/:=,]", word)}
    parts |= {f"{part}.py" for part in parts}  # for mine:predict
    return parts & (set(COMMANDS) | set(TEXTS) | set(CUTS))
