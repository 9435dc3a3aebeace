"""The report: all figures of a study with their text, and the numbers of spreads."""

import json
import re

import pytest

from fluxeq.analysis.claims import write_claims
from fluxeq.analysis.claims.claim import CLAIMS, numbers_of
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.report.chart import short
from fluxeq.report.figures.registry import FIGURES
from fluxeq.report.page import write_report
from fluxeq.study.family import PROTOCOLS

SPREAD = "quantity,family,architecture,augmentation,mu,lowest,median_low,mean\nloss,EQ <b>,EQ,False,1.0,0.123456,2,3\n"


@pytest.fixture
def run(tables, tmp_path):
    """A run with placeholder images."""
    run = tables.write(tmp_path / "run")
    write_claims(run)
    provenance = {"machine": {"processors": 2}, "seconds_of_work": {"train": 30.0, "sample": 10.0}}
    (run / "provenance.json").write_text(json.dumps(provenance))
    (run / "figures").mkdir()
    for name in FIGURES:
        (run / "figures" / f"{name}.png").write_bytes(b"picture")
        (run / "figures" / f"{name}.csv").write_text(SPREAD if name == "fig6a" else "a\n1\n")
    return run


def test_all_figures_and_claims_are_there(run):
    text = write_report(run).read_text()
    assert text.count("<img") == text.count("<figcaption>") == len(FIGURES)
    for figure in FIGURES.values():
        assert figure.caption.split(".")[0] in text
        assert f'<figure id="{figure.name}">' in text
    assert text.count('<span class="verdict yes">holds</span>') == 25
    assert text.count('<span class="verdict unknown">not run</span>') == 1
    assert re.search(r"on the numbers of this run\.\s+Same layers: 12 holds, 1 not run. Searched: 13 holds.", text)
    assert "Phys. Rev. D 104, 074504" in text
    assert '<th scope="row">machine</th><td>processors 2</td>' in text
    assert '<th scope="row">train</th><td>30.0</td><td></td><td><span class="bar" style="width: 75%">' in text
    assert "[tasks.regression]" in text
    assert "Unfinished" not in text
    assert "Missing figures" not in text


def test_a_claim_shows_its_number_its_interval_and_what_is_wanted(run):
    """The number nearest to its threshold is the large one."""
    text = write_report(run).read_text()
    row = text[text.index('<tr id="R1">') : text.index('<tr id="R2">')]
    numbers = re.findall(r'<span class="number">([^<]+)</span> (\[.+?\]) (.+), required at least 10', row)
    expected = []
    for protocol in PROTOCOLS:
        bounds = numbers_of(CLAIMS["R1"], Results(run).of(protocol))
        nearest = min(bounds, key=lambda bound: bound.value)
        expected.append((short(nearest.value), str(nearest.interval).strip(), nearest.name))
    assert numbers == expected
    assert row.count('<line class="limit"') == row.count('<circle class="number"') == 4  # ST and FL, twice
    assert row.count("<details>") == 2


def test_the_numbers_of_a_figure_are_folded_away_under_the_names_of_families(run):
    text = write_report(run).read_text()
    assert '<th scope="col">family</th><th scope="col">mu</th><th scope="col">lowest</th>' in text
    assert '<th scope="row">loss</th><td>EQ &lt;b&gt;</td><td>1</td><td>0.1235</td><td>2</td>' in text


def test_figures_that_are_missing_are_named(run):
    (run / "figures" / "fig3.png").unlink()
    text = write_report(run, "Jobs done: train 1 of 2.").read_text()
    assert "<strong>Unfinished.</strong> Jobs done: train 1 of 2." in text
    assert text.count("<img") == len(FIGURES) - 1
    assert "Missing figures: fig3;" in text


def test_a_run_without_scores_has_claims_without_numbers(run):
    (run / "metrics.csv").unlink()
    text = write_report(run).read_text()
    assert 'id="glance"' not in text
    assert "#glance" not in text
    assert text.count('class="verdict') == 26


def test_a_claim_of_a_package_that_is_not_here_is_shown_in_words(run):
    claims = json.loads((run / "claims.json").read_text())
    claims[-1] |= {"id": "M1", "measured": "it was blue"}
    (run / "claims.json").write_text(json.dumps(claims))
    text = write_report(run).read_text()
    assert "it was blue" in text[text.index('<tr id="M1">') :]


@pytest.mark.parametrize(("name", "content"), [("claims", "[{}]"), ("claims", "{}"), ("provenance", "[]")])
def test_what_is_damaged_is_named(run, name, content):
    (run / f"{name}.json").write_text(content)
    with pytest.raises(InputError, match=rf"{name}\.json: damaged; remove it, then 'fluxeq reproduce' restores it"):
        write_report(run)
