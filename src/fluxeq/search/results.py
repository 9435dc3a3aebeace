"""What a search leaves behind: every setting it tried, and the best one."""

from dataclasses import asdict
from pathlib import Path

from fluxeq.files import write_json
from fluxeq.search.search import Setting


def save_results(folder: Path, task: str, architecture: str, settings: list[Setting]) -> None:
    """Write ``trials.json``, the best setting first, and ``best.json``; a loss that diverged is null."""
    rows = [_plain(setting) for setting in settings]
    write_json(folder / "trials.json", rows)
    write_json(folder / "best.json", {"task": task, "architecture": architecture, **rows[0]})


def _plain(setting: Setting) -> dict[str, object]:
    finite = [loss if loss < float("inf") else None for loss in setting.losses]
    value = setting.value if setting.value < float("inf") else None
    return {**asdict(setting), "value": value, "losses": finite}
