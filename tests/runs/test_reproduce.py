"""A whole run of a minimal study: its files, its resumption, and what it refuses."""

import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import dask_processes as dask
from fluxeq.__main__ import main
from fluxeq.errors import InputError
from fluxeq.report.figures.registry import FIGURES, write_figure
from fluxeq.report.model_cards import write_cards
from fluxeq.report.page import write_report
from fluxeq.runs.partial_report import write_partial_report
from fluxeq.runs.plan import plan
from fluxeq.runs.reproduce import reproduce
from fluxeq.runs.status import is_complete, open_run, progress
from fluxeq.study.study import load_study
from fluxeq.system.files import locked, read_json
from fluxeq.training.models import describe, load_model, save_model
from fluxeq.workflow.execution import run_jobs
from fluxeq.workflow.executors import WorkerPools, Workers, processes, worker_pools
from fluxeq.workflow.job import Spent, fingerprints
from fluxeq.workflow.records import is_done, missing, prepare

RECIPE = "recipe = { epochs = 1, batch_size = 8 }"
SPACE = 'layers = [1, 1], kernels = [2], channels = [2], poolings = [1], activations = ["relu"], dense_layers = [0, 0]'
SEARCH = f"search = {{ trials = 1, repeats = 1, n_training = 8, {RECIPE}, space = {{ {SPACE} }} }}"
WORMS = f"""
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.5 }}]
shape = [4, 4]
n_training = [20]
{RECIPE}
{SEARCH}
"""
GRID = "couplings = { mu = [1.5] }, shapes = [[4, 4]], configurations = 4"
TINY = f"""
name = "tiny"
seed = 1
[tasks.regression]
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.5 }}]
shape = [4, 2]
n_training = [20]
instances = 1
test = {{ couplings = {{ mu = [1.0, 1.5] }}, shapes = [[4, 2]], configurations = 8, reference = 8 }}
farther = [{{ couplings = {{ mu = [1.5] }}, shapes = [[6, 3]], configurations = 8, reference = 8 }}]
{RECIPE}
{SEARCH.replace("search = {", "search = { elsewhere = { mu = 1.0 },")}
[tasks.regression.families]
EQ = {{}}
FL = {{}}
"FL, augmented" = {{ architecture = "FL", augmentation = true }}
[tasks.detection]{WORMS}
n_worms = [0, 1]
instances = 1
test = {{ {GRID}, n_worms = [0, 1] }}
[tasks.detection.families]
EQ = {{}}
ST = {{ networks = [{{ config = {{ blocks = [{{ channels = 2, kernel = 2, stride = 2 }}] }} }}] }}
[tasks.counting]{WORMS}
n_worms = [0, 2]
searches = 2
instances = 2
test = {{ {GRID}, n_worms = [0, 1, 2] }}
families.EQ = {{}}
[tasks.zhou]
task = "regression"
couplings = {{ eta = 4.01, lam = 1.0 }}
training = [{{ mu = 1.0 }}]
shape = [4, 2]
n_training = [10]
instances = 1
test = {{ couplings = {{ mu = [1.0] }}, shapes = [[4, 2]], configurations = 8 }}
families.Zhou = {{ architecture = "FL", networks = [{{ config = {{ blocks = [{{ channels = 2, kernel = 1 }}] }} }}] }}
{RECIPE}
"""
N_WORKERS = 2
BEST = {"regression-EQ", "regression-FL", "detection-EQ", "detection-ST", "counting-EQ", "zhou-Zhou"}
SCRIPTS = Path(__file__).parents[2] / "docs" / "slurm"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text(TINY)
    return path


