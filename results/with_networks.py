"""A study with the networks that another run has found: ``python results/with_networks.py paper results/laptop``.

Prints the file of the study, to which it adds the winners of all searches in the folder of the run as given networks,
so that none is searched for. Searches are most of the work of ``paper``; without them two processors can do some of it.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from fluxeq.study.study import study_text
from fluxeq.system.files import read_json


def main() -> None:
    """Print the study that the command line asks for."""
    study, run = sys.argv[1], Path(sys.argv[2])
    print(with_networks(study_text(study), run), end="")


def with_networks(text: str, run: Path) -> str:
    """The text of a study, and after it one table for each winner."""
    tables = [f"\n# The winners of the searches in {run}."]
    for path in sorted(run.glob("searches/*/best.json"), key=_order):
        best = read_json(path)
        tables.append(f"[[{best['task']}.networks.{best['architecture']}]]")
        tables += [f"{key} = {_toml(best[key])}" for key in ("config", "recipe") if best.get(key)]
    return text + "\n".join(tables) + "\n"


def _order(path: Path) -> list[str | int]:
    """Searches by task, architecture and number, as in the plan of the study: ST, ST-2, ..., ST-10."""
    return [int(part) if part.isdigit() else part for part in re.split("-", path.parent.name)]


def _toml(value: Any) -> str:
    """A value of JSON as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
