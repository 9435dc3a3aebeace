"""``sample``, ``measure`` and ``worms`` with extreme options: a file, or one line with the reason and no files."""

import json
import re
import sys

import pytest

import small_ensembles
from fluxeq.__main__ import main
from fluxeq.data.ensembles import open_ensemble, save_ensemble

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]

DENSE = {"shape": "4x2", "eta": "4.01", "lam": "1", "mu": "1.5", "configurations": "8"}
VACUUM = {"shape": "4x4", "eta": "1000", "lam": "1", "mu": "0", "configurations": "40"}
HUGE = "9" * 30


@pytest.fixture
def fluxeq(monkeypatch, tmp_path, capsys):
    """Run a command in an empty folder; returns exit code, output, and lines on standard error without progress."""
    monkeypatch.chdir(tmp_path)

    def run(command, *words, **options):
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        monkeypatch.setattr(sys, "argv", ["fluxeq", command, *words, *given])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        out, err = capsys.readouterr()
        return (
            code,
            out,
            [
                line
                for line in err.splitlines()
                if not line.startswith(("sampling", "opening ", "measuring", "importing", "exporting"))
            ],
        )

    return run


@pytest.mark.parametrize("chains", ["1", "2", "3", "5"])
def test_few_chains(fluxeq, chains):
    assert fluxeq("sample", **DENSE, chains=chains, output="e.h5") == (0, "e.h5: complete, 8 configurations\n", [])
    assert open_ensemble("e.h5").n_chains == int(chains)


@pytest.mark.parametrize("couplings", [{}, {"eta": "400", "lam": "1e6"}, {"eta": "1e50"}])
def test_where_nothing_fluctuates(fluxeq, couplings):
    """A valid result, which reaches its goal immediately and is described in words."""
    asked = VACUUM | couplings | {"until": "n=0.01", "output": "e.h5"}
    for says in ("complete", "already complete"):
        code, out, lines = fluxeq("sample", **asked)
        assert (code, lines) == (0, [])
        assert out.startswith(
            f"e.h5: {says}, 40 configurations\nn        0, constant: the same in all 40 configurations"
        )
    assert fluxeq("measure", "e.h5")[1].startswith("n        0, constant: ")
    assert '"status": "constant"' in fluxeq("measure", "e.h5", "--json")[1]


def test_a_goal_that_is_missed(fluxeq, tmp_path):
    """It fails, keeps the configurations and estimates the number required, also if repeated; with more it succeeds."""
    asked = {**DENSE, "until": "n=0.08", "output": "e.h5"}
    for _ in range(2):
        code, out, lines = fluxeq("sample", **asked | {"configurations": "100"})
        assert (code, len(lines)) == (1, 1)
        assert out.startswith("e.h5: kept, 100 configurations\nn        ")
        [needed] = re.findall(r"n=0.08 is not reached with 100 configurations; about (\d+) are required$", lines[0])
        assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]
    code, out, _ = fluxeq("sample", **asked | {"configurations": str(3 * int(needed))})
    assert code == 0
    assert out.startswith("e.h5: complete, ")
    assert 100 < len(open_ensemble("e.h5")) < 3 * int(needed)


@pytest.mark.parametrize("goal", ["n=nan", "n=inf", "n=-1", "n=", "=1", "n=1e-400", "phi2=0.1,n=0.1", "n" * 500, ""])
def test_goals_that_cannot_be(fluxeq, tmp_path, goal):
    code, _, lines = fluxeq("sample", **DENSE, until=goal, output="e.h5")
    assert (code, len(lines)) == (2, 1)
    assert "must be an observable and its target error" in lines[0]
    assert len(lines[0]) < 250
    assert not any(tmp_path.iterdir())


def test_a_goal_that_is_reached_at_once(fluxeq):
    assert fluxeq("sample", **DENSE | {"configurations": "64", "until": "phi2=1e300"}, output="e.h5")[0] == 0


