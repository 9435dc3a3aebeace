"""The commands of studies, on runs that are made in a second (``cheap_runs``).

What a run shows always belongs to the study file in it: compared with a run of that study in a folder of its own.
"""

import json
import shutil
import sys
from html import escape

import pandas as pd
import pytest

import cheap_runs
from fluxeq.__main__ import main
from fluxeq.figures import tables
from fluxeq.studies.run import reproduce

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]
STUDY = cheap_runs.STUDY
EPOCHS = STUDY.replace("epochs = 1", "epochs = 2", 1)  # of the trainings of the regression
EDITED = {
    "recipe": (EPOCHS, "20 trained models"),
    "seed": (STUDY.replace("seed = 1", "seed = 2"), "33 trained models, 12 searches, 20 ensembles"),
    "search": (STUDY.replace("searches = 2", "searches = 1"), "6 trained models"),
    "ensembles": (STUDY.replace("test_configurations = 8", "test_configurations = 9"), "6 ensembles"),
    "test point": (STUDY.replace("1.25, 1.5]", "1.25, 1.3, 1.5]"), None),
    "instances": (STUDY.replace("instances = 2", "instances = 3"), None),
    "fewer networks": (STUDY.replace("[counting]", '[counting]\narchitectures = ["EQ"]'), None),
    "fewer sizes": (STUDY.replace("n_training = [10, 20]", "n_training = [20]"), None),
    "a comment": (f"# mine\n{STUDY}", None),
}


@pytest.fixture(scope="module", autouse=True)
def _cheaply():
    with pytest.MonkeyPatch.context() as patch:
        cheap_runs.make_cheap(patch)
        yield


@pytest.fixture
def fluxeq(monkeypatch, capsys):
    """Run a command: its code and what it printed, at most one line of it a complaint."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["fluxeq", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        out, err = capsys.readouterr()
        complaints = [line for line in err.splitlines() if not line.startswith("jobs: ")]
        assert len(complaints) == (code != 0), err
        return code, out + "".join(complaints)

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Complete runs by the text of their study; not to be changed."""
    found = {}

    def make(text):
        if text not in found:
            folder = tmp_path_factory.mktemp("made")
            (folder / "mine.toml").write_text(text)
            reproduce(folder / "mine.toml", folder / "run", cheap_runs.here, lambda event: None)
            found[text] = folder / "run"
        return found[text]

    return make


@pytest.fixture
def run(made, tmp_path):
    """A complete run, to be changed."""
    return shutil.copytree(made(STUDY), tmp_path / "run")


@pytest.fixture
def file_of(tmp_path):
    """Write a study file; its path."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def content(folder):
    """All that is in a folder, but for locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def shown(run):
    """What a run shows, but for what says when and how long."""
    patterns = ("metrics.csv", "figures/*", "claims.json", "measurements/*", "winners/*")
    return {path.relative_to(run).as_posix(): path.read_bytes() for pattern in patterns for path in run.glob(pattern)}


def rows_of(run):
    """The table of scores as a set."""
    return {str(row) for row in tables.metrics(run).itertuples(index=False)}


def searches_of(run):
    """What the figure of the searches shows of them, as a set."""
    path = run / "figures" / "search.csv"
    drawn = pd.read_csv(path).query("quantity == 'setting'") if path.exists() else pd.DataFrame(columns=["value"])
    return {str(row) for row in drawn.filter(["task", "architecture", "value"]).itertuples(index=False)}