def start(study, run, *where):
    """A process that runs the study, as the leader of a process group."""
    command = "from fluxeq.__main__ import main; main()"
    where = where or ("--workers", str(N_WORKERS))
    return subprocess.Popen(
        [sys.executable, "-c", command, "reproduce", str(study), "--output", str(run), *where],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(study, run):
    """Run the study to its end; returns the output."""
    process = start(study, run)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    return printed


def log(run):
    """The log of finished jobs, one line each."""
    return (run / "log.jsonl").read_text() if (run / "log.jsonl").exists() else ""


def n_logged(run):
    return len(log(run).splitlines())


def until(happened, process):
    """Wait until something has happened in a running process."""
    while not happened():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def stopped(study, tmp_path_factory):
    """A run whose processes were all told to stop; only one test may finish it."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    process = start(study, run)
    until(lambda: n_logged(run) >= 2, process)
    os.killpg(process.pid, signal.SIGUSR1)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 75, printed
    assert printed.splitlines()[-1] == "fluxeq: terminated; run the same command again to resume"
    assert not [line for line in printed.splitlines() if not line.startswith(("jobs: ", "fluxeq: "))]
    assert not list(run.rglob("*.unfinished*"))
    while n_processes(process.pid):
        time.sleep(0.01)
    return run


def n_processes(group):
    """Number of remaining processes in a group."""
    return subprocess.run(["pgrep", "--pgroup", str(group)], capture_output=True, text=True).stdout.count("\n")


@pytest.fixture(scope="module")
def killed(stopped, study):
    """A run with all processes killed at a random job, and finished later; not to be changed."""
    run, jobs = stopped, plan(load_study(study))
    killed_at = random.Random(5).randrange(n_logged(run) + 2, n_numbers(jobs) - 4)
    process = start(study, run)
    until(lambda: n_logged(run) >= killed_at, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    n_done = n_logged(run)
    assert killed_at <= n_done < n_numbers(jobs)
    assert not (run / "metrics.csv").exists()
    printed = finish(study, run)
    n_now = int(printed.rsplit("complete, ", 1)[1].split()[0])
    assert len(jobs) - n_done - N_WORKERS <= n_now <= len(jobs) - n_done  # one per worker may be done, but not logged
    return run


def n_numbers(jobs):
    """Number of jobs up to metrics.csv."""
    return [job.name for job in jobs].index("metrics") + 1


def test_a_killed_run_ends_with_the_numbers_of_one_left_in_peace(killed, study, tmp_path):
    jobs = plan(load_study(study))
    shutil.copy(killed / "study.toml", tmp_path)
    with worker_pools(processes(N_WORKERS)) as workers:
        run_jobs(tmp_path, jobs[: n_numbers(jobs)], fingerprints(jobs), workers, jobs, lambda event: None)
    assert (tmp_path / "metrics.csv").read_bytes() == (killed / "metrics.csv").read_bytes()


def test_a_cluster_that_loses_a_worker_ends_with_the_same_numbers(killed, study, tmp_path):
    """It is killed while it runs a job, which another one repeats; the run is stopped after its last number."""
    run, jobs = tmp_path / "tiny", plan(load_study(study))
    with dask.scheduler(tmp_path) as address, dask.worker(address, tmp_path), dask.worker(address, tmp_path) as victim:
        process = start(study, os.path.relpath(run), "--executor", "dask", "--scheduler", address)
        until(lambda: n_logged(run) >= n_numbers(jobs) // 2, process)
        assert dask.kill(victim, address) >= 1  # jobs assigned to it
        until(lambda: '"job": "metrics"' in log(run), process)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed.splitlines()[-1].split(";")[0]) == (75, "fluxeq: terminated"), printed
    assert (run / "metrics.csv").read_bytes() == (killed / "metrics.csv").read_bytes()
    in_the_end = ("best", "figures", "measurements", "tiny")  # where the worker may be when it is terminated
    assert {path.parent.name for path in run.rglob("*.unfinished*")} <= {*in_the_end}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The part of an allocation that a job script uses; returns the file in which requeued jobs are noted."""
    commands, requeued = tmp_path / "commands", tmp_path / "requeued"
    commands.mkdir()
    for name, line in {"srun": 'exec "$@"', "scontrol": f'echo "$@" >> {requeued}'}.items():
        (commands / name).write_text(f"#!/bin/sh\n{line}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return requeued


def test_the_job_script_of_a_cluster(slurm, study, tmp_path):
    """It forwards the signal, ends all that it started, and asks to be requeued."""
    run = tmp_path / "run"
    command = ["bash", str(SCRIPTS / "reproduce.sh"), str(study), str(run)]
    with (tmp_path / "printed").open("w") as printed:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=printed, stderr=printed, start_new_session=True)
    while n_logged(run) < 1:
        assert process.poll() is None, (tmp_path / "printed").read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == 75, (tmp_path / "printed").read_text()
    assert slurm.read_text() == "requeue 7\n"
    while n_processes(process.pid):
        time.sleep(0.01)
    assert not list(run.rglob("*.unfinished*"))
    assert not list(tmp_path.glob(".scheduler*"))


@pytest.mark.parametrize(("code", "asked"), [(75, "requeue 7_3\n"), (0, ""), (2, "")])
def test_the_job_script_of_one_command(slurm, tmp_path, monkeypatch, code, asked):
    """Only exit code 75 requests a requeue."""
    fluxeq = tmp_path / "commands" / "fluxeq"
    fluxeq.write_text(f"#!/bin/bash\ntrap 'exit {code}' USR1\necho $*; for i in {{1..600}}; do sleep 0.1; done\n")
    fluxeq.chmod(0o755)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    command = ["bash", str(SCRIPTS / "command.sh"), "search", "--trials", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "search --trials 5\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == code
    process.stdout.close()
    assert (slurm.read_text() if slurm.exists() else "") == asked


def test_the_files_of_the_contract(killed, study):
    run = killed
    assert (run / "study.toml").read_text() == TINY
    claims = json.loads((run / "claims.json").read_text())
    assert len(claims) == 26
    assert {tuple(claim) for claim in claims} == {("id", "protocol", "statement", "paper", "measured", "verdict")}
    for name in FIGURES:
        assert (run / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len((run / "figures" / f"{name}.csv").read_text().splitlines()) > 1
    found = json.loads((run / "provenance.json").read_text())
    assert {"fluxeq", "python", "packages", "machine", "seconds_of_work", "seconds_of_compiling"} <= found.keys()
    assert found["machine"].keys() == {"system", "architecture", "processor", "processors"}
    assert all(found["machine"].values())
    jobs = plan(load_study(study))
    lines = [json.loads(line) for line in log(run).splitlines()]
    logged = [line["job"] for line in lines]
    with_networks = {line["job"].partition("/")[0] for line in lines if line.get("compiling", 0) > 0}
    assert {"search", "train"} <= with_networks <= {"search", "train", "evaluate", "measurements"}
    assert set(found["seconds_of_compiling"]) == with_networks
    assert all(0 <= line.get("compiling", 0) < line["seconds"] for line in lines)
    assert (
        len(logged) == len(set(logged)) >= len(jobs) - N_WORKERS
    )  # one per worker may have been done when it was killed
    assert set(logged) <= {job.name for job in jobs}
    assert all((run / output).exists() for job in jobs for output in job.outputs)


def test_nothing_is_pickled_or_half_written(killed):
    suffixes = {".toml", ".csv", ".json", ".jsonl", ".html", ".md", ".pdf", ".png", ".h5", ".safetensors", ".log"}
    files = [path for path in killed.rglob("*") if path.is_file() and not path.name.endswith((".lock", ".workers"))]
    assert {path.suffix for path in files} == suffixes
    assert not [path for path in files if path.name.startswith(".") or path.read_bytes()[:1] == b"\x80"]


def test_the_table_of_scores(killed):
    table = pd.read_csv(killed / "metrics.csv", keep_default_na=False, na_values=[""])
    rows = table.groupby(["task", "family", "architecture", "augmentation"]).size().to_dict()
    assert rows == {  # one row per target and mu, or per number of worms
        ("regression", "EQ", "EQ", False): 6,  # one of them at one mu on a larger lattice
        ("regression", "FL", "FL", False): 4,
        ("regression", "FL, augmented", "FL", True): 4,
        ("detection", "EQ", "EQ", False): 2,
        ("detection", "ST", "ST", False): 2,
        ("counting", "EQ", "EQ", False): 6,  # two instances, each with its own winner
        ("zhou", "Zhou", "FL", False): 2,
    }
    assert table["loss"].notna().all()
    assert set(table[table.task == "counting"]["n_worms"]) == {0, 1, 2}
    assert set(table[table.task == "regression"]["configurations"]) == {8}


def test_the_report_holds_everything(killed):
    text = (killed / "report.html").read_text()
    assert text.count("<figure ") == len(FIGURES) == text.count("data:image/png;base64,")
    assert text.count('<span class="verdict ') == 26
    assert (
        text.replace("http-equiv", "").count("http") == text.count('"https://doi.org/10.1103/PhysRevD.104.074504"') == 1
    )
    assert "configurations = 4" in text


def test_the_best_are_chosen_without_test_data(killed, tmp_path):
    """Of two instances, that with the lower validation loss is chosen, whatever its test loss; its card says so."""
    assert {path.stem for path in (killed / "best").glob("*.safetensors")} == BEST
    run = shutil.copytree(killed, tmp_path / "run")
    folder = run / "models" / "detection-ST-20"
    first, description = folder / "ST-000.safetensors", describe(folder / "ST-000.safetensors")
    better = description.model_copy(update={"instance": 1, "validation_loss": description.validation_loss / 2})
    save_model(folder / "ST-001.safetensors", replace(load_model(first), description=better))
    table = pd.read_csv(run / "metrics.csv")
    rows = table[table["model"] == first.relative_to(run).as_posix()]
    worse = rows.assign(model=rows["model"].str.replace("000", "001"), loss=10.0, accuracy=0.25, loss_error=0.5)
    pd.concat([table, worse]).to_csv(run / "metrics.csv", index=False)
    files = [f"models/detection-ST-20/ST-00{i}.safetensors" for i in range(2)]
    write_cards(run, {"detection": {"ST": files}}, tmp_path)
    assert describe(tmp_path / "detection-ST.safetensors") == better
    card = (tmp_path / "detection-ST.md").read_text()
    assert "lowest validation loss of 2 instances in one run of the study `tiny`" in card
    assert "| 4x4 | 12 | 10 +- 0.4 | 0.2500 |" in card  # two sets of 6: 0.5 / sqrt(2)
    assert "lattices | all |" in card
    assert "lattices | 4x2 only |" in (killed / "best" / "regression-FL.md").read_text()
    assert "lattices | all |" in (killed / "best" / "counting-EQ.md").read_text()


def test_again_does_nothing(killed, study):
    before = {path: path.stat().st_mtime_ns for path in killed.rglob("*") if path.is_file()}
    assert reproduce(study, killed, no_executor, no_report) == 0
    after = {path: path.stat().st_mtime_ns for path in killed.rglob("*") if path.is_file()}
    assert {path for path in before if before[path] != after[path]} <= {
        killed / "study.toml",
        killed / ".lock",
    }


def test_an_executor_that_refuses_leaves_nothing_behind(study, tmp_path):
    def refuse():
        raise InputError("no scheduler")

    with pytest.raises(InputError, match="no scheduler"):
        reproduce(study, tmp_path / "run", refuse, no_report)
    assert list(tmp_path.iterdir()) == []


def no_executor():
    pytest.fail("an executor was opened though there was nothing to do")


def no_report(event):
    pytest.fail(f"a job was done: {event}")


def test_status(killed, study):
    jobs = plan(load_study(study))
    found = progress(killed, open_run(killed))
    assert sum(row.n_jobs for row in found) == len(jobs)
    assert all(row.n_done == row.n_jobs for row in found)
    assert {row.kind: row.n_jobs for row in found}["search"] == 5


@pytest.fixture
def copied(killed, tmp_path):
    """A copy of the run that may be damaged."""
    return shutil.copytree(killed, tmp_path / "run")


def test_what_is_not_done_is_told(copied, study):
    (copied / "models" / "zhou-Zhou-10").rename(copied / "elsewhere")
    (copied / "claims.json").unlink()
    record = copied / ".jobs" / "search.counting-EQ.json"
    record.write_text(record.read_text().replace("true", "false"))
    left = {row.kind: row.n_jobs - row.n_done for row in progress(copied, open_run(copied))}
    assert {kind for kind, n in left.items() if n} == {"train", "claims", "search"}


def test_what_has_been_built_on_may_be_missing(copied, study):
    """A finished run without ensembles is still finished; if scores are missing, only their ensembles are sampled."""
    shutil.rmtree(copied / "ensembles")
    assert reproduce(study, copied, no_executor, no_report) == 0
    (copied / "scores" / "counting-EQ-20.csv").unlink()
    jobs = plan(load_study(study))
    to_do = [job.kind for job in missing(copied, jobs, fingerprints(jobs))]
    assert sorted(to_do) == ["evaluate", "sample", "worms"]


def test_a_changed_setting_undoes_what_builds_on_it(copied, study):
    (copied / "study.toml").write_text(TINY.replace("configurations = 4", "configurations = 5"))
    changed = open_run(copied)
    before, after = fingerprints(plan(load_study(study))), fingerprints(plan(changed))
    jobs = plan(changed)
    undone = {job.name for job in jobs if not is_done(copied, job, after[job.name])}
    assert undone == {name for name in after if after[name] != before.get(name)}
    assert "train/detection-EQ-20/000" not in undone
    assert "evaluate/detection-EQ-20" in undone


def test_more_instances_leave_those_that_are_there(copied, study):
    (copied / "study.toml").write_text(TINY.replace("instances = 2", "instances = 3"))
    jobs = plan(open_run(copied))
    to_do = {job.name: job for job in missing(copied, jobs, fingerprints(jobs))}
    assert [name for name in to_do if name.startswith("train")] == ["train/counting-EQ-20/002"]
    assert {"evaluate/counting-EQ-20", "metrics", "report"} < to_do.keys()
    before = sorted((copied / "models" / "counting-EQ-20").iterdir())
    prepare(copied, to_do["train/counting-EQ-20/002"], "fingerprint")
    assert sorted((copied / "models" / "counting-EQ-20").iterdir()) == before


def test_another_study_in_the_same_folder(killed):
    with pytest.raises(InputError, match="holds a run of study 'tiny', not 'quick'; choose another --output"):
        reproduce("quick", killed, no_executor, no_report)


def test_a_folder_that_is_no_run(study, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="is not empty and not a run"):
        reproduce(study, tmp_path, no_executor, no_report)
    with pytest.raises(InputError, match="is a file"):
        reproduce(study, tmp_path / "notes.txt", no_executor, no_report)
    with pytest.raises(InputError, match="not a run; make one with"):
        open_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_that_another_process_works_on(copied, study):
    (copied / "claims.json").unlink()
    with locked(copied / ".lock"), pytest.raises(InputError, match="another process is working on this run"):
        reproduce(study, copied, nullcontext, no_report)


class Notes(Executor):
    """Creates the output files of jobs without running them; records what it is given."""

    def __init__(self):
        self.given = []

    def submit(self, function, run, jobs, prepared_for):
        self.given.append([job.name for job in jobs])
        for path in (run / output for job in jobs for output in job.outputs):
            path.parent.mkdir(exist_ok=True, parents=True)
            path.touch()
        future = Future()
        future.set_result(Spent(0.0, {}))
        return future


@pytest.mark.parametrize("together", [1, 9])
def test_a_job_that_could_not_begin_waits_for_a_heavier_one(study, tmp_path, together):
    """Scores come directly after their training, and after all of its instances."""
    jobs, notes = plan(load_study(study)), Notes()
    one = Workers(notes, 1, together)
    n = reproduce(study, tmp_path / "run", lambda: nullcontext(WorkerPools(one, one)), lambda event: None)
    given = [name for names in notes.given for name in names]
    assert n == len(jobs) == len(given)
    assert sorted(given) == sorted(job.name for job in jobs)
    for i, name in enumerate(given):
        if name.startswith("evaluate"):
            assert given[i - 1].startswith(name.replace("evaluate", "train"))
    kinds = list(dict.fromkeys(name.split("/")[0] for name in given))
    assert kinds[:5] == ["sample", "worms", "search", "train", "evaluate"]


def test_a_figure_is_drawn_again_from_the_numbers(copied):
    before = (copied / "figures" / "fig2.png").read_bytes()
    for path in (copied / "figures").iterdir():
        path.unlink()
    write_figure(copied, "fig2")
    assert sorted(path.name for path in (copied / "figures").iterdir()) == ["fig2.csv", "fig2.pdf", "fig2.png"]
    assert (copied / "figures" / "fig2.png").read_bytes() == before
    with pytest.raises(InputError, match="figure 'fig9': choose one of fig1"):
        write_figure(copied, "fig9")


def test_the_report_of_an_unfinished_run(copied):
    """Claims with sufficient scores are judged, the others are not run, and figures without numbers are removed."""
    assert is_complete(copied, open_run(copied))
    for name in ("metrics", "evaluate.counting-EQ-20"):
        record = copied / ".jobs" / f"{name}.json"
        record.write_text(record.read_text().replace("true", "false"))
    assert not is_complete(copied, open_run(copied))
    before = {(claim["id"], claim["protocol"]): claim for claim in read_json(copied / "claims.json")}
    text = write_partial_report(copied, open_run(copied)).read_text()
    assert "<strong>Unfinished.</strong> Jobs done: evaluate 6 of 7, collect 0 of 1" in text
    assert set(pd.read_csv(copied / "metrics.csv")["task"]) == {"regression", "detection", "zhou"}
    assert not list(copied.glob("figures/fig7*"))
    assert text.count("<figure ") == len(FIGURES) - 2
    after = {(claim["id"], claim["protocol"]): claim for claim in read_json(copied / "claims.json")}
    c2 = "C2", "searched"
    assert after.keys() == before.keys()
    assert after[c2] == before[c2] | {"verdict": "not run", "measured": after[c2]["measured"]}
    assert before[c2]["verdict"] != "not run"
    assert after["D2", "searched"] == before["D2", "searched"]


def test_the_report_says_what_is_of_other_settings(copied):
    (copied / "study.toml").write_text((copied / "study.toml").read_text().replace("searches = 2", "searches = 1"))
    text = write_partial_report(copied, open_run(copied)).read_text()
    assert "Not included: scores of 1 trainings with other settings; &#39;fluxeq reproduce&#39; replaces them." in text
    assert set(pd.read_csv(copied / "metrics.csv")["task"]) == {"regression", "detection", "zhou"}
    assert list((copied / "measurements").iterdir()) == []


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning")
def test_one_task_alone(copied, study, capsys, monkeypatch):
    """Only its dependencies run; the report is that of an unfinished run, and the rest can follow."""
    records = {task: copied / ".jobs" / f"evaluate.{task}-EQ-20.json" for task in ("regression", "counting")}
    above = [copied / ".jobs" / f"{name}.json" for name in ("metrics", "claims", "report")]
    for record in (*above, *(copied / ".jobs").glob("figures.*.json"), *records.values()):
        record.write_text(record.read_text().replace("true", "false"))

    def reproduced(*words):
        command = ["fluxeq", "reproduce", str(study), "--output", str(copied), "--workers", "1", *words]
        monkeypatch.setattr(sys, "argv", command)
        main()
        return capsys.readouterr().out

    assert "report.html: counting complete, 1 jobs done now" in reproduced("--task", "counting")
    assert read_json(records["counting"])["done"]
    assert not read_json(records["regression"])["done"]
    assert "evaluate 6 of 7" in (copied / "report.html").read_text()
    assert "counting and detection already complete" in reproduced("--task", "counting", "--task", "detection")
    assert "report.html: complete, " in reproduced()
    assert "Unfinished" not in (copied / "report.html").read_text()


def test_an_unfinished_run_is_kept_and_marked(copied, tmp_path):
    """Its networks are not shipped, and claims without data are not run."""
    keep = runpy.run_path(str(Path(__file__).parents[2] / "results" / "keep.py"))
    record = copied / ".jobs" / "metrics.json"
    record.write_text(record.read_text().replace("true", "false"))
    (copied / "scores" / "counting-EQ-20.csv").unlink()
    write_partial_report(copied, open_run(copied))
    shutil.rmtree(copied / "best")
    large = Path("models", "large.checkpoint")
    (copied / large).write_bytes(bytes(2**23 + 1))
    link = tmp_path / "link"
    link.symlink_to(copied)  # its target is packed
    keep["keep"](link, tmp_path, with_state=True)
    kept = tmp_path / "results" / "tiny"
    assert read_json(kept / "status.json")["evaluate"] == {"done": 6, "jobs": 7}
    assert not (tmp_path / "models").exists()
    subprocess.run(["tar", "xf", kept / "state.tar.xz"], cwd=tmp_path, check=True)
    assert not (tmp_path / "runs" / "tiny" / "ensembles").exists()
    assert not (tmp_path / "runs" / "tiny" / large).exists()
    assert undone(tmp_path / "runs" / "tiny") == undone(copied) > {"evaluate/counting-EQ-20", "metrics", "model_cards"}
    kept.rename(kept.with_name("laptop"))
    lines = {line.split(":")[0]: line for line in keep["claims_table"](tmp_path / "results").splitlines()}
    assert lines["| C2"].endswith("| not run | not run |")
    assert lines["| R1"].endswith("| not run | not run |")


def undone(run):
    """The unfinished jobs, without ensembles, which are made on demand."""
    jobs = plan(open_run(run))
    found = fingerprints(jobs)
    return {job.name for job in jobs if not job.work.intermediate and not is_done(run, job, found[job.name])}


def test_a_run_that_has_done_nothing_has_no_report(study, tmp_path):
    (tmp_path / "study.toml").write_text(TINY)
    with pytest.raises(InputError, match="no job is done yet; continue with 'fluxeq reproduce'"):
        write_partial_report(tmp_path, open_run(tmp_path))


def test_the_report_is_written_again(copied):
    before = (copied / "report.html").read_text()
    (copied / "report.html").unlink()
    assert write_report(copied).read_text() == before
    (copied / "figures" / "fig3.png").unlink()
    assert "Missing figures: fig3;" in write_report(copied).read_text()