WRONG = [
    ({"mu": "800"}, "mu = 800: e^mu needs double precision; choose |mu| <= 700"),
    ({"mu": "-1000"}, "mu = -1000: "),
    ({"mu": "600"}, "mu 600.0: fluxes are larger than 127"),
    ({"mu": "-20"}, "choose a smaller |mu| or larger eta or lam"),
    ({"eta": "1e308"}, "eta = 1e+308: weights need double precision; choose 0, or a size from 1e-100 to 1e+100"),
    ({"eta": "-1e308"}, "eta = -1e+308: "),
    ({"eta": "1e-310", "lam": "0"}, "eta = 1e-310: "),
    ({"eta": "-1e6"}, "raise eta or lam"),
    ({"lam": "1e308"}, "lam = 1e+308: "),
    ({"lam": "1e-320"}, "lam = 9.99989e-321: "),
    ({"lam": "1e-90"}, "fluxes are larger than 127"),
    ({"eta": "-600"}, "fluxes are larger than 127"),
    ({"shape": "100000x100000"}, "choose smaller extents"),
    ({"shape": f"{HUGE}x2"}, "choose smaller extents"),
    ({"shape": "9" * 5000}, "extents separated by x"),
    ({"shape": "x".join(["2"] * 65)}, "choose smaller extents"),
    ({"shape": "1"}, "every extent must be an integer of at least 2"),
    ({"chains": HUGE}, "choose fewer"),
    ({"configurations": HUGE}, "choose fewer"),
    ({"seed": "18446744073709551616"}, "choose one below 2^64"),
    ({"seed": HUGE}, "choose one below 2^64"),
    ({"threads": "0"}, "threads = 0: must be an integer of at least 1"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_extremes(fluxeq, tmp_path, options, message):
    code, out, lines = fluxeq("sample", **DENSE | options, output="e.h5")
    assert (code, out, len(lines)) == (2, "", 1)
    assert message in lines[0]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"seed": "9223372036854775808"}, {"threads": "1000000"}, {"shape": "2"}, {"mu": "-0.0"}]
)
def test_what_looks_extreme_but_can_be(fluxeq, options):
    assert fluxeq("sample", **DENSE | options, output="e.h5")[0] == 0


def test_starts(fluxeq, tmp_path):
    """Only from a closed ensemble of the same lattice, and not from the output file itself."""
    assert fluxeq("sample", **DENSE, output="a.h5")[0] == 0
    assert fluxeq("sample", **DENSE, start="a.h5", seed="1", output="b.h5")[0] == 0
    save_ensemble(tmp_path / "w.h5", small_ensembles.opened(1))
    save_ensemble(tmp_path / "other.h5", small_ensembles.closed(1))
    for start, output, message in (
        ("a.h5", "a.h5", "a.h5: made with start = nothing, requested eta 4.01"),
        (
            "w.h5",
            "c.h5",
            "start: eta 4.01, lam 1.0, mu 1.5, 4x4, seed 1: must be a closed ensemble on the lattice 4x2",
        ),
        ("other.h5", "c.h5", "must be a closed ensemble on the lattice 4x2"),
        ("c.h5", "c.h5", "c.h5: no such ensemble"),
    ):
        code, _, lines = fluxeq("sample", **DENSE, start=start, output=output)
        assert (code, len(lines)) == (2, 1)
        assert message in lines[0]
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "b.h5", "w.h5", "other.h5"}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("0,0", "distinct non-negative integers"),
        ("1,2,3,4,5", "5 worms on 4x4"),
        (",".join(map(str, range(41))), "40 configurations for 41 numbers of worms"),
        (HUGE, "worms on 4x4: their ends need different sites"),
        ("9" * 5000, "integers separated by commas"),
        ("1,", "integers separated by commas"),
        ("1.0", "integers separated by commas"),
    ],
)
def test_numbers_of_worms_that_cannot_be(fluxeq, tmp_path, number, message):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1))
    code, _, lines = fluxeq("worms", "e.h5", number=number, output="w.h5")
    assert (code, len(lines)) == (2, 1)
    assert message in lines[0]
    assert len(lines[0]) < 250
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]


@pytest.mark.parametrize("number", ["0", "4", "4,3,2,1,0"])
def test_numbers_of_worms(fluxeq, tmp_path, number):
    save_ensemble(tmp_path / "e.h5", small_ensembles.closed(1))
    assert fluxeq("worms", "e.h5", number=number, output="w.h5")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"e.h5", "w.h5"}
    open_ensemble("w.h5").verify()


