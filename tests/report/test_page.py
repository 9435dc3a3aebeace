"""The report: every figure that the study shows, with its words, and the numbers of spreads."""

import pytest

from fluxeq.analysis.claims import write_claims
from fluxeq.errors import InputError
from fluxeq.report.figures.registry import FIGURES
from fluxeq.report.page import write_report

SPREAD = "quantity,family,architecture,augmentation,mu,lowest,median_low,mean\nloss,EQ <b>,EQ,False,1.0,0.123456,2,3\n"


@pytest.fixture
def run(tables, tmp_path):
    """A run whose figures are no pictures."""
    run = tables.write(tmp_path / "run")
    write_claims(run)
    (run / "provenance.json").write_text('{"machine": {"processors": 2}}')
    (run / "figures").mkdir()
    for name in FIGURES:
        (run / "figures" / f"{name}.png").write_bytes(b"picture")
        (run / "figures" / f"{name}.csv").write_text(SPREAD if name == "fig6a" else "a\n1\n")
    return run


def test_all_figures_and_claims_are_there(run):
    text = write_report(run).read_text()
    assert text.count("<img") == text.count("<figcaption>") == len(FIGURES)
    assert all(figure.caption.split(".")[0] in text for figure in FIGURES.values())
    assert text.count('<b class="yes">holds</b>') == 25
    assert text.count('<b class="unknown">not run</b>') == 1
    assert "by this run's own numbers. Same layers: 12 holds, 1 not run; searched: 13 holds." in text
    assert "<th>machine</th><td>processors 2</td>" in text
    assert "[tasks.regression]" in text
    assert "Unfinished" not in text


def test_the_numbers_of_a_spread_are_folded_away_under_the_names_of_families(run):
    text = write_report(run).read_text()
    assert text.count("<details>") == 1
    assert "<th>family</th><th>mu</th><th>lowest</th><th>median low</th></tr>" in text
    assert "<td>loss</td><td>EQ &lt;b&gt;</td><td>1</td><td>0.123</td><td>2</td></tr>" in text


def test_figures_are_missing_only_as_long_as_a_run_is_unfinished(run):
    (run / "figures" / "fig3.png").unlink()
    text = write_report(run, "Jobs done: train 1 of 2.").read_text()
    assert "<strong>Unfinished.</strong> Jobs done: train 1 of 2." in text
    assert text.count("<img") == len(FIGURES) - 1
    with pytest.raises(InputError, match=r"fig3\.png: no such figure; 'fluxeq reproduce' draws it"):
        write_report(run)


@pytest.mark.parametrize(("name", "content"), [("claims", "[{}]"), ("claims", "{}"), ("provenance", "[]")])
def test_what_is_damaged_is_named(run, name, content):
    (run / f"{name}.json").write_text(content)
    with pytest.raises(InputError, match=rf"{name}\.json: damaged; remove it; 'fluxeq reproduce' makes it again"):
        write_report(run)
