"""The commands of studies, on runs made in a second (``cheap_runs``).

Everything that a run shows belongs to the study file in it; it is compared with a run of that study in another folder.
"""

import contextlib
import errno
import json
import re
import shutil
import sys
from html import unescape
from pathlib import Path

import optuna
import pandas as pd
import pytest

import cheap_runs
from fluxeq import errors
from fluxeq.__main__ import main
from fluxeq.cli import studies
from fluxeq.runs.jobs import Sample, Train
from fluxeq.runs.now import announce_activity
from fluxeq.runs.reproduce import reproduce
from fluxeq.searching.storage import open_storage
from fluxeq.system.files import locked
from fluxeq.workflow.execution import Event

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]
STUDY = cheap_runs.STUDY
EPOCHS = STUDY.replace("epochs = 1", "epochs = 2", 1)  # for trainings of the regression
EDITED = {
    "recipe": (EPOCHS, "20 trained models"),
    "seed": (STUDY.replace("seed = 1", "seed = 2"), "33 trained models, 20 ensembles, 12 searches"),
    "search": (STUDY.replace("searches = 2", "searches = 1"), "3 trained models"),
    "ensembles": (STUDY.replace("configurations = 8", "configurations = 9"), "6 ensembles"),
    "test point": (STUDY.replace("1.25, 1.5]", "1.25, 1.3, 1.5]"), None),
    "instances": (STUDY.replace("instances = 2", "instances = 3"), None),
    "fewer networks": (STUDY.replace("searches = 2", "searches = 2\nfamilies.EQ = {}"), None),
    "a comment": (f"# mine\n{STUDY}", None),
}


@pytest.fixture(scope="module", autouse=True)
def _cheaply():
    with pytest.MonkeyPatch.context() as patch:
        cheap_runs.make_cheap(patch)
        yield


@pytest.fixture
def fluxeq(monkeypatch, capsys):
    """Run a command; returns exit code and output, including at most one error line."""

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
    """Complete runs, by the text of their study; not to be changed."""
    found = {}

    def make(text):
        if text not in found:
            folder = tmp_path_factory.mktemp("made")
            (folder / "mine.toml").write_text(text)
            reproduce(folder / "mine.toml", folder / "run", cheap_runs.fleet, lambda event: None)
            found[text] = folder / "run"
        return found[text]

    return make


@pytest.fixture
def run(made, tmp_path):
    """A complete run that may be changed."""
    return shutil.copytree(made(STUDY), tmp_path / "run")


@pytest.fixture
def file_of(tmp_path):
    """Write a study file and return its path."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def content(folder):
    """Content of all files in a folder, except locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def shown(run):
    """Everything that a run shows, except dates and durations."""
    patterns = ("metrics.csv", "figures/*", "claims.json", "measurements/*", "best/*")
    return {path.relative_to(run).as_posix(): path.read_bytes() for pattern in patterns for path in run.glob(pattern)}


def rows_of(run):
    """The rows of the table of scores, as a set."""
    table = pd.read_csv(run / "metrics.csv", dtype={"n_worms": float})
    return {str(row) for row in table.itertuples(index=False)}


def searches_of(run):
    """The rows of the figure of the searches, as a set."""
    path = run / "figures" / "search.csv"
    drawn = pd.read_csv(path).query("quantity == 'setting'") if path.exists() else pd.DataFrame(columns=["value"])
    return {str(row) for row in drawn.filter(["task", "architecture", "value"]).itertuples(index=False)}


def require_shown_of_its_study(run, made, *, comments=True):
    """Everything that a run shows agrees with a complete run of its study, or does not exist yet."""
    text = (run / "study.toml").read_text()
    found, expected = shown(run), shown(made(text))
    claims = json.loads(found.pop("claims.json", b"[]"))
    if found.pop("metrics.csv", None):
        assert rows_of(run) <= rows_of(made(text))
    for claim, other in zip(claims, json.loads(expected["claims.json"]), strict=False):
        assert claim == other or claim["verdict"] == "not run"
    assert searches_of(run) <= searches_of(made(text))
    for name, data in found.items():
        if name.startswith("figures/"):
            rows = {
                path: set((path / "figures" / f"{Path(name).stem}.csv").read_text().splitlines())
                for path in (run, made(text))
            }
            assert "search" in name or rows[run] <= rows[made(text)]
        else:
            assert data == expected[name]
    if (run / "report.html").exists():
        report = unescape((run / "report.html").read_text())
        assert text in report or not comments
        assert all(claim["measured"] in report for claim in claims)
    if (run / "provenance.json").exists():
        assert json.loads((run / "provenance.json").read_text())["seconds_of_work"]