PHI4 = {"couplings": "eta=4.01,lam=1,mu=1.5", "shape": "4x2", "configurations": "8"}


def test_couplings_by_name(fluxeq, tmp_path):
    """The same file as with separate options."""
    assert fluxeq("sample", **DENSE, output="a.h5")[0] == 0
    assert fluxeq("sample", **PHI4, output="b.h5")[0] == 0
    assert fluxeq("sample", **PHI4, theory="phi4", output="c.h5")[0] == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"couplings": "eta=4,lam=1"}, "theory 'phi4': its couplings are eta, lam, mu; eta, lam given"),
        ({"couplings": "eta=4,eta=1"}, "must be name=number pairs, as in beta=0.8,mu=0.1"),
        ({"couplings": "eta"}, "must be name=number pairs"),
        ({"couplings": ""}, "must be name=number pairs"),
        ({"couplings": "eta=4.01,lam=1,mu=1.5", "mu": "1"}, "--mu: cannot be combined with --couplings; leave"),
        ({"couplings": "eta=4.01,lam=1,mu=nan"}, "mu = nan: a coupling must be a finite number"),
        ({"theory": "xy"}, "theory 'xy': choose one of phi4, or give package.module:Name"),
        ({"couplings": None, "theory": "nowhere:XY"}, "theory 'nowhere:XY': couplings missing"),
        ({"theory": "nowhere:XY"}, "theory 'nowhere:XY': cannot be imported (ModuleNotFoundError"),
        ({"couplings": None}, "--eta, --lam, --mu: missing; give --eta, --lam, --mu, or another --theory with"),
        ({"couplings": None, "eta": "4", "mu": "1"}, "--lam: missing; give"),
    ],
)
def test_theories_that_cannot_be(fluxeq, tmp_path, options, message):
    asked = {name: value for name, value in (PHI4 | options).items() if value is not None}
    code, out, lines = fluxeq("sample", **asked, output="e.h5")
    assert (code, out, len(lines)) == (2, "", 1)
    assert message in lines[0]
    assert not any(tmp_path.iterdir())


def test_a_range(fluxeq, tmp_path):
    """One file per value, each started from its neighbour, with its own random stream; a repetition does nothing."""
    asked = DENSE | {"mu": "1.4:1.5:0.05", "configurations": "40"}
    code, out, lines = fluxeq("sample", **asked, output="s")
    assert (code, lines) == (0, [])
    names = ["mu1.4.h5", "mu1.45.h5", "mu1.5.h5"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == names
    made = [open_ensemble(tmp_path / "s" / name) for name in names]
    assert [one.theory.mu for one in made] == [1.4, 1.45, 1.5]
    assert [one.start_origin for one in made] == ["", made[0].origin, made[1].origin]
    assert len({one.seed for one in made}) == 3
    assert out.splitlines()[:3] == [f"s/{name}: complete, 40 configurations" for name in names]
    assert fluxeq("measure", *(f"s/{name}" for name in reversed(names)))[1].splitlines() == out.splitlines()[3:]
    before = [(tmp_path / "s" / name).read_bytes() for name in names]
    assert fluxeq("sample", **asked, output="s")[1].count("already complete") == 3
    assert before == [(tmp_path / "s" / name).read_bytes() for name in names]


def test_a_range_that_begins_below_zero(fluxeq, tmp_path):
    """It looks like an option."""
    options = DENSE | {"shape": "2x2", "mu": "-0.5:0.5:0.5", "chains": "1", "configurations": "1"}
    assert fluxeq("sample", **options, output="s")[0] == 0
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"mu-0.5.h5", "mu0.h5", "mu0.5.h5"}


