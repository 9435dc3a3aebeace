"""The report of a run: one self-contained HTML file, made from the stored numbers only.

It loads no external resources and runs no scripts; text and style are in ``templates/``. Verified in a browser: at a
width of 390 pixels, in dark mode, in print, and with a study whose name is markup.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from fluxeq.analysis.claims.claim import CLAIMS, WORDS, Judgement, numbers_of
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.report.chart import chart, short, worst_first
from fluxeq.report.figures.figure import Figure
from fluxeq.report.figures.registry import FIGURES
from fluxeq.report.tasks import task_summaries
from fluxeq.study.family import PROTOCOLS
from fluxeq.study.section import Section
from fluxeq.study.study import load_study, study_text
from fluxeq.system.files import read_json, write_text
from fluxeq.theory import coupling_text

TEMPLATES = Environment(
    loader=PackageLoader("fluxeq.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
GROUPS = {
    "figures": ("Figures", ()),
    "learning": ("Learning curves", ("learning",)),
    "searches": ("Searches", ("search", "selection")),
    "sampler": ("Sampler", ("sampling",)),
}
"""Sections of the report and their figures; the first has all others."""
HIDDEN = ["instances", "panel", "architecture", "augmentation"]
"""Columns that are not shown in the table of a figure."""
MOST_ROWS = 500
"""Maximum rows in the table of a figure; longer tables, and those of every lattice site, are in its CSV file only."""
LOOKS: dict[str, str] = dict(zip(WORDS, ("yes", "no", "open", "unknown"), strict=True))
"""Style classes of verdicts."""


def write_report(run: Path, unfinished: str = "") -> Path:
    """Write report.html; returns its path. ``unfinished`` describes the progress of a run; missing figures are listed.

    Raises InputError if the run has no claims, or a file is damaged.
    """
    study, results = load_study(run / "study.toml"), Results(run)
    claims = _whole(run / "claims.json", lambda found: isinstance(found, list) and all(map(_is_claim, found)))
    provenance = _whole(run / "provenance.json", lambda found: isinstance(found, dict))
    shown = [figure for figure in FIGURES.values() if figure.shows(study)]
    groups = list(_groups(run, shown))
    times = _times(provenance)
    content = {
        "study": study,
        "unfinished": unfinished,
        "missing": [figure.name for figure in shown if not _picture(run, figure).is_file()],
        "protocols": PROTOCOLS,
        "summary": [(protocol, _counts(claims, protocol)) for protocol in PROTOCOLS],
        "tasks": task_summaries(results),
        "claims": _judged(claims, results),
        "figures": groups,
        "times": times,
        "settings": [_settings(name, section) for name, section in study.tasks.items()],
        "study_file": study_text(run / "study.toml"),
        "provenance": [(name, _plain(value)) for name, value in provenance.items() if name not in TIMES],
    }
    titles = {"words": "Words", "glance": "The tasks" * bool(content["tasks"]), "claims": "Claims"}
    titles |= {group["name"]: group["title"] for group in groups}
    titles |= {"time": "Time" * bool(times), "settings": "Settings", "provenance": "Provenance"}
    contents = [(name, title) for name, title in titles.items() if title]
    page = TEMPLATES.get_template("page.html").render(content, contents=contents)
    write_text(run / "report.html", page.lstrip() + "\n")
    return run / "report.html"


def _is_claim(row: Any) -> bool:
    keys = {field.name for field in fields(Judgement)}
    return isinstance(row, dict) and keys == row.keys() and row["verdict"] in WORDS and row["protocol"] in PROTOCOLS


def _whole(path: Path, is_whole: Callable[[Any], bool]) -> Any:
    """The content of a JSON file. Raises InputError if it is missing or damaged."""
    if not is_whole(found := read_json(path)):
        raise InputError(f"{path}: damaged; remove it, then 'fluxeq reproduce' restores it")
    return found


def _counts(claims: list[dict[str, Any]], protocol: str) -> str:
    """The number of claims with each verdict, under one protocol."""
    verdicts = [claim["verdict"] for claim in claims if claim["protocol"] == protocol]
    return ", ".join(f"{verdicts.count(word)} {word}" for word in WORDS if word in verdicts)


def _judged(rows: list[dict[str, Any]], results: Results) -> list[dict[str, Any]]:
    """The claims in order, each with its results under both protocols."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        try:
            claim = CLAIMS[row["id"]]
        except InputError:  # claim of a package that is not installed
            claim = None
        about = {**row, "quantity": claim.quantity if claim else "", "judged": {}}
        bounds = numbers_of(claim, results.of(row["protocol"])) if claim and row["verdict"] != "not run" else ()
        worst = worst_first(bounds)[0] if bounds else None
        found.setdefault(row["id"], about)["judged"][row["protocol"]] = {
            **{"verdict": row["verdict"], "look": LOOKS[row["verdict"]], "measured": row["measured"]},
            **{"worst": worst, "number": short(worst.value) if worst else "", "chart": chart(bounds)},
        }
    return list(found.values())