def require_complete(run, made, fluxeq):
    """A run agrees with a run of its study in another folder."""
    require_shown_of_its_study(run, made)
    assert shown(run) == shown(made((run / "study.toml").read_text()))
    assert "Unfinished" not in (run / "report.html").read_text()
    found = json.loads(fluxeq("status", run, "--json")[1])["jobs"]
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
    assert "already complete" in fluxeq(*command)[1]
    if not lost:
        kept = [path for path in before if path.suffix == ".safetensors" and "models" in path.parts]
        assert {path: content(run)[path] for path in kept} == {path: before[path] for path in kept}


PARTS = [
    *[("recipe", "regression"), ("recipe", "counting"), ("seed", "counting")],
    *[("search", "regression"), ("test point", "regression"), ("a comment", "regression")],
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


@pytest.mark.parametrize("edit", ["recipe", "seed", "search", "a comment"])
def test_a_study_file_that_was_edited_in_the_run(run, made, fluxeq, file_of, edit):
    """All commands use the edited file."""
    text, _ = EDITED[edit]
    (run / "study.toml").write_text(text)
    found = json.loads(fluxeq("status", run, "--json")[1])["jobs"]
    n_missing = sum(n["jobs"] - n["done"] for n in found.values())
    assert (n_missing > 0) == (edit != "a comment")
    for command in (("figure", run, "fig6a"), ("report", run), ("figure", run, "search")):
        code, told = fluxeq(*command)
        assert code == 0 or "no job is done yet" in told or "run 'fluxeq reproduce' first" in told
        require_shown_of_its_study(run, made, comments=command[0] == "report")
    assert (run / "report.html").exists() == (edit != "seed")
    assert fluxeq("reproduce", file_of(STUDY), "--output", run, "--replace")[0] == 0
    require_complete(run, made, fluxeq)


class Killed(BaseException):
    """Stands for the death of the process."""


@contextlib.contextmanager
def killed_at(n, before):
    """Stop at the n-th file that is written or removed, right before or after it."""
    calls = 0

    def ending(function):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == n and before:
                raise Killed
            found = function(*arguments, **options)
            if calls == n:
                raise Killed
            return found

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", ending(Path.replace))
        patch.setattr(shutil, "rmtree", ending(shutil.rmtree))
        with contextlib.suppress(Killed):
            yield
    assert calls >= n


KILLS = [(1, True), (2, False), (17, True), (18, False), (19, True), (20, False), (60, False)]


@pytest.mark.parametrize(("n", "before"), KILLS)
def test_a_changed_study_that_is_killed(run, made, fluxeq, file_of, n, before):
    """Files always belong to the study file in the run, and the same command resumes."""
    path = file_of(EPOCHS)
    with killed_at(n, before):
        reproduce(path, run, cheap_runs.fleet, lambda event: None, replace=True)
    require_shown_of_its_study(run, made)
    if n % 2:
        assert fluxeq("report", run)[0] == 0
        require_shown_of_its_study(run, made)
    assert fluxeq("reproduce", path, "--output", run, "--replace")[0] == 0
    require_complete(run, made, fluxeq)


def test_a_run_that_is_killed_before_its_first_file(fluxeq, file_of, tmp_path):
    """A folder with only locks and temporary files counts as empty."""
    (tmp_path / "run").mkdir()
    for name in (".lock", ".study.1234.unfinished.toml"):
        (tmp_path / "run" / name).write_text("")
    assert fluxeq("reproduce", file_of(STUDY), "--output", tmp_path / "run")[0] == 0


def test_a_lost_study_file_or_lost_records(run, made, fluxeq, file_of):
    """Without its study file it is still a run; without records it is unknown to which settings its files belong."""
    (run / "study.toml").unlink()
    assert fluxeq("reproduce", file_of(STUDY), "--output", run)[0] == 0
    require_complete(run, made, fluxeq)
    shutil.rmtree(run / ".jobs")
    before = content(run)
    code, told = fluxeq("reproduce", file_of(STUDY), "--output", run)
    assert (code, "results without job records" in told) == (2, True)
    assert content(run) == before


def test_ensembles_and_networks_may_be_gone(run, made, fluxeq, file_of):
    """Everything that is shown was made from them, and is kept."""
    before = shown(run)
    shutil.rmtree(run / "ensembles")
    shutil.rmtree(run / "models")
    for command in (("report", run), ("figure", run, "fig4"), ("figure", run, "search")):
        assert fluxeq(*command)[0] == 0
    found = json.loads(fluxeq("status", run, "--json")[1])["jobs"]
    assert {kind for kind, n in found.items() if n["done"] < n["jobs"]} == {"sample", "worms", "train"}
    assert shown(run) == before
    assert "Unfinished" not in (run / "report.html").read_text()


def cut(data):
    return data[: len(data) // 2]


def zeroed(data):
    return data[: len(data) // 2] + bytes(min(64, len(data) // 2)) + data[len(data) // 2 + 64 :]


def flipped(data):
    """Change one digit, or else one bit."""
    at = next((i for i in range(len(data) * 2 // 3, len(data)) if 48 < data[i] < 58), len(data) // 2)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {"empty": lambda data: b"", "cut": cut, "zeroed": zeroed, "flipped": flipped, "other": lambda data: b"[1, 2]"}
DAMAGED = [
    *("metrics.csv", "claims.json", "provenance.json", "report.html", "study.toml"),
    *("figures/fig4.csv", "figures/fig4.png", "measurements/responses.csv", "scores/counting-EQ-20.csv"),
    *("searches/counting-EQ/best.json", "searches/counting-EQ/trials.json", "best/counting-EQ.safetensors"),
    *(".jobs/metrics.json", ".jobs/evaluate.counting-EQ-20.json", ".jobs/report.json", ".jobs/figures.fig4.json"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_noticed_and_made_again(run, made, fluxeq, file_of, damage):
    """Only numbers of the study are shown, and one more start repairs the run."""
    command = ("reproduce", file_of(STUDY), "--output", run)
    for name in DAMAGED[list(DAMAGE).index(damage) % 4 :: 4]:  # one or two kinds of damage per file
        (run / name).write_bytes(DAMAGE[damage]((run / name).read_bytes()))
        for asked in (("status", run), ("figure", run, "fig4"), ("report", run)):
            code, told = fluxeq(*asked)
            assert code == 0 or (code == 2 and ("study.toml" in told or "first" in told)), (name, asked)
        if name != "study.toml":
            require_shown_of_its_study(run, made)
        elif damage != "flipped":  # the result may be a valid study
            assert "restore the study file of this run" in fluxeq(*command)[1]
            (run / name).unlink()
        assert fluxeq(*command)[0] == 0, name
        require_complete(run, made, fluxeq)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_of_what_costs_discards_nothing_without_leave(run, fluxeq, file_of, damage):
    command = ("reproduce", file_of(STUDY), "--output", run)
    for name, named in {"search.counting-EQ": "1 searches", "train.counting-EQ-20.000": "1 trained models"}.items():
        record = run / ".jobs" / f"{name}.json"
        record.write_bytes(DAMAGE[damage](record.read_bytes()))
        before = content(run)
        models = {path: path.stat().st_mtime_ns for path in run.glob("models/**/*.safetensors")}
        trials = {path: path.read_bytes() for path in run.glob("searches/*/journal.log")}
        code, told = fluxeq(*command)
        if not code:
            assert models == {path: path.stat().st_mtime_ns for path in models}
            assert trials == {path: path.read_bytes()[: len(begun)] for path, begun in trials.items()}
        else:
            assert (code, f"{named} of another version of this study, or without a record" in told) == (2, True)
            assert content(run) == before
            assert fluxeq(*command, "--replace")[0] == 0


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_log_loses_seconds_only_and_says_so(run, made, fluxeq, file_of, damage):
    log = run / "log.jsonl"
    log.write_bytes(DAMAGE[damage](log.read_bytes()))
    (run / "figures" / "fig4.csv").unlink()
    assert fluxeq("reproduce", file_of(STUDY), "--output", run)[0] == 0
    lines = log.read_text(errors="replace").splitlines()
    assert json.loads(lines[-1])["job"] == "figures/fig4"
    (run / "provenance.json").unlink()
    assert fluxeq("report", run)[0] == 0
    found = json.loads((run / "provenance.json").read_text())
    assert ("unreadable_lines_of_log" in found) == (damage not in ("empty", "flipped"))
    require_complete(run, made, fluxeq)


def test_provenance_counts_the_work_that_is_there(run, fluxeq, file_of):
    """Not that of an earlier version of the study."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for line in lines:
        line["seconds"] = 1000.0
    (run / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert fluxeq("reproduce", file_of(EPOCHS), "--output", run, "--replace")[0] == 0
    seconds = json.loads((run / "provenance.json").read_text())["seconds_of_work"]
    n_kept = sum(line["job"].startswith("train") and "regression" not in line["job"] for line in lines)
    assert seconds["train"] // 1000 == n_kept
    assert seconds.get("metrics", 0.0) < 1000


def test_two_at_once(run, fluxeq, file_of):
    path = file_of(EPOCHS)
    before = content(run)
    with locked(run / ".lock"):
        code, told = fluxeq("reproduce", path, "--output", run, "--replace")
        assert (code, "another process is working on this run" in told) == (2, True)
        assert content(run) == before
        assert fluxeq("status", run)[0] == fluxeq("report", run)[0] == fluxeq("figure", run, "fig2")[0] == 0


def test_a_job_that_is_just_being_done_is_left_alone(run, fluxeq):
    (run / "claims.json").unlink()
    with locked(run / ".jobs" / "claims.lock"):
        code, told = fluxeq("report", run)
    assert (code, "another process is running claims" in told) == (2, True)
    assert fluxeq("report", run)[0] == 0


@pytest.mark.parametrize("kind", [errors.InputError, errors.DivergedError, errors.StabilityError])
def test_what_a_job_refuses_is_told_with_its_name(monkeypatch, fluxeq, file_of, tmp_path, kind):
    def refuse(work, run):
        if work.couplings["mu"] == 1.25:
            raise kind("too cold")
        cheap_runs.sample(work, run)

    monkeypatch.setattr(Sample, "run", refuse)
    code, told = fluxeq("reproduce", file_of(STUDY), "--output", tmp_path / "run")
    assert code == 2
    assert re.fullmatch("fluxeq: sample/test-[48]x2-eta4.01-lam1-mu1.25: too cold", told)


def test_a_full_disk_ends_a_run_that_then_goes_on(monkeypatch, run, made, fluxeq, file_of, tmp_path):
    """The operating system's error is passed on unchanged; truncated files are made again."""
    path = file_of(EPOCHS)

    def fill_up(work, run):
        cheap_runs.train(work, run)
        if "FL" in work.output:
            raise OSError(errno.ENOSPC, "No space left on device", work.output)

    monkeypatch.setattr(Train, "run", fill_up)
    with pytest.raises(OSError, match="No space left on device: 'models/"):
        reproduce(path, run, cheap_runs.fleet, lambda event: None, replace=True)
    monkeypatch.setattr(Train, "run", cheap_runs.train)
    assert fluxeq("reproduce", path, "--output", run, "--replace")[0] == 0
    require_complete(run, made, fluxeq)


def test_archived_results_count_as_whole(run, fluxeq, file_of):
    """Without records they are shown and protected unchanged."""
    progress = fluxeq("status", run, "--json")[1]
    (run / "status.json").write_text(json.dumps(json.loads(progress)["jobs"]))
    for folder in (".jobs", "ensembles", "models"):
        shutil.rmtree(run / folder)
    assert json.loads(fluxeq("status", run, "--json")[1])["jobs"] == json.loads(progress)["jobs"]
    before = content(run)
    assert fluxeq("figure", run, "fig6a")[0] == 0
    assert fluxeq("report", run)[0] == 0
    code, told = fluxeq("reproduce", file_of(STUDY), "--output", run, "--task", "counting")
    assert (code, "results without job records" in told) == (2, True)
    assert content(run) == before
    damaged = {"claims.json": "[1]", "provenance.json": "[]", "status.json": "[]", "metrics.csv": "a\0"}
    for file, text in damaged.items():
        (run / file).write_text(text)
    for asked in (("status", run), ("report", run), ("figure", run, "fig6a")):
        code, told = fluxeq(*asked)
        assert (code, f"{run.name}/" in told) == (2, True)


WRONG = [
    (["--workers", "0"], "workers = 0: must be at least 1"),
    (["--workers", "-1"], "workers = -1"),
    (["--workers", "1000000"], "workers = 1000000: must be at most 8 for each of the"),
    (["--executor", "dask", "--workers", "1000000"], "workers = 1000000"),
    (
        ["--task", "regression", "--task", "sorting"],
        "task 'sorting': choose among regression, detection, counting, zhou",
    ),
    (["--executor", "nonsense"], "nonsense"),
    (["--executor", ""], "executor"),
    (["--scheduler", "tcp://h:1"], "requires --executor dask"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=range(len(WRONG)))
def test_options_that_cannot_be(fluxeq, file_of, tmp_path, options, message):
    code, told = fluxeq("reproduce", file_of(STUDY), "--output", tmp_path / "run", *options)
    assert (code, message in told) == (2, True), told
    assert not (tmp_path / "run").exists()


def test_a_section_twice_and_figures_that_are_none(fluxeq, file_of, tmp_path):
    path = file_of(STUDY)
    options = ("--task", "counting", "--task", "counting")
    code, told = fluxeq("reproduce", path, "--output", tmp_path / "run", *options)
    assert (code, "report.html: counting complete" in told) == (0, True)
    assert "counting already complete" in fluxeq("reproduce", path, "--output", tmp_path / "run", *options)[1]
    for name in ("", "fig9", "../fig1", "fig1 "):
        assert "choose one of fig1" in fluxeq("figure", tmp_path / "run", name)[1]


def test_places_that_cannot_be(fluxeq, file_of, tmp_path):
    path = file_of(STUDY)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    for place in ("file", "file/run", "link", "full"):
        before = content(tmp_path)
        assert fluxeq("reproduce", path, "--output", tmp_path / place)[0] == 2
        assert content(tmp_path) == before
        for command in ("status", "report"):
            assert "not a run" in fluxeq(command, tmp_path / place)[1]
        assert "not a run" in fluxeq("figure", tmp_path / place, "fig1")[1]
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert fluxeq("reproduce", path, "--output", tmp_path / "link")[0] == 0
    assert (tmp_path / "folder" / "report.html").exists()


def test_names_that_no_file_can_have(fluxeq, tmp_path):
    for name in ("a" * 300, "a/" * 3000, ".", ""):
        assert "choose quick, laptop, paper" in fluxeq("reproduce", name, "--output", tmp_path / "run")[1]
        for command in (["status"], ["report"]):
            assert "not a run" in fluxeq(*command, tmp_path / name)[1]
    assert not list(tmp_path.iterdir())


def test_a_study_that_draws_fewer_figures_ends_well(fluxeq, file_of, tmp_path):
    only = STUDY.replace("EQ = {}\nST = {}\n", "").replace('"ST, augmented"', "other")
    only = only.replace('architecture = "ST"', 'architecture = "FL"')
    assert fluxeq("reproduce", file_of(only), "--output", tmp_path / "run")[0] == 0
    assert not list((tmp_path / "run" / "figures").glob("fig[34]*"))
    assert "this study has no networks to show" in fluxeq("figure", tmp_path / "run", "fig3")[1]


def test_the_data_of_a_study(fluxeq, file_of, made, tmp_path):
    """Ensembles and their purposes; reproduce uses them, and they are made again after removal."""
    study, run = file_of(STUDY), tmp_path / "run"
    code, out = fluxeq("data", study, "--output", run, "--task", "detection")
    assert (code, out) == (0, f"{run / 'data.csv'}: complete, 12 ensembles made now\n")
    table = pd.read_csv(run / "data.csv")
    assert list(table["purpose"].value_counts()[["training", "validation", "test"]]) == [1, 1, 4]
    assert all((run / file).exists() for file in table["file"])
    assert set(table["section"]) == {"detection"}
    assert fluxeq("data", study, "--output", run)[0] == 0
    assert set(pd.read_csv(run / "data.csv")["section"]) == {"regression", "detection", "counting", "zhou"}
    assert fluxeq("data", study, "--output", run)[1].endswith("already complete\n")
    assert not (run / "models").exists()
    before = content(run / "ensembles")
    assert fluxeq("reproduce", study, "--output", run)[0] == 0
    assert shown(run) == shown(made(STUDY))
    shutil.rmtree(run / "ensembles")
    assert fluxeq("reproduce", study, "--output", run)[1].endswith("already complete\n")
    assert fluxeq("data", study, "--output", run)[0] == 0
    assert content(run / "ensembles") == before
    assert fluxeq("data", study, "--output", run, "--task", "none")[0] == 2


def test_a_benchmark(fluxeq, file_of, run):
    """A function scored beside the networks of a finished run: only its scores and the figures are made."""
    study, models = file_of(STUDY), content(run / "models")
    before = pd.read_csv(run / "metrics.csv")
    code, out = fluxeq("benchmark", "cheap_runs:means", study, "--task", "detection", "--output", run)
    assert (code, out.partition("complete")[1]) == (0, "complete"), out
    table = pd.read_csv(run / "metrics.csv")
    assert set(table["family"]) - set(before["family"]) == {"means"}
    assert set(table["task"][table["family"] == "means"]) == {"detection"}
    others = table[table["family"] != "means"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others[list(before)], before, check_dtype=False)
    assert content(run / "models") == models
    for words, message in (
        (("cheap_runs:means", study, "--task", "x"), "task 'x': choose among regression, detection"),
        (("cheap_runs:EQ", study, "--task", "detection"), "the study already has a family 'EQ'; rename the function"),
        (("cheap_runs", study, "--task", "detection"), "must be module:name"),
        (("cheap_runs:none", study, "--task", "detection"), "cheap_runs"),
        (("cheap_runs:means", "none", "--task", "detection"), "study 'none': choose quick"),
    ):
        code, out = fluxeq("benchmark", *words, "--output", run)
        assert (code, message in out) == (2, True), out


def test_what_is_running(fluxeq, run, monkeypatch):
    """Reported by the working process, while it lives."""
    assert "working" not in fluxeq("status", run)[1]
    assert json.loads(fluxeq("status", run, "--json")[1])["now"] is None
    (run / ".jobs" / "train.regression-EQ-20.001.json").unlink()
    assert "nothing is running; 'fluxeq reproduce' resumes the run" in fluxeq("status", run)[1]
    event = Event(None, 1, 2, {"train/regression-EQ-20/001": 65.0, "search/counting-EQ": 1.0}, 7200.0)
    journal = run / "searches" / "counting-EQ" / "journal.log"
    journal.unlink()
    optuna.create_study(storage=open_storage(str(journal))).optimize(lambda trial: 1.0, n_trials=1)
    with announce_activity(run) as announce:
        announce(event)
        out = fluxeq("status", run)[1]
        assert "left: about 2 h 00 min\nrunning: train/regression-EQ-20/001 for 65 s\n" in out
        assert "running: search/counting-EQ for 1 s, 1 of 1 settings" in out
        found = json.loads(fluxeq("status", run, "--json")[1])["now"]
        assert found["running"]["search/counting-EQ"] == pytest.approx(1, abs=1)
        journal.write_text("nothing of the kind\n")
        assert "running: search/counting-EQ for 1 s\n" in fluxeq("status", run)[1]
        for damaged in ("[]", "{}", '{"host": 1}', "x"):
            (run / ".now.json").write_text(damaged)
            assert "working" not in fluxeq("status", run)[1]
        announce(event)
        monkeypatch.setattr("os.kill", gone)
        assert "working" not in fluxeq("status", run)[1]
    assert not (run / ".now.json").exists()


def gone(pid, signal):
    raise ProcessLookupError


def test_watching(fluxeq, run, monkeypatch):
    """Until no process works on the run any more."""
    monkeypatch.setattr(studies, "WATCH_INTERVAL", 0.0)
    told = []

    def sleep(seconds):
        told.append(seconds)
        if len(told) == 3:
            (run / ".now.json").unlink()

    monkeypatch.setattr("time.sleep", sleep)
    with announce_activity(run) as announce:
        announce(Event(None, 1, 2, {}, 1.0))
        out = fluxeq("status", run, "--watch")[1]
    assert out.count("report ") == 4