def test_a_range_of_any_coupling(fluxeq, tmp_path):
    options = {"couplings": "eta=4.1:4:-0.1,lam=1,mu=1.5", "shape": "4x2", "configurations": "8"}
    assert fluxeq("sample", **options, output="s")[0] == 0
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"eta4.1.h5", "eta4.h5"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mu": "1:2"}, "a number, or a range first:last:step of at most 10000 values, as in 0.91:1.05:0.005"),
        ({"mu": "1:2:0"}, "or a range"),
        ({"mu": "1:2:-1"}, "or a range"),
        ({"mu": "1:nan:1"}, "or a range"),
        ({"mu": "1:inf:1"}, "or a range"),
        ({"mu": "1:2:1e-9"}, "of at most 10000"),
        ({"mu": "::"}, "or a range"),
        ({"mu": "x"}, "mu 'x': must be a number"),
        ({"mu": "1:2:1", "lam": "1:2:1"}, "lam and mu: only one coupling can be a range"),
        ({"mu": "1:1000:100"}, "mu = 701: e^mu needs double precision"),
    ],
)
def test_ranges_that_cannot_be(fluxeq, tmp_path, options, message):
    code, out, lines = fluxeq("sample", **DENSE | options, output="s")
    assert (code, out, len(lines)) == (2, "", 1)
    assert message in lines[0]
    assert not any(tmp_path.iterdir())


def test_a_goal_that_one_of_a_range_misses(fluxeq):
    code, out, lines = fluxeq("sample", **DENSE | {"mu": "1.4:1.5:0.1", "until": "n=1e-9"}, output="s")
    assert code == 1
    assert out.count("kept, 8 configurations") == 2
    assert lines[0].startswith("fluxeq: s/mu1.4.h5: n=1e-09 is not reached")


def test_measurements_as_tables(fluxeq):
    fluxeq("sample", **DENSE | {"mu": "1.4:1.5:0.1", "configurations": "40"}, output="s")
    out = fluxeq("measure", "s/mu1.4.h5", "s/mu1.5.h5", "--csv")[1]
    assert out.startswith("theory,eta,lam,mu,shape,configurations,chains,seeds,spacing,n,n_error,n_tau_int,")
    assert out.count("\n") == 3
    assert len(json.loads(fluxeq("measure", "s/mu1.4.h5", "s/mu1.5.h5", "--json")[1])) == 2
    for words, message in (
        (["--csv", "--json"], "--json and --csv: choose one of them"),
        (["--plot", "p.png"], "draw one at a time"),
    ):
        code, _, lines = fluxeq("measure", "s/mu1.4.h5", "s/mu1.5.h5", *words)
        assert (code, len(lines)) == (2, 1)
        assert message in lines[0]


def test_configurations_of_others(fluxeq, tmp_path):
    """Export and import again: closed configurations stay closed, and existing files are not overwritten."""
    phi4 = {"eta": "4.01", "lam": "1", "mu": "1.5"}
    fluxeq("sample", **DENSE | {"configurations": "1", "chains": "1", "output": "e.h5"})
    assert fluxeq("export", "e.h5", output="e.npz") == (0, "e.npz: 1 configurations\n", [])
    code, out, lines = fluxeq("import", "e.npz", **phi4, output="i.h5")
    assert (code, lines) == (0, [])
    assert "1 configurations from 1 chains, no open ends" in out
    assert "labels checked: n, phi2, n_worms" in out
    assert fluxeq("worms", "i.h5", number="1", output="w.h5")[0] == 0
    for words, options, message in (
        (["import", "e.npz"], {**phi4, "output": "i.h5"}, "i.h5: exists; remove it or choose another output"),
        (["import", "e.npz"], {**phi4, "mu": "1:2:1", "output": "j.h5"}, "give single values, not a range"),
        (["import", "none"], {**phi4, "output": "j.h5"}, "none: no such file"),
        (["sample"], {**DENSE, "output": "i.h5"}, "open worms or imported configurations cannot"),
        (["export", "e.h5"], {"output": "e.txt"}, "the name must end in .npz or .csv"),
        (["export", "none"], {"output": "e.npz"}, "no such ensemble"),
    ):
        code, _, lines = fluxeq(*words, **options)
        assert (code, len(lines)) == (2, 1)
        assert message in lines[0]
    assert {path.name for path in tmp_path.iterdir()} == {"e.h5", "e.npz", "i.h5", "w.h5"}
