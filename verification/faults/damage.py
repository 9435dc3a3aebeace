"""Damaged files: truncated, altered, overwritten, replaced. A command refuses them, or gives the original numbers."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.faults.case import UNDISTURBED, Case, Stage
from verification.faults.contents import Contents, contents, differences
from verification.faults.inputs import LONG

MODEL = "models/EQ-000.safetensors"
EQ = "--task regression --architecture EQ --data one.h5 --validation two.h5 --recipe recipe.json"
REGRESSION = f"{EQ} --config small.json"
DETECTION = "--task detection --architecture EQ --data worms.h5 --validation worms2.h5 --recipe recipe.json"
DETECTION += " --config small.json"
SPACE, ONCE = f"{EQ} --space space.json", "--repeats 1 --seed 1"
READERS: dict[str, tuple[str, ...]] = {
    "one.h5": (
        "measure one.h5",
        "measure one.h5 --json",
        "worms one.h5 --number 0,1 --output w.h5",
        "sample --eta 4.01 --lam 1 --mu 1.5 --shape 2x2 --configurations 24 --seed 1 --output one.h5",
        "sample --eta 4.01 --lam 1 --mu 1.4 --shape 2x2 --configurations 10 --seed 3 --start one.h5 --output e.h5",
        f"predict {MODEL} --data one.h5 --output p.csv",
        f"evaluate {MODEL} --data one.h5 --json",
        f"train {REGRESSION} --output m",
    ),
    "worms.h5": (
        "measure worms.h5",
        "evaluate detectors/ST-000.safetensors --data worms.h5 --json",
        "predict detectors/ST-000.safetensors --data worms.h5 --output p.csv",
        f"train {DETECTION} --output m",
    ),
    MODEL: (
        f"predict {MODEL} --data one.h5 --output p.csv",
        f"evaluate {MODEL} --data two.h5 --json",
        f"train {REGRESSION} --output models",
    ),
    "arrays.npz": ("import arrays.npz --eta 4.01 --lam 1 --mu 1.5 --output i.h5",),
    "detectors/ST-000.safetensors": ("predict detectors/ST-000.safetensors --data worms.h5 --output p.csv",),
    "begun/EQ-000.checkpoint": (f"{LONG} --recipe long.json --output begun",),
    "cut/e.h5.parts/[0-9]*.h5": (
        "sample --eta 4.01 --lam 1 --mu 1.5 --shape 16x16 --configurations 1000 --seed 1 --output cut/e.h5",
    ),
    "journal.log": (
        f"search {SPACE} --trials 2 {ONCE} --storage journal.log --output found",
        f"search {SPACE} --trials 3 {ONCE} --storage journal.log --output found",
    ),
    "found/best.json": (f"train {EQ} --config found/best.json --output m",),
    "found/trials.json": (f"search {SPACE} --trials 2 {ONCE} --storage journal.log --output found",),
    "recipe.json": (f"train {REGRESSION} --output m",),
    "small.json": (f"train {REGRESSION} --output m",),
    "space.json": (f"search {SPACE} --trials 1 {ONCE} --storage j.log --output found",),
    "tiny.toml": ("reproduce tiny.toml --output whole",),
    "whole/study.toml": ("status whole", "report whole", "figure whole fig3", "reproduce tiny.toml --output whole"),
    "whole/metrics.csv": (
        "status whole",
        "report whole",
        "figure whole fig3",
        "figure whole fig5b",
        "reproduce tiny.toml --output whole",
    ),
    "whole/claims.json": ("report whole", "reproduce tiny.toml --output whole"),
    "whole/provenance.json": ("report whole", "status whole --json"),
    "whole/log.jsonl": ("report whole", "status whole"),
    "whole/report.html": ("report whole", "reproduce tiny.toml --output whole"),
    "whole/.jobs/*.json": ("status whole --json", "report whole", "reproduce tiny.toml --output whole"),
    "whole/scores/**/*.*": ("report whole", "reproduce tiny.toml --output whole"),
    "whole/measurements/*.*": (
        "report whole",
        "figure whole fig2",
        "figure whole fig6b",
        "reproduce tiny.toml --output whole",
    ),
    "whole/figures/*.csv": ("report whole", "figure whole fig3", "reproduce tiny.toml --output whole"),
    "whole/figures/*.png": ("report whole",),
    "whole/searches/*/*.json": ("figure whole search", "report whole", "reproduce tiny.toml --output whole"),
    "whole/models/**/*.safetensors": ("report whole", "reproduce tiny.toml --output whole"),
    "whole/models/**/*.csv": ("figure whole fig2", "reproduce tiny.toml --output whole"),
}
"""Files, and commands that read them."""
FREE = (
    *("recipe.json", "small.json", "space.json", "tiny.toml", "found/best.json"),  # written by users, or for them
    "journal.log",  # a format of Optuna
    *("whole/figures/*.png", "whole/provenance.json", "whole/log.jsonl"),  # without numbers
    "whole/models/**/*.safetensors",  # not read once the scores exist; verified when loaded
    "whole/models/**/*.csv",  # learning curves, not read by these commands
)
"""Files in which other content may be valid."""
READING = ("status", "figure", "report")
"""Commands that show a run: if a part is damaged, they may show the rest."""
MENDING = ("reproduce", "train", "sample", "search")
"""Commands that recreate damaged files."""
PASSING = ("whole/.jobs/", "whole/ensembles/")
Harm = Callable[[Path, random.Random], str]


def cut(path: Path, rng: random.Random) -> str:
    """Truncate the file."""
    whole = path.read_bytes()
    n = rng.randrange(len(whole)) if whole else 0
    path.write_bytes(whole[:n])
    return f"truncated to {n} of {len(whole)} bytes"


def flip(path: Path, rng: random.Random) -> str:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    place, bit = (rng.randrange(len(content)), rng.randrange(8)) if content else (0, 0)
    if content:
        content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} flipped"


def zero(path: Path, rng: random.Random) -> str:
    """Zero a block."""
    first, n = _overwrite(path, rng, lambda n: bytes(n))
    return f"{n} bytes from byte {first} zeroed"


def noise(path: Path, rng: random.Random) -> str:
    """Overwrite a block with random bytes."""
    first, n = _overwrite(path, rng, rng.randbytes)
    return f"{n} random bytes from byte {first}"


def append(path: Path, rng: random.Random) -> str:
    """Append random bytes."""
    n = rng.choice((1, 7, 512))
    with path.open("ab") as file:
        file.write(rng.randbytes(n))
    return f"{n} random bytes appended"


def empty(path: Path, rng: random.Random) -> str:
    """Empty the file."""
    path.write_bytes(b"")
    return "emptied"


def swap(path: Path, rng: random.Random) -> str:
    """Replace it by another kind of file."""
    content = rng.choice(
        (b"a text\n", b"{}", b"[]", b"null", b"[[1]]", b"a,b\n1,2\n", b"\x89HDF\r\n\x1a\n", bytes(8) + b"{}")
    )
    path.write_bytes(content)
    return f"replaced by {content!r}"


def folder(path: Path, rng: random.Random) -> str:
    """Replace it by a folder."""
    path.unlink()
    path.mkdir()
    return "replaced by a folder"


def nothing(path: Path, rng: random.Random) -> str:
    """Control: leave it unchanged."""
    return "unchanged"


HARMS: tuple[Harm, ...] = (nothing, cut, flip, flip, flip, zero, noise, append, empty, swap, folder)


def _overwrite(path: Path, rng: random.Random, block: Callable[[int], bytes]) -> tuple[int, int]:
    content = bytearray(path.read_bytes())
    n = min(len(content), rng.choice((4, 16, 64, 512)))
    first = rng.randrange(len(content) - n + 1)
    content[first : first + n] = block(n)
    path.write_bytes(content)
    return first, n


@dataclass(frozen=True)
class Damaged(Case):
    """A command that reads a damaged file."""

    file: str
    """A pattern; one of the matching files is damaged."""
    harm: int
    """Index into ``HARMS``; the first one changes nothing."""
    seed: int

    @property
    def detail(self) -> str:
        """The damage and the file."""
        return f"{self.file}: {HARMS[self.harm].__name__}, seed {self.seed}"

    @property
    def needs(self) -> set[str]:
        """The damaged file is one of them."""
        return super().needs | {self.file.split("/")[0]}

    def play(self, stage: Stage) -> Iterator[str]:
        """It refuses and changes nothing, or gives exactly the original numbers."""
        reference, there = UNDISTURBED.of(self.words, stage, self.prepare)
        self.prepare(stage)
        if self.words[0] in READING:
            there = contents(stage.folder)
        rng = random.Random(self.seed)
        path = rng.choice(sorted(path for path in stage.folder.glob(self.file) if path.is_file()))
        damaged = str(path.relative_to(stage.folder))
        done = f"{damaged} {HARMS[self.harm](path, rng)}"
        before = contents(stage.folder)
        outcome = stage.run(self.words, longest=60.0)
        after = contents(stage.folder)
        wrong = list(stage.judged(outcome))
        if outcome.code == 2:
            wrong += differences(_lasting(before), _lasting({name: after[name] for name in after if name in before}))
        elif outcome.code == 0 and self.file not in FREE:
            if self.words[0] not in (*MENDING, *READING) and outcome.out != reference.out:
                wrong.append(f"said {outcome.out.strip()[:200]!r}")
            if self.words[0] not in MENDING:  # the damaged file itself stays damaged
                there, after = ({**found, damaged: None} for found in (there, after))
            wrong += _lies(there, after, is_partial=self.words[0] in READING and self.harm > 0)
        yield from (f"{done}: code {outcome.code}, and {line}" for line in wrong)


def _lies(there: Contents, here: Contents, *, is_partial: bool) -> Iterator[str]:
    """Deviations from the original; a damaged run may be shown in part, but without other numbers."""
    for name in sorted(there.keys() | here.keys()):
        said, says = there.get(name), here.get(name)
        if said == says or name.startswith(PASSING):
            continue
        if not is_partial or name not in there or (name in here and not _is_part(said, says)):
            yield f"{name} is another"


def _is_part(whole: Any, part: Any) -> bool:
    """Whether all lines of a table are among those of another; content that is not a table may differ."""
    tables = isinstance(whole, tuple) and isinstance(part, tuple)
    return set(part) <= set(whole) if tables else not isinstance(whole, tuple)


def _lasting(found: Contents) -> Contents:
    """What a command keeps; job records, ensembles and temporary files of a killed process may come and go."""
    return {name: value for name, value in found.items() if not name.startswith(PASSING) and ".unfinished" not in name}


def cases(seed: int) -> Iterator[Damaged]:
    """All files in turn, with random damage and commands, without end."""
    rng = random.Random(seed)
    files = sorted(READERS)
    while True:
        for file in files:
            words = tuple(rng.choice(READERS[file]).split())
            yield Damaged(words, file, rng.randrange(len(HARMS)), rng.randrange(2**32))
