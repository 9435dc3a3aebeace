"""Full disks: a command that runs out of space says so and leaves no partial files; with space it succeeds."""

import ctypes
import os
import random
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from verification.faults import work
from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import contents, differences
from verification.faults.inputs import named

CLONE_NEWNS = 0x20000  # from sched.h: a mount namespace of its own
ROOMY = 2**28
ROOM = (0, 2**12, 2**13, 2**14, 2**15, 2**16, 2**17, 2**18, 2**19, 2**20, 3 * 2**19, 2**21, 3 * 2**20)
EXTEND = "sample --eta 4.01 --lam 1 --mu 1.5 --shape 2x2 --configurations 20000 --seed 1 --output out/one.h5"
LARGE = "sample --shape 16x16 --eta 4.01 --lam 1 --mu 1.5 --configurations 4000 --seed 1 --output out/e.h5"
LINES = (
    work.SAMPLE,
    LARGE,
    EXTEND,
    work.PLOT,
    work.WORMS,
    work.TRAIN,
    work.TWO,
    work.PREDICT,
    work.SEARCH,
    "figure out/whole fig3",
    "report out/whole",
)
HEAVY = ("reproduce tiny.toml --output out/again",)
"""Tried rarely."""


Resize = Callable[[int, int | None], dict[int, int]]
"""Limit the free bytes and files; returns equivalent resource limits where mounting is not allowed."""


@dataclass(frozen=True)
class Full(Case):
    """A command that writes to a small disk."""

    room: int
    """Free bytes; the maximum size of a file where mounting is not allowed."""
    n_files: int | None
    """The maximum number of new files."""

    @property
    def detail(self) -> str:
        """The free space."""
        return f"room for {self.room} bytes and {self.n_files or 'any number of'} files"

    def prepare(self, stage: Stage) -> None:
        """Inputs named below ``out/`` are on the disk, all others are not."""
        there = {name for word in self.words if word.startswith("out/") for name in named([word])}
        stage.put(*(self.needs - there))
        (stage.folder / "out").mkdir(exist_ok=True)
        stage.inputs.copy(there, stage.folder / "out")

    def play(self, stage: Stage) -> Iterator[str]:
        """First without space, then with it."""
        out = stage.folder / "out"
        _, there = UNDISTURBED.of(self.words, stage, self.prepare)
        with _disk(out) as resize:
            self.prepare(stage)
            before = contents(out)
            limits = resize(self.room, self.n_files)
            # fresh: errors may appear only when the interpreter shuts down
            first = stage.run(self.words, longest=120.0, limits=limits, fresh=True)
            yield from (f"without room: {offence}" for offence in stage.judged(first))
            if first.code:
                after = contents(out)
                yield from (f"changed {name}" for name in before if after.get(name) != before[name])
            resize(ROOMY, None)
            if first.code:
                second = stage.run(self.words, longest=120.0)
                yield from (f"with room: {offence}" for offence in stage.judged(second))
                if second.code:
                    yield f"with room: {second}"
                    return
            here = contents(stage.folder)
        yield from differences(there, here)


@contextmanager
def _disk(place: Path) -> Iterator[Resize]:
    """A disk of its own, or a plain folder where mounting is not allowed."""
    place.mkdir()
    if not may_mount():
        yield lambda room, n_files: {resource.RLIMIT_FSIZE: room}
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(place)], check=True)
    try:
        yield lambda room, n_files: _resize(place, room, n_files)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _resize(place: Path, room: int, n_files: int | None) -> dict[int, int]:
    """Limit the free space of a disk; no resource limits are needed then."""
    state = os.statvfs(place)
    used, files = (state.f_blocks - state.f_bfree) * state.f_frsize, state.f_files - state.f_ffree
    options = f"remount,size={max(used + room, 4096)},nr_inodes={files + n_files if n_files else 100_000}"
    subprocess.run(["mount", "-o", options, str(place)], check=True)
    return {}


def keep_mounts_apart() -> None:
    """Hide the disks of this process from all others, and have them removed when it ends, however it ends."""
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@cache
def may_mount() -> bool:
    """Whether this process may mount disks."""
    with tempfile.TemporaryDirectory() as place:
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True


def cases(seed: int) -> Iterator[Full]:
    """All commands on disks of all sizes, in random order, without end."""
    rng = random.Random(seed)
    while True:
        for line in (*rng.sample(LINES * 3, 3 * len(LINES)), *HEAVY):
            few = rng.choice((None, None, None, 1, 3))
            yield Full(tuple(line.split()), rng.choice(ROOM) if few is None else ROOM[-1], few)