def _groups(run: Path, shown: list[Figure]) -> Iterator[dict[str, Any]]:
    """The sections with existing figures."""
    others = {name for _, names in GROUPS.values() for name in names}
    for name, (title, names) in GROUPS.items():
        members = [figure for figure in shown if (figure.name in names if names else figure.name not in others)]
        there = [_shown(run, figure) for figure in members if _picture(run, figure).is_file()]
        if there:
            yield {"name": name, "title": title, "figures": there}


def _shown(run: Path, figure: Figure) -> dict[str, Any]:
    """A figure with its texts, and its numbers if they are few."""
    picture = _picture(run, figure)
    numbers = _numbers(picture.with_suffix(".csv"))
    table = numbers.drop(columns=HIDDEN, errors="ignore").drop_duplicates()
    rows = [{name.replace("_", " "): _cell(value) for name, value in row.items()} for row in table.to_dict("records")]
    return {
        **{"name": figure.name, "caption": figure.caption, "paper": figure.paper},
        "data": base64.b64encode(picture.read_bytes()).decode(),
        "alt": f"{figure.caption.split('. ')[0]}. {_seen(figure, numbers)}".strip(),
        "rows": rows if len(rows) <= MOST_ROWS and not {"t", "x"} <= {*table} else [],
    }


def _picture(run: Path, figure: Figure) -> Path:
    return run / "figures" / f"{figure.name}.png"


def _numbers(path: Path) -> pd.DataFrame:
    """The numbers of a figure. Raises InputError if they cannot be read."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); 'fluxeq figure' redraws it") from None


def _seen(figure: Figure, numbers: pd.DataFrame) -> str:
    """The text alternative of a figure; empty if its numbers are from another version of it."""
    try:
        return figure.alt_text(numbers)
    except (AttributeError, LookupError, TypeError, ValueError):
        return ""


def _cell(value: Any) -> str:
    """A number with three digits; empty for a missing one; other text unchanged."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)


TIMES = ("seconds_of_work", "seconds_of_compiling")


def _times(provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """The seconds of each kind of job, the longest first."""
    work, compiling = (provenance.get(name, {}) for name in TIMES)
    total = sum(work.values()) or 1.0
    return [
        {"kind": kind, "seconds": seconds, "compiling": compiling.get(kind, ""), "share": round(100 * seconds / total)}
        for kind, seconds in sorted(work.items(), key=lambda item: -item[1])
    ]


def _settings(name: str, section: Section) -> dict[str, str]:
    """Training and test data of a section, in words."""
    points = "; ".join(_plain({key: coupling_text(x) for key, x in point.items()}) for point in section.training)
    shapes = [shape for test in section.tests for shape in test.shapes]
    return {
        "task": name,
        "couplings": _plain({key: coupling_text(value) for key, value in section.couplings.items()}),
        "trained at": points,
        "lattice": shape_name(section.shape),
        "configurations": ", ".join(map(str, section.n_training)),
        "worms": ", ".join(map(str, section.n_worms)),
        "instances": str(section.instances),
        "families": ", ".join(section.families),
        "tested on": ", ".join(map(shape_name, shapes)),
        "configurations of a test": str(section.test.configurations),
    }


def _plain(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
