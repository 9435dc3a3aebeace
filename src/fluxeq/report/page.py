"""The report of a run: one HTML file with everything in it, made from the stored numbers alone."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

import pandas

from fluxeq.analysis.claims.claim import WORDS, Judgement
from fluxeq.errors import InputError
from fluxeq.report.figures.figure import Figure
from fluxeq.report.figures.registry import FIGURES
from fluxeq.study.family import PROTOCOLS
from fluxeq.study.study import load_study, study_text
from fluxeq.system.files import read_json, write_text

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; vertical-align: top; padding: 0.45rem 0.6rem; border-bottom: 1px solid #d8dde2; }
td.verdict { white-space: nowrap; font-weight: 600; }
.yes { color: #00704e; } .no { color: #a8321a; } .open { color: #7a5c00; } .unknown { color: #666; }
figure { margin: 1.5rem 0 2.5rem; } img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
details { font-size: 0.85rem; max-width: 48rem; margin: 0.5rem auto; } summary { cursor: pointer; color: #444; }
figcaption { font-size: 0.92rem; color: #444; max-width: 48rem; margin: 0.5rem auto 0; }
pre { background: #f4f6f8; padding: 0.8rem 1rem; overflow-x: auto; font-size: 0.82rem; }
""".strip()

HEAD = ("", "Claim", "Paper", *(protocol.capitalize() for protocol in PROTOCOLS))
"""Of the table of claims."""
HIDDEN = ["instances", "mean", "panel", "architecture", "augmentation"]
"""Columns of the numbers of a figure that are not shown below it."""
LOOKS: dict[str, str] = dict(zip(WORDS, ("yes", "no", "open", "unknown"), strict=True))
"""Of verdicts, as classes of the style."""


def write_report(run: Path, unfinished: str = "") -> Path:
    """Write report.html; its path. ``unfinished`` says how far a run is, in which figures may be missing.

    Raises InputError if the run has no claims, or is finished and lacks a figure.
    """
    study, path = load_study(run / "study.toml"), run / "report.html"
    claims = _whole(run / "claims.json", lambda found: isinstance(found, list) and all(map(_is_claim, found)))
    provenance = _whole(run / "provenance.json", lambda found: isinstance(found, dict))
    shown = [figure for figure in FIGURES.values() if figure.shows(study)]
    sections = [
        f"<h1>fluxeq: study {escape(study.name)}</h1>",
        *([f"<p><strong>Unfinished.</strong> {escape(unfinished)}</p>"] if unfinished else []),
        f"<p>{_summary(claims)}</p>",
        "<h2>Claims</h2>",
        f"<table>{_row(HEAD, 'th')}\n{''.join(map(_claim_row, _by_claim(claims)))}</table>",
        "<h2>Figures</h2>",
        *(_shown(run, figure) for figure in shown if not unfinished or _picture(run, figure).is_file()),
        "<h2>How it was made</h2>",
        f"<table>{''.join(_provenance_row(*item) for item in provenance.items())}</table>",
        "<h3>Study file</h3>",
        f"<pre>{escape(study_text(run / 'study.toml'))}</pre>",
    ]
    title, body = f"<title>fluxeq: {escape(study.name)}</title>", "\n".join(sections)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}<style>{STYLE}</style>'
    write_text(path, f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>{body}</body></html>\n")
    return path


def _is_claim(row: Any) -> bool:
    keys = {field.name for field in fields(Judgement)}
    return isinstance(row, dict) and keys == row.keys() and row["verdict"] in WORDS and row["protocol"] in PROTOCOLS


def _by_claim(rows: list[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """The judgements of each claim by protocol."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["id"], {})[row["protocol"]] = row
    return list(found.values())


def _whole(path: Path, is_whole: Callable[[Any], bool]) -> Any:
    """The content of a JSON file. Raises InputError if there is none, or it is damaged."""
    if not is_whole(found := read_json(path)):
        raise InputError(f"{path}: damaged; remove it; 'fluxeq reproduce' makes it again")
    return found


def _summary(claims: list[dict[str, Any]]) -> str:
    """How many claims have each verdict, under each protocol."""
    parts = []
    for protocol in PROTOCOLS:
        verdicts = [claim["verdict"] for claim in claims if claim["protocol"] == protocol]
        counts = ", ".join(f"{verdicts.count(word)} {word}" for word in WORDS if word in verdicts)
        parts.append(f"{protocol}: {counts}")
    return f"The claims of the paper, judged by this run's own numbers. {'; '.join(parts).capitalize()}."


def _claim_row(claim: dict[str, dict[str, Any]]) -> str:
    about = next(iter(claim.values()))
    cells = [f"<td>{escape(about[key])}</td>" for key in ("id", "statement", "paper")]
    for row in (claim.get(protocol) for protocol in PROTOCOLS):
        word = f'<b class="{LOOKS[row["verdict"]]}">{row["verdict"]}</b><br>{escape(row["measured"])}' if row else ""
        cells.append(f"<td>{word}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _shown(run: Path, figure: Figure) -> str:
    picture = _picture(run, figure)
    if not picture.is_file():
        raise InputError(f"{picture}: no such figure; 'fluxeq reproduce' draws it")
    data = base64.b64encode(picture.read_bytes()).decode()
    image = f'<img alt="{figure.name}" src="data:image/png;base64,{data}">'
    paper = f"<br><b>The paper:</b> {escape(figure.paper)}" if figure.paper else ""
    caption = f"<figcaption>{escape(figure.caption)}{paper}</figcaption>"
    return f"<figure>{image}{caption}{_spread(picture.with_suffix('.csv'))}</figure>"


def _picture(run: Path, figure: Figure) -> Path:
    return run / "figures" / f"{figure.name}.png"


def _spread(path: Path) -> str:
    """The numbers of a figure that shows a spread over instances, folded away; nothing for other figures."""
    try:
        numbers = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); 'fluxeq figure' draws it") from None
    if "median_low" not in numbers:
        return ""
    shown = numbers.drop(columns=HIDDEN, errors="ignore").drop_duplicates()
    head = _row([column.replace("_", " ") for column in shown], "th")
    body = "\n".join(_row(map(_short, row)) for row in shown.itertuples(index=False))
    return f"<details><summary>the numbers</summary><table>{head}\n{body}</table></details>"


def _short(cell: str) -> str:
    """A number with three digits, or any other text as it is."""
    try:
        return f"{float(cell):.3g}" if "." in cell or "e" in cell.lower() else cell
    except ValueError:
        return cell


def _provenance_row(name: str, value: Any) -> str:
    plain = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
    return f"<tr><th>{escape(name)}</th><td>{escape(plain)}</td></tr>"


def _row(cells: Iterable[str], kind: str = "td") -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"
