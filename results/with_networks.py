"""A study with the networks that another run has found: ``python results/with_networks.py paper results/laptop``.

Prints the file of a study that takes all from the first, and in place of its searches the winners in the folder of the
run. Searches are most of the work of ``paper``; without them two processors can do some of it.
"""

import re
import sys
from pathlib import Path

from fluxeq.study.extension import as_toml
from fluxeq.study.study import load_study
from fluxeq.system.files import read_json


def main() -> None:
    """Print the study that the command line asks for."""
    print(with_networks(sys.argv[1], Path(sys.argv[2])), end="")


def with_networks(study: str, run: Path) -> str:
    """The text of a study with fixed networks in all families whose architecture was searched in a run."""
    found: dict[str, list[object]] = {}
    for path in sorted(run.glob("searches/*/best.json"), key=_order):
        best = read_json(path)
        network = {key: best[key] for key in ("config", "recipe") if best.get(key)}
        found.setdefault(f"{best['task']}-{best['architecture']}", []).append(network)
    asked = load_study(study)
    tasks = {
        name: {
            "families": {
                family: about.model_dump(exclude_defaults=True) | {"networks": networks}
                for family, about in section.families.items()
                if about.searched and (networks := found.get(f"{name}-{about.architecture}"))
            }
        }
        for name, section in asked.tasks.items()
    }
    changed = {name: section for name, section in tasks.items() if section["families"]}
    text = as_toml({"name": asked.name, "extends": study, "tasks": changed})
    return f"# The winners of the searches in {run}.\n{text}"


def _order(path: Path) -> list[str | int]:
    """Searches by task, architecture and number, as in the plan of the study: ST, ST-2, ..., ST-10."""
    return [int(part) if part.isdigit() else part for part in re.split("-", path.parent.name)]


if __name__ == "__main__":
    main()
