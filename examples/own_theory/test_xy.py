"""The XY model sampled by fluxeq compared with Bessel functions: independent chains, and a control that must fail."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ive
from xy import XY

import fluxeq
from fluxeq.__main__ import main
from fluxeq.enumeration import enumerated
from fluxeq.testing import check_theory, z_score

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]

N_CHAINS, N_TURNS = 16, 600
K = np.arange(-30, 31)  # fluxes of a link; I_30(2) is 1e-33
POINTS = {"ring": (XY(0.9, 0.4), (5,)), "two columns": (XY(0.8, 0.3), (4, 2)), "dense": (XY(1.3, -0.8), (3, 2))}


def ring(theory, n_t):
    """n from Z = sum over k of (I_k(beta) e^(mu k))^n_t."""
    weight = (ive(K, theory.beta) * np.exp(theory.mu * K)) ** n_t
    return (weight * K).sum() / weight.sum()


def two_columns(theory, n_t):
    """n on n_t x 2: each site has a temporal flux; two spatial links carry the flow from one site to the other."""
    k0, k1 = (k.ravel() for k in np.meshgrid(K, K, indexing="ij"))
    time = ive(k0, theory.beta) * ive(k1, theory.beta) * np.exp(theory.mu * (k0 + k1))
    flows = np.subtract.outer(k0, k0)
    space = np.where(np.add.outer(k0 + k1, -(k0 + k1)) == 0, ive(flows, 2 * theory.beta), 0)  # two links: I_k(2 beta)
    keep = (np.abs(k0) < 12) & (np.abs(k1) < 12)
    transfer = np.linalg.matrix_power((np.sqrt(time)[:, None] * space * np.sqrt(time))[np.ix_(keep, keep)], n_t)
    weight = np.diag(transfer)
    return (weight * (k0 + k1)[keep]).sum() / weight.sum() / 2


def exact_n(theory, shape):
    return ring(theory, shape[0]) if len(shape) == 1 else two_columns(theory, shape[0])


@cache
def chain_means(name):
    """Mean n of each of several independent chains."""
    theory, shape = POINTS[name]
    made = fluxeq.sample(theory, shape, N_CHAINS * N_TURNS, chains=N_CHAINS, seed=1)
    assert (made.phi2 == 1).all()
    return made.n.reshape(N_TURNS, N_CHAINS).mean(axis=0)


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (0.1, False)], ids=["exact", "control"])
@pytest.mark.parametrize("name", POINTS)
def test_density(name, shift, agrees):
    """Within 4 standard errors, estimated from the spread of the chains."""
    theory, shape = POINTS[name]
    z = z_score(chain_means(name), exact_n(XY(theory.beta, theory.mu + shift), shape))
    assert abs(z) < 4 if agrees else abs(z) > 6


@pytest.mark.parametrize("shape", [(5,), (2, 2)])
def test_oracles_agree(shape):
    """The enumeration of hops, valid for every theory, agrees with the formulas for this one."""
    theory = XY(0.8, 0.3)
    assert enumerated(theory, shape).n == pytest.approx(exact_n(theory, shape), abs=1e-6)


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_laws(shape):
    check_theory(XY(0.8, 0.3), shape)


def test_three_dimensions():
    made = fluxeq.sample(XY(0.3, 0.2), (3, 2, 2), 40, seed=1)
    assert made.n.any()
    made.verify()


def test_commands(tmp_path, monkeypatch, capsys):
    """The external theory is sampled from the command line, and the file read back."""
    output = tmp_path / "e.h5"
    monkeypatch.chdir(Path(__file__).parent)
    words = "sample --theory xy:XY --couplings beta=0.9,mu=0.4 --shape 5 --configurations 64 --seed 1 --output"
    monkeypatch.setattr(sys, "argv", ["fluxeq", *words.split(), str(output)])
    main()
    assert capsys.readouterr().out == f"{output}: complete, 64 configurations\n"
    found = fluxeq.open_ensemble(output)
    assert found.theory == XY(0.9, 0.4)
    np.testing.assert_array_equal(found.configurations, fluxeq.sample(XY(0.9, 0.4), (5,), 64, seed=1).configurations)
    assert repr(found) == "Ensemble(xy:XY beta 0.9, mu 0.4, 5, seed 1, 64 configurations from 4 chains)"
