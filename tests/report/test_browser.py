"""The report in a browser."""

import re
import shutil

import pytest
from matplotlib.figure import Figure

import chromium
import synthetic_run
from fluxeq.analysis.claims import write_claims
from fluxeq.report.figures.registry import FIGURES
from fluxeq.report.page import write_report
from fluxeq.runs.jobs import Report

NAME = "<b>x</b>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a synthetic run whose name is markup; all figures have their numbers and the same image."""
    made = synthetic_run.tables()
    made.study = made.study.replace('"synthetic"', f'"{NAME}"')
    run = made.write(tmp_path_factory.mktemp("browser") / "run")
    write_claims(run)
    Report(fingerprints={}).run(run)
    (run / "figures").mkdir()
    Figure(figsize=(9, 5)).savefig(run / "blank.png", dpi=200)
    for name, figure in FIGURES.items():
        figure.numbers(run).to_csv(run / "figures" / f"{name}.csv", index=False)
        shutil.copy(run / "blank.png", run / "figures" / f"{name}.png")
    return write_report(run)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with chromium.page(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 640, 1280])
def test_it_fits_the_window_and_asks_for_nothing(page, report, width, scheme):
    """640 pixels correspond to 1280 at a zoom of 200 %."""
    page.show(report, width, prefers_color_scheme=scheme)
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.value("document.querySelectorAll('details').forEach(d => d.open = true)") is None
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.of("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    asked = {sent["request"]["url"].partition(":")[0] for sent in page.of("Network.requestWillBeSent")}
    assert asked <= {"file", "data"}
    assert page.value("performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length") == 0


def test_text_is_legible_in_the_light_and_in_the_dark(page, report):
    """Contrast of at least 4.5, as WCAG AA requires, for all text with a colour of its own."""
    for scheme in ("light", "dark"):
        page.show(report, 1280, prefers_color_scheme=scheme)
        for selector in ("body", "a", ".quiet", ".yes", "figcaption", "summary"):
            colours = page.value(
                f"['{selector}', 'body'].map((s, i) => getComputedStyle(document.querySelector(s))"
                "[i ? 'backgroundColor' : 'color'])"
            )
            assert contrast(*colours) >= 4.5, (scheme, selector)


def contrast(*colours: str) -> float:
    """Contrast of two colours such as rgb(0, 0, 0)."""
    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in channels]
    return sum(share * x for share, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_claim_is_there_under_both_protocols(page, report):
    page.show(report, 390)
    rows = page.value(
        "[...document.querySelectorAll('.claims tbody tr')].map(r => [r.id, r.querySelectorAll('td .verdict').length])"
    )
    assert [name for name, _ in rows] == [
        *(f"R{i}" for i in range(1, 7)),
        *(f"D{i}" for i in range(1, 5)),
        "C1",
        "C2",
        "S1",
    ]
    assert {n for _, n in rows} == {2}
    assert page.value("[...document.querySelectorAll('th')].every(cell => cell.scope)")
    assert page.value("document.querySelector('.claims td').offsetLeft") < 30  # stacked in a narrow window


def test_every_picture_says_what_is_seen_with_numbers(page, report):
    page.show(report, 1280)
    said = page.value("[...document.images].map(image => image.alt)")
    said += page.value("[...document.querySelectorAll('svg')].map(image => image.ariaLabel)")
    assert len(said) > len(FIGURES) + 26
    for words in said:
        assert len(words) > 20
        assert re.search(r"\d", words)
    assert page.value("[...document.images].every(image => image.naturalWidth > 0)")


def test_names_in_pictures_have_the_room_they_need(page, report):
    """None starts to the left of its image."""
    page.show(report, 1280)
    beyond = (
        "[...document.querySelectorAll('.chart .name')].map(t => t.getBBox()).filter(b => b.x < 0 || b.width > 164)"
    )
    assert page.value("document.querySelectorAll('.chart .name').length") > 20
    assert page.value(f"{beyond}.length") == 0


def test_links_lead_somewhere(page, report):
    page.show(report, 1280)
    broken = "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1)))"
    assert page.value(f"{broken}.length") == 0
    listed = page.value("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert listed == page.value("[...document.querySelectorAll('section')].map(s => s.id)")


def test_a_name_that_is_markup_is_text(page, report):
    page.show(report, 1280)
    assert page.value("document.querySelector('h1').textContent") == f"fluxeq: study {NAME}"
    assert page.value("document.querySelectorAll('h1 *').length") == 0
    assert page.value("document.title") == f"fluxeq: {NAME}"


def test_everything_is_unfolded_in_print(page, report):
    page.show(report, 1280)
    visible = "[...document.querySelectorAll('details > :not(summary)')].map(folded => folded.checkVisibility())"
    assert set(page.value(visible)) == {False}
    page.call("Emulation.setEmulatedMedia", media="print")
    assert set(page.value(visible)) == {True}
    inside = page.value("[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)")
    assert set(inside) == {"avoid"}
    assert page.call("Page.printToPDF")["data"].startswith("JVBER")  # %PDF
