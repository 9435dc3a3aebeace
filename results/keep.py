"""Keep what matters of a run in the repository: ``python results/keep.py runs/laptop [--state]`` in its root.

The tables, figures, claims, searches and provenance of the run go to ``results/NAME``, with what is done of it. Those
of ``laptop`` are in the table of claims in README.md, and its networks with fixed layers in ``models``. Of an
unfinished run what ``fluxeq report`` has written is kept; with ``--state`` also what it needs to go on anywhere:
``tar xf results/NAME/state.tar.xz`` in the root makes ``runs/NAME`` again, all but its ensembles, which are sampled
again, bit for bit, as far as they are still needed, and what is too large to keep.
"""

import gzip
import shutil
import sys
import tarfile
import tomllib
from pathlib import Path

from PIL import Image

from fluxeq.errors import InputError
from fluxeq.runs.status import counts, is_complete, open_run, progress
from fluxeq.study.family import PROTOCOLS, SAME_LAYERS, file_stem
from fluxeq.system.files import read_json, remove, write_json, write_text

ROOT = Path(__file__).parent.parent
KEPT = ("study.toml", "claims.json", "provenance.json", "log.jsonl")
FINISHED = ("metrics.csv", "best")
"""What a finished run has as well."""
PATTERNS = (
    *("figures/*.csv", "figures/*.png", "measurements/*.csv", "references/*.csv"),
    *("searches/*/best.json", "searches/*/trials.json"),
)
SHOWN = "laptop"
"""The study of the table of claims, and of the networks that are shipped."""
BEGIN, END = "<!-- claims -->\n", "<!-- end of claims -->"
LARGE = 2**23
"""Bytes of a file that is too large for the repository: networks of millions of parameters are trained again."""


def main() -> None:
    """Keep the run that the command line names."""
    run = Path(sys.argv[1])
    needed = (*KEPT, *FINISHED) if is_complete(run, open_run(run)) else KEPT
    missing = [name for name in needed if not (run / name).exists()]
    if missing:
        way_out = "finish it with 'fluxeq reproduce', or let 'fluxeq report' write what there is"
        sys.exit(f"{run}: has no {', '.join(missing)}; {way_out}")
    keep(run, ROOT, with_state="--state" in sys.argv[2:])
    readme = ROOT / "README.md"
    write_text(readme, with_claims(readme.read_text(encoding="utf-8"), ROOT / "results"))


def keep(run: Path, root: Path, *, with_state: bool = False) -> None:
    """Copy the small files of a run, in place of those of an earlier one."""
    study = tomllib.loads((run / "study.toml").read_text(encoding="utf-8"))["name"]
    target = root / "results" / study
    remove(target)
    for path in [run / name for name in KEPT] + [path for pattern in PATTERNS for path in sorted(run.glob(pattern))]:
        copy = target / path.relative_to(run)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        if path.suffix == ".png":
            shrink(copy)
    if (run / "metrics.csv").exists():
        (target / "metrics.csv.gz").write_bytes(gzip.compress((run / "metrics.csv").read_bytes(), mtime=0))
    write_json(target / "status.json", counts(progress(run, open_run(run))))
    if with_state:
        with tarfile.open(target / "state.tar.xz", "w:xz") as state:
            state.add(run.resolve(), f"runs/{study}", filter=of_state)
    if study == SHOWN and (run / "best").exists():
        ship(run, root / "models")


def shrink(picture: Path) -> None:
    """A picture in 256 colours, a third of its size."""
    with Image.open(picture) as full:
        full.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def ship(run: Path, models: Path) -> None:
    """Copy the best networks with fixed layers and their cards, but for those that are too large."""
    remove(models)
    models.mkdir(parents=True)
    for section, settings in open_run(run).tasks.items():
        for name, family in settings.families.items():
            network = run / "best" / f"{section}-{file_stem(name)}.safetensors"
            if family.protocol == SAME_LAYERS and network.exists() and network.stat().st_size <= LARGE:
                shutil.copy(network, models)
                shutil.copy(network.with_suffix(".md"), models)


def of_state(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """What is put away of a run, the same whenever it is the same."""
    name = Path(member.name)
    if name.parts[2:3] == ("ensembles",) or name.suffix == ".lock" or ".unfinished" in name.name or member.size > LARGE:
        return None
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def with_claims(text: str, results: Path) -> str:
    """The text with the table of claims between its two marks replaced by that of the kept results."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md: the table of claims belongs between {BEGIN.strip()} and {END}")
    return before + begin + claims_table(results) + end + after


def claims_table(results: Path) -> str:
    """One row a claim, one column a protocol of the study that is shown, as Markdown: a word each."""
    found: dict[str, dict[str, str]] = {}
    for row in read_json(results / SHOWN / "claims.json"):
        found.setdefault(f"{row['id']}: {row['statement']}", {})[row["protocol"]] = row["verdict"]
    lines = [["claim", *PROTOCOLS], ["---"] * (1 + len(PROTOCOLS))]
    lines += [[claim, *(verdicts[protocol] for protocol in PROTOCOLS)] for claim, verdicts in found.items()]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