def require_shown_of_its_study(run, made, *, comments=True):
    """All that a run shows is what a complete run of the study in it shows, or is not there yet."""
    text = (run / "study.toml").read_text()
    found, expected = shown(run), shown(made(text))
    claims = json.loads(found.pop("claims.json", b"[]"))
    if found.pop("metrics.csv", None):
        assert rows_of(run) <= rows_of(made(text))
    for claim, other in zip(claims, json.loads(expected["claims.json"]), strict=False):
        assert claim == other or claim["holds"] is None
    assert searches_of(run) <= searches_of(made(text))
    assert {name: expected.get(name) for name in found if "search" not in name} == {
        name: content for name, content in found.items() if "search" not in name
    }
    if (run / "report.html").exists():
        report = (run / "report.html").read_text()
        assert escape(text) in report or not comments
        assert all(escape(claim["measured"]) in report for claim in claims)
    if (run / "provenance.json").exists():
        assert json.loads((run / "provenance.json").read_text())["seconds_of_work"]


def require_complete(run, made, fluxeq):
    """A run is what a run of its study in a folder of its own is."""
    require_shown_of_its_study(run, made)
    assert shown(run) == shown(made((run / "study.toml").read_text()))
    assert "Unfinished" not in (run / "report.html").read_text()
    found = json.loads(fluxeq("status", run, "--json")[1])
    assert all(n["done"] == n["jobs"] for n in found.values())


@pytest.mark.parametrize("edit", EDITED)
def test_a_changed_study_discards_nothing_costly_without_leave(run, made, fluxeq, file_of, edit):
    text, lost = EDITED[edit]
    command, before = ("reproduce", file_of(text), "--output", run), content(run)
    if lost:
        code, told = fluxeq(*command)
        assert code == 2
        assert f"{lost} of another version of this study" in told
        assert "--replace" in told
        assert content(run) == before
    code, told = fluxeq(*command, *(["--replace"] if lost else []))
    assert (code, "complete, " in told) == (0, True)
    require_complete(run, made, fluxeq)
    assert "was complete already" in fluxeq(*command)[1]
    if not lost:
        kept = [path for path in before if path.suffix == ".safetensors" and "models" in path.parts]
        assert {path: content(run)[path] for path in kept} == {path: before[path] for path in kept}


PARTS = [
    *[("recipe", "regression"), ("recipe", "counting"), ("seed", "counting"), ("search", "regression")],
    *[("test point", "regression"), ("fewer networks", "counting"), ("a comment", "regression")],
]


@pytest.mark.parametrize(("edit", "task"), PARTS)
def test_a_part_of_a_changed_study_leaves_nothing_of_the_other_one_to_see(run, made, fluxeq, file_of, edit, task):
    text, _ = EDITED[edit]
    code, told = fluxeq("reproduce", file_of(text), "--output", run, "--task", task, "--task", task, "--replace")
    assert (code, f"report.html: {task} " in told) == (0, True)
    require_shown_of_its_study(run, made)
    assert (run / "study.toml").read_text() == text
    assert (run / "report.html").exists()
    for command in (("report", run), ("figure", run, "fig2" if task == "regression" else "fig7b")):
        assert fluxeq(*command)[0] == 0
        require_shown_of_its_study(run, made)
    assert fluxeq("reproduce", file_of(STUDY), "--output", run, "--replace")[0] == 0
    require_complete(run, made, fluxeq)


@pytest.mark.parametrize("edit", EDITED)
def test_a_study_file_that_was_edited_in_the_run(run, made, fluxeq, file_of, edit):
    """Every command takes it for what it is now."""
    text, _ = EDITED[edit]
    (run / "study.toml").write_text(text)
    found = json.loads(fluxeq("status", run, "--json")[1])
    n_missing = sum(n["jobs"] - n["done"] for n in found.values())
    assert (n_missing > 0) == (edit != "a comment")
    for command in (("figure", run, "fig6a"), ("report", run), ("figure", run, "search")):
        code, told = fluxeq(*command)
        assert code == 0 or "no job is done yet" in told or "run 'fluxeq reproduce' first" in told
        require_shown_of_its_study(run, made, comments=command[0] == "report")
    assert (run / "report.html").exists() == (edit != "seed")
    assert fluxeq("reproduce", file_of(STUDY), "--output", run, "--replace")[0] == 0
    require_complete(run, made, fluxeq)
